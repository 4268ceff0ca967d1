//! Stripe's objects in one shape, whatever the API version they came in.
//!
//! [`event`] finds the object that an event is about; the readers beside it turn each [`Kind`] of object
//! from any version, 2017 to now, into the structs of [`objects`]; [`life`] knows how far along an object is, [`memory`]
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
mod charge;
mod customer;
mod discount;
mod field;
mod invoice;
mod life;
mod memory;
mod oddity;
mod price;
mod stored;
mod subscription;
mod tax;

#[cfg(test)]
mod tests;

pub use admission::{Admission, NotCounted, StripeMode};
pub use body::read_fields;
pub use difference::{Difference, differences};
pub use event::read;
pub use field::AMOUNT_MAX;
pub use kind::Kind;
pub use life::KNOWN_STATUSES;
pub use objects::*;
pub use oddity::Oddity;
pub use snapshot::{read_snapshot, shown};
