//! What memberflow told itself: decisions taken from the state of the database, kept as events so that a
//! rebuild takes them again.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::identity::Match;

/// The body of an event of our own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Internal {
    /// A customer was matched to a user by e-mail address.
    Matched(Match),
    /// A row that stood in `customer_subscriptions` when memberflow was switched on.
    Found(FoundSubscription),
    /// What a row of `user_activity_metrics` counted when memberflow was switched on.
    FoundActivity(FoundActivity),
    /// A Stripe object as the API showed it, where that was not what the events had told.
    Snapshot(Snapshot),
}

/// A Stripe object as the API showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its place in the object's history, in Unix seconds: later than the events of earlier seconds, earlier
    /// than those of later ones.
    pub at: i64,
    /// The object, byte for byte what the API said of it, but for the order of its keys.
    pub object: Value,
}

/// A row of `customer_subscriptions` that no event has told of yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundSubscription {
    /// The row's own id.
    pub id: Uuid,
    pub user_id: Uuid,
    pub customer: String,
    pub subscription: Option<String>,
    pub price: Option<String>,
    /// The row's tier.
    #[serde(default)]
    pub tier: Option<Uuid>,
    pub status: String,
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds.
    pub canceled_at: Option<i64>,
}

/// Activity as it was counted before any event: what events add to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundActivity {
    pub user_id: Uuid,
    /// Microseconds since the Unix epoch.
    pub last_login_at_us: Option<i64>,
    /// Logins beside the last one, if that is known.
    pub logins: i64,
    pub files: i64,
    pub file_bytes: i64,
    pub visions: i64,
    pub journal_entries: i64,
    pub profile_percent: i64,
}

impl FoundActivity {
    /// The counts, each under the name of the relation that its fact is kept under.
    #[must_use]
    pub const fn counts(&self) -> [(&'static str, i64); 5] {
        [
            ("found.logins", self.logins),
            ("found.files", self.files),
            ("found.file_bytes", self.file_bytes),
            ("found.visions", self.visions),
            ("found.journal_entries", self.journal_entries),
        ]
    }
}
