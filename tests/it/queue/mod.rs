//! The queues: common guarantees, and behaviour in outages.

mod both;
mod broker_trouble;
mod pending;
mod rate;
mod setup;
mod topology;
