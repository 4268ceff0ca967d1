//! What Supabase tells: logins and users by Auth Hooks, rows by Database Webhooks and by triggers.

pub mod auth_hook;
pub mod row;
pub mod tables;

mod count;
mod field;
mod profile;

#[cfg(test)]
mod tests;

pub use profile::COLUMNS as PROFILE_COLUMNS;
pub use row::Row;
pub use tables::ActivityTables;
