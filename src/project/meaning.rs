//! From an envelope to what it reports.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::internal::Internal;
use super::order::Stage;
use super::stripe::{Admission, NotCounted, StripeObject};
use super::supabase::row::Numbered;
use super::supabase::{ActivityTables, Row};
use super::twilio::SmsReport;
use super::{stripe, supabase, twilio};
use crate::envelope::{Envelope, Origin, Source};

/// What one event reports.
#[derive(Clone, Debug)]
pub enum Meaning {
    /// The state of a Stripe object.
    Stripe(Box<Report<StripeObject>>),
    /// The state of an application row or a file.
    Row(Report<Row>),
    /// Somebody logged in.
    Login(Login),
    /// A user appeared, changed or went away.
    User(UserSeen),
    /// What became of a text message.
    Sms(Box<SmsReport>),
    /// What memberflow decided from the state of the database.
    Internal(Internal),
    /// Something happened to a Stripe object, whose state only the API can tell.
    Thin {
        /// The object's id.
        object_id: String,
    },
    /// Nothing that a table depends on.
    Nothing,
    /// An event of a mode or an account that does not count.
    NotCounted(Box<Uncounted>),
}

/// An event that does not count.
#[derive(Clone, Debug)]
pub struct Uncounted {
    /// Why.
    pub reason: NotCounted,
    /// What it would report if it did: so it is found under its object once the settings let it count.
    pub meaning: Meaning,
}

/// The state of one object as one event tells it.
#[derive(Clone, Debug)]
pub struct Report<T> {
    /// The object's id, unique over all kinds: `sub_…`, `public.vision_versions/<id>`.
    pub subject: String,
    /// The event's place in the object's history: Stripe's `created`, a row's `updated_at`; where a
    /// table has none, the Unix epoch for all of a row's events, so that they are chained instead.
    pub occurred_at: OffsetDateTime,
    /// The number that the database itself gave the change under the row's lock, where a trigger tells of it.
    /// Among the reports of one object those with a number are later than those without, and the higher is
    /// later than the lower, whatever the clocks say.
    pub number: Option<i64>,
    /// The part of the object's life that the event belongs to.
    pub stage: Stage,
    /// The object can never leave this state.
    pub is_final: bool,
    /// What is kept of the state.
    pub state: T,
    /// The whole object as the event shows it, for chaining.
    pub object: Value,
    /// The values before this event of what it changed, where the event says.
    pub previous: Option<Value>,
    /// Of a correction, which stands for events that are missing: how many others had reported by then of a change
    /// away from what was there before.
    pub corrects_after: Option<u32>,
}

impl Meaning {
    /// Lets go of the whole objects.
    #[must_use]
    fn without_objects(mut self) -> Self {
        match &mut self {
            Self::Stripe(report) => report.forget_object(),
            Self::Row(report) => report.forget_object(),
            Self::NotCounted(uncounted) => {
                let meaning = std::mem::replace(&mut uncounted.meaning, Self::Nothing);
                uncounted.meaning = meaning.without_objects();
            }
            _ => {}
        }
        self
    }

    /// Why the event does not count, if it does not.
    #[must_use]
    pub fn not_counted(&self) -> Option<&NotCounted> {
        if let Self::NotCounted(uncounted) = self { Some(&uncounted.reason) } else { None }
    }
}

impl<T> Report<T> {
    fn forget_object(&mut self) {
        self.object = Value::Null;
        self.previous = None;
    }
}

/// What a login is known from, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The session itself.
    Session = 0,
    /// An entry of Supabase Auth's audit log.
    AuditLog = 1,
    /// The user's last sign-in.
    SignIn = 2,
}

impl Evidence {
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

/// A login, which is a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The session's id; where less than a session is known, a name of its own.
    pub session_id: String,
    /// What is known.
    pub evidence: Evidence,
    /// Who logged in.
    pub user_id: Uuid,
    /// The moment that this report gives; the earliest of all reports counts.
    pub logged_in_at: OffsetDateTime,
}

/// News of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSeen {
    /// Who.
    pub user_id: Uuid,
    /// The e-mail addresses that the event gives, now and before, in lower case.
    pub emails: Vec<String>,
    /// The row is gone for good.
    pub is_gone: bool,
}

/// The event's body can't be read, now or ever: a dead letter.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not JSON after all (the door looks only at the envelope's fields).
    #[error("the body is not valid JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// A field without which the event has no meaning is missing or of the wrong type.
    #[error("{event_type} has no usable {field}")]
    Field {
        /// The event's type.
        event_type: String,
        /// The field's path in the body.
        field: &'static str,
    },
}

/// What of the settings decides how an event is read.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The metadata keys that name a user, strongest first.
    pub user_id_keys: Vec<String>,
    /// The tables whose rows count.
    pub tables: ActivityTables,
    /// Which of Stripe's events count.
    pub admission: Admission,
    /// The Twilio account whose messages count; none: all do.
    pub twilio_account: Option<String>,
}

/// What `envelope` reports.
///
/// # Errors
/// [`Unreadable`] where the body has no meaning and never will.
pub fn read(envelope: &Envelope, reading: &Reading) -> Result<Meaning, Unreadable> {
    let body = &envelope.body[..];
    match envelope.source {
        Source::Stripe => read_stripe(serde_json::from_slice(body)?, reading),
        Source::SupabaseAuth => supabase::auth_hook::read(body),
        Source::SupabaseDatabase => supabase::row::read(body, Numbered::of(envelope), &reading.tables),
        Source::Twilio => {
            let account = twilio::account(body)?;
            let is_another = |of: &String| reading.twilio_account.as_ref().is_some_and(|ours| ours != of);
            let meaning = twilio::read(envelope)?;
            Ok(match account.filter(is_another) {
                Some(account) => {
                    let reason = NotCounted::OtherTwilioAccount(account);
                    Meaning::NotCounted(Box::new(Uncounted { reason, meaning }))
                }
                None => meaning,
            })
        }
        Source::Internal => match serde_json::from_slice(body)? {
            Internal::Snapshot(snapshot) => {
                let origin = snapshot.origin();
                counted(reading, &origin, || stripe::read_snapshot(snapshot, &reading.user_id_keys))
            }
            Internal::Corrected(corrected) => corrected.meaning(&reading.tables),
            internal => Ok(Meaning::Internal(internal)),
        },
    }
}

/// The same without the whole objects, which only chaining needs: they take the most time and, in a batch, memory.
///
/// # Errors
/// As [`read`].
pub fn read_states(envelope: &Envelope, reading: &Reading) -> Result<Meaning, Unreadable> {
    let meaning = match envelope.source {
        Source::Stripe => read_stripe(stripe::read_fields(&envelope.body)?, reading),
        _ => read(envelope, reading),
    };
    meaning.map(Meaning::without_objects)
}

fn read_stripe(event: Value, reading: &Reading) -> Result<Meaning, Unreadable> {
    let origin = Origin::of_event(&event);
    counted(reading, &origin, || stripe::read(event, &reading.user_id_keys))
}

/// What is read, if what comes from `origin` counts. What does not is never unreadable: it is kept as it is.
fn counted(
    reading: &Reading,
    origin: &Origin,
    read: impl FnOnce() -> Result<Meaning, Unreadable>,
) -> Result<Meaning, Unreadable> {
    match reading.admission.check(origin) {
        Ok(()) => read(),
        Err(reason) => {
            let meaning = read().unwrap_or(Meaning::Nothing);
            Ok(Meaning::NotCounted(Box::new(Uncounted { reason, meaning })))
        }
    }
}
