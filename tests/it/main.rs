//! Behaviour tests against a real PostgreSQL and a real RabbitMQ: one binary, one module per behaviour.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "counts and seconds of tests, all of them small"
)]

mod api;
mod applying;
mod auditing;
mod benchmark;
mod browser;
mod campaigns;
mod changes;
mod ci_run;
mod configuration;
mod console;
mod demo_data;
mod doctor;
#[path = "../../benches/durable.rs"]
mod durable;
mod earlier_version;
mod evidence;
mod faults;
mod fixtures;
mod forgetting;
mod fuzzing;
mod help;
mod identity;
mod leads;
mod ledger;
mod listening;
mod local_run;
mod members;
mod migrations;
mod modes;
mod money;
mod operating;
mod operations_page;
mod parking;
mod payment_kinds;
mod poison;
mod preexisting_rows;
mod private_servers;
mod queue;
mod reading_plans;
mod rebuilding;
mod receiving;
mod reconciling;
mod replaying;
mod security_page;
mod signing_in_sql;
mod simulation;
mod statistics;
mod subscriptions;
mod support;
mod texting;
mod tickets;
mod transactions;
mod triggers;
mod verification;
mod webhook_rows;
mod whole_way;
