//! The queues: common guarantees, and behaviour in outages.

mod both;
mod broker_trouble;
mod pending;
mod setup;
mod topology;
