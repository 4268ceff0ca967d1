//! Stripe's objects in one shape, whatever the API version they came in.
//!
//! [`event`] finds the object that an event is about; the readers beside it turn each [`Kind`] of object
//! from any version, 2017 to now, into the structs of [`objects`]; [`lifecycle`] knows how far along an object is, [`sticky_fields`]
//! what stays said of it. [`admission`] knows which mode's and account's events count,
//! [`snapshot`] reads what the API shows, and [`difference`] tells how that differs.

pub mod admission;
pub mod difference;
pub mod event;
pub mod kind;
pub mod objects;
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
pub use admission::{Admission, NotCounted, StripeMode};
pub use body::read_fields;
pub use difference::{Difference, differences};
pub use event::read;
pub use field::AMOUNT_MAX;
pub use kind::Kind;
pub use objects::*;
pub use snapshot::{read_snapshot, shown};
