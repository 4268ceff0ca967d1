//! What memberflow told itself: decisions taken from the state of the database, kept as events so that a
//! rebuild takes them again.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::identity::Match;
use super::meaning::Evidence;
use super::stripe::FoundPayment;
use super::supabase::{self, ActivityTables};
use super::{Meaning, Unreadable};
use crate::envelope::Origin;

/// What the names of events begin with that tell what stood in the application's tables.
pub const FOUND: &str = "found/";

/// The body of an event of our own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Internal {
    /// A customer was matched to a user by e-mail address.
    Matched(Match),
    /// A row that stood in `customer_subscriptions` when memberflow was switched on.
    Found(FoundSubscription),
    /// Rows that stood in a table whose rows count, or that stand there no more.
    FoundRows(FoundRows),
    /// Logins that Supabase Auth's tables knew of.
    FoundLogins(FoundLogins),
    /// Users who were there, or are there no more.
    FoundUsers(FoundUsers),
    /// Rows that stood in `payment_history`, or that stand there no more.
    FoundPayments(FoundPayments),
    /// A row that stood otherwise than the last event about it had reported.
    Corrected(Corrected),
    /// A Stripe object as the API showed it, where that was not what the events had reported.
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
    /// The mode of the key that asked, where it is known: not every object tells its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub livemode: Option<bool>,
    /// The account that was asked for, where that is not the key's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

impl Snapshot {
    /// The mode and the account of the object.
    #[must_use]
    pub fn origin(&self) -> Origin {
        let livemode = self.object["livemode"].as_bool().or(self.livemode);
        Origin::new(livemode, self.account.as_deref(), None, None)
    }
}

/// A row of `customer_subscriptions` that no event has reported yet.
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

/// Rows of one table, each as it counted when it was read. Lists and not objects: there are millions of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundRows {
    /// `schema.table`
    pub relation: String,
    /// Rows that stood there.
    #[serde(default)]
    pub rows: Vec<FoundRow>,
    /// Rows that were known and stand there no more, each as it was known.
    #[serde(default)]
    pub gone: Vec<FoundRow>,
}

/// A row's id, its owner, whether it counts, its amount, and its moment in microseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundRow(pub String, pub Option<Uuid>, pub bool, pub i64, pub i64);

/// Logins, all known from the same kind of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundLogins {
    pub evidence: Evidence,
    pub logins: Vec<FoundLogin>,
}

/// The login's id, who, and when in microseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundLogin(pub String, pub Uuid, pub i64);

/// Users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundUsers {
    /// Those who were there.
    #[serde(default)]
    pub there: Vec<Uuid>,
    /// Those who had been there and are gone.
    #[serde(default)]
    pub gone: Vec<Uuid>,
}

/// Payments that the application kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundPayments {
    #[serde(default)]
    pub rows: Vec<FoundPayment>,
    /// The ids of rows that were found once and stand there no more.
    #[serde(default)]
    pub gone: Vec<FoundPayment>,
}

/// A row that an event was missing of: what the table says now follows what was reported last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corrected {
    /// The moment of what was reported last, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// Events that had reported a change away from that, earlier in a row's walk back and forth.
    #[serde(default)]
    pub left_before: u32,
    /// As a Database Webhook would have reported it, in the form in which those are stored.
    pub change: Value,
}

impl Corrected {
    /// The change takes the place of the one that nobody reported: next to the last one in the row's history.
    ///
    /// # Errors
    /// [`Unreadable`] where the row is none that counts.
    pub fn meaning(self, tables: &ActivityTables) -> Result<Meaning, Unreadable> {
        let mut meaning = supabase::row::read(self.change.to_string().as_bytes(), None, tables)?;
        if let Meaning::Row(report) = &mut meaning {
            report.occurred_at = moment(self.at_us);
            report.corrects_after = Some(self.left_before);
        }
        Ok(meaning)
    }
}

/// A moment in microseconds since the Unix epoch, or the epoch where it lies beyond what a date can be.
#[must_use]
pub fn moment(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
