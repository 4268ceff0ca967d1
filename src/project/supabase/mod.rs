//! What Supabase tells: logins and users by Auth Hooks, rows by Database Webhooks.

pub mod auth_hook;
pub mod row;

mod field;
mod profile;
mod tables;

#[cfg(test)]
mod tests;

pub use row::Row;
