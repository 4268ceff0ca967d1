//! Backfill: events from what exists already.

pub mod stripe_events;
pub mod tables;
