//! The whole way of an event, from a signed request over HTTP to the tables, through faults of everything
//! that it passes.

mod broker_trouble;
mod commands;
mod database_trouble;
mod deployment;
mod kills;
mod same_tables;
pub mod sender;
