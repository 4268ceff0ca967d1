//! What Supabase tells: logins and users by Auth Hooks, rows by Database Webhooks and by triggers.

pub mod auth_hook;
pub mod row;
pub mod tables;

mod count;
mod field;
mod profile;

#[cfg(test)]
mod tests;

pub use count::MAX_FILE_BYTES;
pub(crate) use field::moment;
pub use profile::{EXPECTED as PROFILE_COLUMNS, WHERE_PRESENT as PROFILE_COLUMNS_WHERE_PRESENT};
pub use row::Row;
pub use tables::ActivityTables;
