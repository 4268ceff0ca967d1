//! Between accept and consume: what both queues promise, and what each does in trouble.

mod both;
mod broker_trouble;
mod pending;
mod rate;
mod setup;
mod topology;
