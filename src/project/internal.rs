//! Internal events: decisions from the state of the database, stored so that a rebuild repeats them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::identity::Match;
use super::stripe::ImportedPayment;
use crate::envelope::Origin;

/// The prefix of ids of import events, which hold rows of the application's tables. Stored ids, types and kinds say
/// `found` for imported.
pub const IMPORT_PREFIX: &str = "found/";

/// The body of an internal event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Internal {
    /// A customer was matched to a user by e-mail address.
    Matched(Match),
    /// A pre-existing row of `customer_subscriptions`. Its stored type is `found`.
    #[serde(rename = "found")]
    ImportedSubscription(ImportedSubscription),
    /// Rows of a counted table, or rows deleted from it.
    #[serde(rename = "found_rows")]
    ImportedRows(ImportedRows),
    /// Logins from Supabase Auth's tables.
    #[serde(rename = "found_logins")]
    ImportedLogins(ImportedLogins),
    /// Users that existed, or were deleted.
    #[serde(rename = "found_users")]
    ImportedUsers(ImportedUsers),
    /// Rows of `payment_history`, or rows deleted from it.
    #[serde(rename = "found_payments")]
    ImportedPayments(ImportedPayments),
    /// A row that differed from what the last event had reported.
    Corrected(Corrected),
    /// A Stripe object as the API showed it, when that differed from what events had reported.
    Snapshot(Snapshot),
}

/// A Stripe object as the API showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its place in the object's history, in Unix seconds: later than the events of earlier seconds, earlier
    /// than those of later ones.
    pub at: i64,
    /// The object exactly as the API returned it, except for the order of keys.
    pub object: Value,
    /// The mode of the API key, if known: not every object has `livemode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub livemode: Option<bool>,
    /// The requested account, if it is not the key's own.
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
pub struct ImportedSubscription {
    /// The row's own id.
    pub id: Uuid,
    /// The row's user.
    pub user_id: Uuid,
    /// The Stripe customer.
    pub customer: String,
    /// The Stripe subscription.
    pub subscription: Option<String>,
    /// The Stripe price.
    pub price: Option<String>,
    /// The row's tier.
    #[serde(default)]
    pub tier: Option<Uuid>,
    /// The row's status.
    pub status: String,
    /// Unix seconds.
    pub created: i64,
    /// Unix seconds.
    pub canceled_at: Option<i64>,
}

/// Rows of one table, each as it counted when it was read. Stored as arrays, not objects: there are millions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedRows {
    /// `schema.table`
    pub relation: String,
    /// Rows that existed.
    #[serde(default)]
    pub rows: Vec<ImportedRow>,
    /// Known rows that no longer exist, each as it was known.
    #[serde(default)]
    #[serde(rename = "gone")]
    pub deleted: Vec<ImportedRow>,
}

/// A row's id, its owner, whether it counts, its amount, and its moment in microseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedRow(pub String, pub Option<Uuid>, pub bool, pub i64, pub i64);

/// How a login is known, the strongest evidence first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginEvidence {
    /// The session itself.
    Session = 0,
    /// An entry of Supabase Auth's audit log.
    AuditLog = 1,
    /// The user's last sign-in.
    SignIn = 2,
}

impl LoginEvidence {
    /// The name in events.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::AuditLog => "audit_log",
            Self::SignIn => "sign_in",
        }
    }
}

/// Logins, all known from the same kind of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedLogins {
    /// How the logins are known.
    pub evidence: LoginEvidence,
    /// The logins, one or more.
    pub logins: Vec<ImportedLogin>,
}

/// The login's id, who, and when in microseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedLogin(pub String, pub Uuid, pub i64);

/// Users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedUsers {
    /// Those who existed.
    #[serde(default)]
    pub there: Vec<Uuid>,
    /// Those who had existed and were deleted.
    #[serde(default)]
    #[serde(rename = "gone")]
    pub deleted: Vec<Uuid>,
}

/// Payments that the application recorded before memberflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedPayments {
    /// The rows.
    #[serde(default)]
    pub rows: Vec<ImportedPayment>,
    /// Imported rows that no longer exist.
    #[serde(default)]
    #[serde(rename = "gone")]
    pub deleted: Vec<ImportedPayment>,
}

/// A correction for a missing event of a row: the table's state follows what was reported last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corrected {
    /// The moment of what was reported last, in microseconds since the Unix epoch.
    pub at_us: i64,
    /// Earlier events that had reported a change away from the same state.
    #[serde(default)]
    pub left_before: u32,
    /// As a Database Webhook would have reported it, in its stored form.
    pub change: Value,
}

/// Microseconds since the Unix epoch as a date, or the epoch if out of range.
#[must_use]
pub fn from_unix_micros(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
