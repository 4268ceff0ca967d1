//! Database Webhooks and the database's own triggers: the state of application rows and files.
//!
//! Webhooks arrive in any order. Rows of tables with `updated_at` are ordered by it; the others all have the
//! Unix epoch as moment and are ordered by the fingerprints of the whole previous rows. A trigger numbers
//! each change under the row lock, which is the order of that row's changes whatever the clocks say and
//! whenever the transactions commit. Once triggers have reported a row, only they decide; webhooks count only
//! for rows without trigger events. A deletion is final, whoever reports it: ids are not reused.

use serde_json::Value;
use time::OffsetDateTime;

use super::change::Change;
use super::count::{self, Row};
use super::field;
use super::tables::ActivityTables;
use crate::envelope::Envelope;
use crate::project::internal::LoginEvidence;
use crate::project::order::ChangeKind;
use crate::project::payload::{Login, Report, UserReport};
use crate::project::{DecodeError, Payload};

#[cfg(test)]
mod tests;

/// The prefix of ids of trigger events. The sequence number follows, and the time in microseconds, so that a restored
/// database that repeats a number does not repeat an id.
pub use crate::envelope::TRIGGER;

/// What the id and the time of a trigger's event say of the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TriggerChange {
    sequence: i64,
    at: OffsetDateTime,
}

impl TriggerChange {
    /// The sequence number in the event's id; `None` for a webhook.
    #[must_use]
    pub fn of(envelope: &Envelope) -> Option<Self> {
        let sequence = envelope.event_id.strip_prefix(TRIGGER)?.split('/').next()?.parse().ok()?;
        Some(Self { sequence, at: envelope.occurred_at })
    }
}

/// Decodes the body of a Database Webhook or of a trigger event, as sent or as stored. `trigger_change`: for a
/// trigger event. `tables`: those whose rows are counted.
///
/// # Errors
/// [`DecodeError`], if the row of a counted table has no usable id.
pub fn decode(
    body: &[u8],
    trigger_change: Option<TriggerChange>,
    tables: &ActivityTables,
) -> Result<Payload, DecodeError> {
    let Some(change) = Change::of(body, trigger_change.is_some(), tables)? else {
        return Ok(Payload::Ignored);
    };
    match change.relation.as_str() {
        "auth.users" => change.user(),
        "auth.sessions" => change.session(),
        _ => change.row(trigger_change, tables),
    }
}

/// The addresses of both rows: customers that lost a user by the change are affected too.
fn emails(record: &Value, old_record: &Value) -> Vec<String> {
    let mut emails: Vec<String> =
        [record, old_record].into_iter().filter_map(|row| field::email(&row["email"])).collect();
    emails.dedup();
    emails
}

impl Change {
    /// The row as it is or, once it is deleted, as it last was.
    fn known(&self) -> &Value {
        if self.change_kind == ChangeKind::Deleted { &self.old_record } else { &self.record }
    }

    /// A soft deletion (`deleted_at`) leaves the row, and the user, in place.
    fn user(&self) -> Result<Payload, DecodeError> {
        let user = self.known();
        Ok(Payload::User(UserReport {
            user_id: field::uuid(&user["id"]).ok_or_else(|| self.missing("record.id"))?,
            emails: emails(&self.record, &self.old_record),
            is_deleted: self.change_kind == ChangeKind::Deleted,
        }))
    }

    /// Sessions are deleted at logout, which does not undo the login. Sessions of OAuth clients are not
    /// logins.
    fn session(&self) -> Result<Payload, DecodeError> {
        if self.change_kind == ChangeKind::Deleted || !self.record["oauth_client_id"].is_null() {
            return Ok(Payload::Ignored);
        }
        let session = &self.record;
        Ok(Payload::Login(Login {
            evidence: LoginEvidence::Session,
            session_id: field::id_like_uuid(&session["id"]).ok_or_else(|| self.missing("record.id"))?,
            user_id: field::uuid(&session["user_id"]).ok_or_else(|| self.missing("record.user_id"))?,
            logged_in_at: field::moment(&session["created_at"])
                .ok_or_else(|| self.missing("record.created_at"))?,
        }))
    }

    fn row(
        self,
        trigger_change: Option<TriggerChange>,
        tables: &ActivityTables,
    ) -> Result<Payload, DecodeError> {
        let Some(count) = count::count(tables, &self.relation, self.known()) else {
            return Ok(Payload::Ignored);
        };
        let row_id = count.row_id.ok_or_else(|| self.missing("record.id"))?;
        let is_final = self.change_kind == ChangeKind::Deleted;
        let without = trigger_change.map_or(OffsetDateTime::UNIX_EPOCH, |change| change.at);
        let occurred_at = count.at.unwrap_or(without);
        let state = |state: Option<String>| state.map_or(Value::Null, Value::String);
        Ok(Payload::Row(Report {
            subject: format!("{}/{row_id}", self.relation),
            occurred_at,
            sequence: trigger_change.map(|change| change.sequence),
            change_kind: self.change_kind,
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
            departures_before: None,
        }))
    }

    fn missing(&self, field: &'static str) -> DecodeError {
        let verb = match self.change_kind {
            ChangeKind::Created => "insert",
            ChangeKind::Updated => "update",
            ChangeKind::Deleted => "delete",
        };
        DecodeError::Field { event_type: format!("{}.{verb}", self.relation), field }
    }
}
