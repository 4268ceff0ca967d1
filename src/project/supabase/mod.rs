//! Events from Supabase: logins and users by Auth Hooks, rows by Database Webhooks and triggers.

pub mod auth_hook;
pub mod columns;
pub mod row;
pub mod tables;

pub(crate) mod change;
mod count;
mod field;
mod profile;

#[cfg(test)]
mod tests;

pub use change::reduced;
pub use count::Row;
pub(crate) use count::{Count, count};
pub(crate) use field::moment;
pub use tables::ActivityTables;
