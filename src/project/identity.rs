//! Whose customer is it?
//!
//! Evidence is weighed by its [`Strength`] first; within a strength the newest-created object counts
//! (in one second the higher object id). What names nobody we ever saw is passed over, and counts again
//! once that user appears. What names a user who is gone is an answer: it never falls through to weaker
//! evidence, which could hand one person's payments to another.
//!
//! A match by e-mail address is kept as a [`Match`] and stays, whatever addresses do later: the oldest
//! one whose user is there. Only when its user is gone are addresses compared anew, so that a person
//! who signs up again with the same confirmed address is known again; until then the customer belongs
//! to the user who is gone.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod claims;
mod owner;

#[cfg(test)]
mod tests;

pub use claims::claims;
pub use owner::owner;

/// How strong a claim is; smaller is stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// An explicit user id in metadata.
    Metadata = 1,
    /// Checkout's `client_reference_id`.
    ClientReferenceId = 2,
    /// The customer stood in `customer_subscriptions` before memberflow was switched on.
    KnownCustomer = 3,
    /// The customer's e-mail address equalled a confirmed one.
    Email = 4,
}

impl Strength {
    /// The name in `ingest.customers.matched_by`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::ClientReferenceId => "client_reference_id",
            Self::KnownCustomer => "known_customer",
            Self::Email => "email",
        }
    }
}

/// What one object says about whose customer it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The object that says so.
    pub object_id: String,
    /// The customer; for a guest checkout, its payment intent.
    pub customer: String,
    pub strength: Strength,
    /// The user ids it names, preferred first: they may be nobody's, or (as written then) no UUID.
    pub claimed_users: Vec<String>,
    /// The e-mail address in lower case.
    pub email: Option<String>,
    /// Unix seconds; of disagreeing explicit ids the newest-created object's wins.
    pub object_created: i64,
}

fn user_id(text: &str) -> Option<Uuid> {
    Uuid::parse_str(text.trim()).ok()
}

/// A match by e-mail address, as it is kept (an internal event's body): it stays until stronger
/// evidence comes or the user goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    pub customer: String,
    pub user_id: Uuid,
    pub email: String,
    /// Unix seconds.
    pub matched_at: i64,
}

/// What the database knows of the users that the claims name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// In `auth.users`.
    Present,
    /// Seen before, and gone.
    Gone,
    /// Never seen.
    Never,
}

/// Whose customer it is, or why that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This user, by this evidence. `disputed`: explicit ids disagree or one was unusable.
    User { user_id: Uuid, by: Strength, disputed: bool },
    /// The evidence names a user who is gone.
    Gone { user_id: Uuid },
    /// Several confirmed users have the address.
    Ambiguous { email: String },
    /// Nobody yet. `wanted`: what the claims named, to say in the parked row.
    Unknown { wanted: String },
}
