//! What events report and what follows from it, as a projection: pure functions without I/O or clock.
//!
//! [`decode()`] turns an envelope into its [`payload`]; [`order`] decides which of an object's reports is its present state;
//! [`payments`], [`mrr`], [`identity`] and [`member`] derive the tables' rows from the present states, and
//! [`movements`] the MRR ledger from the states before them too.

mod decode;
pub mod identity;
pub mod internal;
pub mod member;
pub mod movements;
pub mod mrr;
pub mod order;
pub mod payload;
pub mod payments;
pub mod stripe;
pub mod supabase;
pub mod twilio;

pub use decode::{DecodeSettings, decode, decode_states};
pub use payload::{DecodeError, Payload};
