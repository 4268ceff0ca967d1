//! Whose customer is it?
//!
//! Evidence is weighed by its [`Strength`] first; within a strength the newest-created object counts
//! (in one second the higher object id). What names nobody we ever saw is passed over, and counts again
//! once that user appears. What names a user who is gone is an answer: it never falls through to weaker
//! evidence, which could hand one person's payments to another.
//!
//! Of e-mail addresses all count that were ever given, each from the earliest moment on, and the match is the user
//! of the earliest that belongs to a confirmed user: so it is the same in whatever order they are reported. It is recorded
//! as a [`Match`] and stays, whatever addresses do later. Only when its user is gone are addresses compared again, so
//! that a person who signs up again with the same confirmed address is known again; until then the customer belongs to
//! the user who is gone.
//!
//! Evidence that names another user than the one that it lost to is a contradiction: the customer is flagged.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod address;
mod claims;
mod email;
mod matching;
mod owner;

#[cfg(test)]
mod tests;

pub use address::{Address, Place, Role, addresses, folded_email, of_match};
pub use claims::claims;
pub use email::Unrecorded;
pub use matching::{FORM as MATCHING_FORM, Matching};
pub use owner::{listed, owner};

/// How many addresses of a customer are kept, the earliest ones.
pub const MAX_ADDRESSES: usize = 20;

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
    /// A customer's e-mail address is a confirmed one.
    Email = 4,
}

impl Strength {
    /// All of them, the strongest first.
    pub const ALL: [Self; 4] = [Self::Metadata, Self::ClientReferenceId, Self::KnownCustomer, Self::Email];

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
    /// The address; empty once the person was forgotten.
    pub email: String,
    /// Addresses given earlier that were nobody's then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<String>,
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
    /// This user, by this evidence.
    User {
        user_id: Uuid,
        by: Strength,
        /// What else is named, by which kind of evidence: other users, and in metadata what is no user.
        contradicted_by: Vec<(Strength, String)>,
        /// A match by e-mail address that no event has recorded yet.
        unrecorded: Option<Unrecorded>,
    },
    /// The evidence names a user who is gone.
    Gone { user_id: Uuid },
    /// Several confirmed users have the address.
    Ambiguous { email: String },
    /// Nobody yet. `wanted`: what the evidence named, to say in the parked row.
    Unknown { wanted: String },
}
