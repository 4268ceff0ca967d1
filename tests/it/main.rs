//! Behaviour tests against a real PostgreSQL and a real RabbitMQ: one binary, one module per behaviour.

mod applying;
mod configuration;
mod demo_data;
mod doctor;
mod first_start;
mod identity;
mod leads;
mod ledger;
mod lives;
mod local_run;
mod local_services;
mod members;
mod migrations;
mod money;
mod operating;
mod parking;
mod queue;
mod rebuilding;
mod receiving;
mod replaying;
mod signing_in_sql;
mod stories;
mod support;
mod transactions;
mod verification;
mod whole_way;
