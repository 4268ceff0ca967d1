//! Whose customer is it?
//!
//! Evidence is weighed by its [`Strength`] first; within a strength the newest-created object decides (in one
//! second the higher object id). Evidence for a user we never saw is skipped until that user appears.
//! Evidence for a deleted user is a result: it never falls through to weaker evidence, which could give one
//! person's payments to another.
//!
//! All e-mail addresses ever given are evidence, each from its earliest moment, and the match is the user of the
//! earliest that belongs to a confirmed user; so it does not depend on the order of reports. It is recorded
//! as a [`Match`] and stays, whatever happens to addresses later. Only when its user is deleted are addresses
//! compared again, so that a person who signs up again with the same confirmed address is recognised; until
//! then the customer belongs to the deleted user.
//!
//! If weaker evidence names another user than the winning one, the customer is parked as `disputed_user`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

mod address;
mod claims;
mod email;
mod matching;
mod owner;

#[cfg(test)]
mod tests;

pub use address::{Address, AddressOrder, AddressRole, addresses, folded_email, of_match};
pub use claims::claims;
pub use email::Unrecorded;
pub use matching::{FORM as MATCHING_FORM, Matching};
pub use owner::{detail_of, owner};

/// How many addresses of a customer are stored, the earliest ones.
pub const MAX_ADDRESSES: usize = 20;

/// How strong a claim is; smaller is stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// An explicit user id in metadata.
    Metadata = 1,
    /// Checkout's `client_reference_id`.
    ClientReferenceId = 2,
    /// The customer was in `customer_subscriptions` before memberflow.
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

/// One object's claim about whose customer it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The object that makes the claim.
    pub object_id: String,
    /// The customer; for a guest checkout, its payment intent.
    pub customer: String,
    /// How strong the evidence is.
    pub strength: Strength,
    /// The user ids it names, preferred first. They may be unknown or not even UUIDs (kept as written).
    pub claimed_users: Vec<String>,
    /// Unix seconds. If explicit ids conflict, the newest object's wins.
    pub object_created: i64,
}

fn user_id(text: &str) -> Option<Uuid> {
    Uuid::parse_str(text.trim()).ok()
}

/// A match by e-mail address, the body of an internal event. It holds until stronger evidence arrives or the
/// user is deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// The customer that was matched.
    pub customer: String,
    /// The user it was matched to.
    pub user_id: Uuid,
    /// The address; empty once the person was forgotten.
    pub email: String,
    /// Addresses given earlier that had no user then.
    #[serde(default, rename = "passed", skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
    /// Unix seconds.
    pub matched_at: i64,
}

/// The state of a user that claims name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserState {
    /// In `auth.users`.
    Present,
    /// Seen before, and deleted.
    Deleted,
    /// Never seen.
    NeverSeen,
}

/// Whose customer it is, or why that is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This user, by this evidence.
    User {
        /// The user.
        user_id: Uuid,
        /// The evidence that decided.
        by: Strength,
        /// What contradicts it, by kind of evidence: other users, and ids in metadata that are not a user's.
        contradicted_by: Vec<(Strength, String)>,
        /// A match by e-mail address that is not recorded as an event yet.
        unrecorded: Option<Unrecorded>,
    },
    /// The evidence names a deleted user.
    Deleted {
        /// The user.
        user_id: Uuid,
    },
    /// Several confirmed users have the address.
    Ambiguous {
        /// The address.
        email: String,
    },
    /// No user yet.
    Unknown {
        /// What the evidence named, for the parked row.
        wanted: String,
    },
}
