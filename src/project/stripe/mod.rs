//! Stripe's objects in one shape, from any API version.
//!
//! [`event`] finds the object that an event is about; [`objects`] turns each [`Kind`] of object from any
//! version, 2017 to now, into structs; [`lifecycle`] ranks statuses, and [`sticky_fields`] keeps what only
//! some events report. [`origin_filter`] decides which mode's and account's events change the tables, [`snapshot`] reads
//! what the API shows, and [`difference`] compares that with the facts.

pub mod difference;
pub mod event;
pub mod kind;
pub mod objects;
pub mod origin_filter;
pub mod overdue;
pub mod snapshot;

mod body;
mod field;
mod lifecycle;
mod sticky_fields;
mod stored;
mod unknown_value;

#[cfg(test)]
mod tests;

pub use self::lifecycle::KNOWN_STATUSES;
pub use self::unknown_value::UnknownValue;
pub use body::decode_fields;
pub use difference::{FieldDifference, differences};
pub use event::decode;
pub use field::AMOUNT_MAX;
pub use kind::Kind;
pub use objects::*;
pub use origin_filter::{NotCounted, OriginFilter, StripeMode};
pub use snapshot::{decode_api_object, decode_snapshot};
