//! Database Webhooks and the database's own triggers: the state of application rows and files.
//!
//! The order of the webhooks is no order of events. Rows of tables that carry `updated_at` are placed by it;
//! the others all stand at the Unix epoch and are chained, each by the whole row that it says was there
//! before (by its fingerprint, for the row itself is not kept). A trigger numbers each change while it holds the
//! row, which is the order of that row's changes whatever the clocks say and in whatever order the transactions end. Of a row that triggers have reported
//! they alone decide; what a webhook tells of it counts only where no trigger did. A deletion is final,
//! whoever tells of it: ids are not used again.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::change::Change;
use super::tables::ActivityTables;
use super::{count, field};
use crate::envelope::Envelope;
use crate::project::meaning::{Evidence, Login, Report, UserSeen};
use crate::project::order::Stage;
use crate::project::{Meaning, Unreadable};

#[cfg(test)]
mod tests;

/// What an application row or a file counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `schema.table`
    pub relation: String,
    /// The row's primary key.
    pub row_id: String,
    /// Whose it is; none where the owner is no user.
    pub user_id: Option<Uuid>,
    /// It counts towards its metric (not deleted, not a draft, …).
    pub counted: bool,
    /// Bytes of a file, filled percent of a profile; otherwise 0.
    pub amount: i64,
}

/// What the names of events begin with that the database's own triggers tell. The number follows, and the moment in
/// microseconds, by which no name is given twice should a restored database give a number again.
pub use crate::envelope::TRIGGER;

/// A change as the database itself numbered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbered {
    number: i64,
    at: OffsetDateTime,
}

impl Numbered {
    /// The number in the event's name; none where the event is a webhook's.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Option<Self> {
        let number = envelope.event_id.strip_prefix(TRIGGER)?.split('/').next()?.parse().ok()?;
        Some(Self { number, at: envelope.occurred_at })
    }
}

/// What the body of a Database Webhook or of a trigger's event reports, as it was sent or as it is kept.
/// `numbered`: if it is a trigger's. `tables`: those whose rows count.
///
/// # Errors
/// [`Unreadable`] where the row of a table we count has no usable id.
pub fn read(body: &[u8], numbered: Option<Numbered>, tables: &ActivityTables) -> Result<Meaning, Unreadable> {
    let Some(change) = Change::of(body, numbered.is_some(), tables)? else { return Ok(Meaning::Nothing) };
    match change.relation.as_str() {
        "auth.users" => change.user(),
        "auth.sessions" => change.session(),
        _ => change.row(numbered, tables),
    }
}

/// The addresses of both rows: customers that lost a user by the change must be looked at, too.
fn emails(record: &Value, old_record: &Value) -> Vec<String> {
    let mut emails: Vec<String> =
        [record, old_record].into_iter().filter_map(|row| field::email(&row["email"])).collect();
    emails.dedup();
    emails
}

impl Change {
    /// The row as it is or, once it is deleted, as it last was.
    fn known(&self) -> &Value {
        if self.stage == Stage::Deleted { &self.old_record } else { &self.record }
    }

    /// A soft deletion (`deleted_at`) leaves the row, and the user, in place.
    fn user(&self) -> Result<Meaning, Unreadable> {
        let user = self.known();
        Ok(Meaning::User(UserSeen {
            user_id: field::uuid(&user["id"]).ok_or_else(|| self.missing("record.id"))?,
            emails: emails(&self.record, &self.old_record),
            is_gone: self.stage == Stage::Deleted,
        }))
    }

    /// Sessions are deleted at logout, which takes no login back. Those that an OAuth client was given
    /// are no logins.
    fn session(&self) -> Result<Meaning, Unreadable> {
        if self.stage == Stage::Deleted || !self.record["oauth_client_id"].is_null() {
            return Ok(Meaning::Nothing);
        }
        let session = &self.record;
        Ok(Meaning::Login(Login {
            evidence: Evidence::Session,
            session_id: field::id_like_uuid(&session["id"]).ok_or_else(|| self.missing("record.id"))?,
            user_id: field::uuid(&session["user_id"]).ok_or_else(|| self.missing("record.user_id"))?,
            logged_in_at: field::moment(&session["created_at"])
                .ok_or_else(|| self.missing("record.created_at"))?,
        }))
    }

    fn row(self, numbered: Option<Numbered>, tables: &ActivityTables) -> Result<Meaning, Unreadable> {
        let Some(count) = count::count(tables, &self.relation, self.known()) else {
            return Ok(Meaning::Nothing);
        };
        let row_id = count.row_id.ok_or_else(|| self.missing("record.id"))?;
        let is_final = self.stage == Stage::Deleted;
        let without = numbered.map_or(OffsetDateTime::UNIX_EPOCH, |change| change.at);
        let occurred_at = count.at.unwrap_or(without);
        let state = |state: Option<String>| state.map_or(Value::Null, Value::String);
        Ok(Meaning::Row(Report {
            subject: format!("{}/{row_id}", self.relation),
            occurred_at,
            number: numbered.map(|change| change.number),
            stage: self.stage,
            is_final,
            state: Row {
                relation: self.relation,
                row_id,
                user_id: count.user_id,
                counted: count.counted && !is_final,
                amount: count.amount,
            },
            object: state(self.state),
            previous: self.old_state.map(Value::String),
            corrects_after: None,
        }))
    }

    fn missing(&self, field: &'static str) -> Unreadable {
        let verb = match self.stage {
            Stage::Created => "insert",
            Stage::Updated => "update",
            Stage::Deleted => "delete",
        };
        Unreadable::Field { event_type: format!("{}.{verb}", self.relation), field }
    }
}
