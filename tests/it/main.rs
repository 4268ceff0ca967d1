//! Behaviour tests against a real PostgreSQL and a real RabbitMQ: one binary, one module per behaviour.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "counts and seconds of tests, all of them small"
)]

mod api;
mod applying;
mod browser;
mod campaigns;
mod command_line;
mod console;
mod database;
mod doctor;
#[path = "../../benches/durable.rs"]
mod durable;
mod events;
mod evidence;
mod faults;
mod forgetting;
mod fuzzing;
mod jobs;
mod ledger;
mod members;
mod migrations;
mod modes;
mod preexisting_rows;
mod queue;
mod rebuilding;
mod receiving;
mod reconciling;
mod repository;
mod revenue;
mod simulation;
mod sms;
mod support;
mod tickets;
mod triggers;
mod verification;
mod whole_way;
