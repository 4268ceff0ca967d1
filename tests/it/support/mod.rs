//! Shared test support: private databases, private names on the broker.

pub mod api;
pub mod app;
pub mod auth_server;
pub mod broker;
pub mod consuming;
pub mod database;
pub mod dump;
pub mod events;
pub mod orders;
pub mod population;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod servers;
pub mod signing;
mod template;
pub mod twilio_api;

use memberflow::config::Config;
use memberflow::project::stripe::StripeMode;

/// The default settings on this database, except the mode: the tests' events are of test mode.
pub fn config(database_url: impl Into<String>) -> Config {
    Config { stripe_mode: Some(StripeMode::Test), ..Config::new(database_url) }
}
