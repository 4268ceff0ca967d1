//! What each object is now: the step from a batch of events to facts, in whatever order they came.

pub mod activity;
pub mod claims;
pub mod emails;
pub mod facts;
pub mod payments;
pub mod versions;
