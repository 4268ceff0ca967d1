//! The decoded payload of an event: what it reports.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::internal::{Internal, LoginEvidence};
use super::order::ChangeKind;
use super::stripe::{NotCounted, StripeObject};
use super::supabase::Row;
use super::twilio::SmsReport;

/// What one event reports.
#[derive(Clone, Debug)]
pub enum Payload {
    /// The state of a Stripe object.
    Stripe(Box<Report<StripeObject>>),
    /// The state of an application row or a file.
    Row(Report<Row>),
    /// Somebody logged in.
    Login(Login),
    /// A user was created, changed or deleted.
    User(UserReport),
    /// The state of a text message.
    Sms(Box<SmsReport>),
    /// What memberflow decided from the state of the database.
    Internal(Internal),
    /// A Stripe object changed; its state must be fetched from the API.
    Thin {
        /// The object's id.
        object_id: String,
    },
    /// Nothing that a table depends on: stored, but changes nothing else.
    Ignored,
    /// An event of another mode or account: stored, excluded from all tables.
    NotCounted(Box<NotCountedEvent>),
}

/// An event that is stored but excluded from all tables.
#[derive(Clone, Debug)]
pub struct NotCountedEvent {
    /// The reason.
    pub reason: NotCounted,
    /// What it would report if it were counted: the event is stored with this object's id, by which it is found when the
    /// settings change.
    pub payload: Payload,
}

/// The state of one object as one event reports it.
#[derive(Clone, Debug)]
pub struct Report<T> {
    /// The object's id, unique over all kinds: `sub_…`, `public.vision_versions/<id>`.
    pub subject: String,
    /// The event's moment in the object's history: Stripe's `created`, or a row's `updated_at`. For tables
    /// without it, the Unix epoch for all events, which `order` then puts in order.
    pub occurred_at: OffsetDateTime,
    /// The sequence number that a trigger gave the change under the row lock. Reports of an object with
    /// one are later than those without, and higher ones later than lower ones, whatever the clocks say.
    pub sequence: Option<i64>,
    /// Creation, update or deletion.
    pub change_kind: ChangeKind,
    /// The object can never leave this state.
    pub is_final: bool,
    /// The stored part of the state.
    pub state: T,
    /// The whole object as the event shows it, for `order`.
    pub object: Value,
    /// The previous values of what the event changed, if reported.
    pub previous: Option<Value>,
    /// Of a correction, an internal event that stands for a row's change that no event reported: how many events had reported a change away from the same previous
    /// state.
    pub departures_before: Option<u32>,
}

impl Payload {
    /// Drops the whole objects.
    #[must_use]
    pub(super) fn without_objects(mut self) -> Self {
        match &mut self {
            Self::Stripe(report) => report.forget_object(),
            Self::Row(report) => report.forget_object(),
            Self::NotCounted(event) => {
                let payload = std::mem::replace(&mut event.payload, Self::Ignored);
                event.payload = payload.without_objects();
            }
            _ => {}
        }
        self
    }

    /// Why the event is not counted, if it is not.
    #[must_use]
    pub fn not_counted(&self) -> Option<&NotCounted> {
        if let Self::NotCounted(event) = self { Some(&event.reason) } else { None }
    }
}

impl<T> Report<T> {
    fn forget_object(&mut self) {
        self.object = Value::Null;
        self.previous = None;
    }
}

/// A login, which creates a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The session's id; with weaker evidence an id of its own.
    pub session_id: String,
    /// How the login is known.
    pub evidence: LoginEvidence,
    /// Who logged in.
    pub user_id: Uuid,
    /// The reported time; the earliest of all reports counts.
    pub logged_in_at: OffsetDateTime,
}

/// A report about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserReport {
    /// Who.
    pub user_id: Uuid,
    /// The present and previous e-mail addresses in the event, in lower case.
    pub emails: Vec<String>,
    /// The row was deleted.
    pub is_deleted: bool,
}

/// The event's body can never be decoded: a dead letter.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON (the endpoint parses only the envelope's fields).
    #[error("the body is not valid JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// A required field is missing or of the wrong type.
    #[error("{event_type}: {field} is missing or invalid")]
    Field {
        /// The event's type.
        event_type: String,
        /// The field's path in the body.
        field: &'static str,
    },
}
