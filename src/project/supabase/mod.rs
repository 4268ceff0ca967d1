//! What Supabase tells: logins and users by Auth Hooks, rows by Database Webhooks.

pub mod auth_hook;
pub mod row;

mod field;
mod profile;
mod tables;

#[cfg(test)]
mod tests;

pub use profile::{EXPECTED as PROFILE_COLUMNS, WHERE_PRESENT as PROFILE_COLUMNS_WHERE_PRESENT};
pub use row::Row;
pub use tables::MAX_FILE_BYTES;
