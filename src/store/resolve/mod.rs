//! Resolves what each object is now: from a batch of events to facts, in whatever order they arrived.

pub mod activity;
pub mod catalogue;
pub mod emails;
pub mod facts;
pub mod identity_claims;
pub mod payments;
mod preexisting;
pub mod users;
pub mod versions;
