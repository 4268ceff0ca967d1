//! End to end, from a signed HTTP request to the tables, with faults on the way.

mod broker_trouble;
mod commands;
mod database_trouble;
mod deployment;
mod kills;
mod same_tables;
pub mod sender;
