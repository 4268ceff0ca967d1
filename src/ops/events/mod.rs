//! Events with their state and body.

mod about;
mod body;
mod list;
mod matching;
mod minimal;
mod owners;
mod trace;

use std::str::FromStr;

use serde::Serialize;
use serde_json::json;
use sqlx::{FromRow, PgPool, QueryBuilder};
use time::OffsetDateTime;

use crate::envelope::Source;
use crate::store::audit::{self, Act};

pub(super) use about::{NAMES_USER, USER_NAMED};
pub use body::{body, lines};
pub use list::{Filter, Page, count, list, newest};
pub use matching::matching;
pub use minimal::minimal;
pub use owners::{Owner, owners};
pub use trace::{Change, Fact, Trace, show, trace};

/// An event and its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
pub struct Event {
    /// The provider's endpoint.
    pub source: String,
    /// The provider's name of it.
    pub event_id: String,
    /// The provider's type.
    pub event_type: String,
    /// The object that it is about, if any.
    pub subject: Option<String>,
    /// When it occurred, by the provider.
    #[serde(with = "time::serde::rfc3339")]
    pub occurred_at: OffsetDateTime,
    /// When it was received.
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// `applied`, `waiting`, `failing` (retried next at `at`) or `dead`.
    pub state: String,
    /// When it reached that state; null while it waits.
    #[serde(with = "time::serde::rfc3339::option")]
    pub at: Option<OffsetDateTime>,
    /// Why it is dead, or the error of the last attempt.
    pub reason: Option<String>,
    /// Why it was applied but does not count: `test_mode`, `live_mode`, `other_account:<id>` or `no_account`.
    pub not_counted: Option<String>,
    /// How often it was tried; 0 while it waits for the first time.
    pub attempts: i32,
}

impl Event {
    /// From receipt to applied, in seconds; `None` unless it is applied.
    #[must_use]
    pub fn latency_s(&self) -> Option<f64> {
        let applied_at = self.at.filter(|_| self.state == State::Applied.as_str())?;
        Some((applied_at - self.received_at).as_seconds_f64().max(0.0))
    }
}

/// The state of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Applied.
    Applied,
    /// Accepted, not tried yet.
    Waiting,
    /// Failed, and will be retried.
    Failing,
    /// Dead-lettered until it is redriven.
    Dead,
}

/// What a state can be.
pub const STATES: [&str; 4] =
    [State::Applied.as_str(), State::Waiting.as_str(), State::Failing.as_str(), State::Dead.as_str()];

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Applied, Self::Waiting, Self::Failing, Self::Dead];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Waiting => "waiting",
            Self::Failing => "failing",
            Self::Dead => "dead",
        }
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|state| state.as_str() == text);
        named.ok_or_else(|| crate::ops::unknown_value("state", text, &Self::ALL.map(Self::as_str)))
    }
}

/// The columns of an [`Event`].
pub(super) const EVENT: &str = "
select source, event_id, event_type, subject, occurred_at, received_at, not_counted,
       case when state <> 'pending' then state when alone then 'failing' else 'waiting' end as state,
       case state when 'applied' then applied_at when 'dead' then dead_at
            else case when alone then next_attempt_at end end as at,
       case when state = 'pending' and alone then 'attempts: ' || attempts || coalesce('; ' || reason, '')
            else reason end as reason,
       case when state = 'pending' then attempts else greatest(attempts, 1) end as attempts";

/// The `like` pattern of a pattern in which `*` matches anything.
pub(super) fn like(pattern: &str) -> String {
    pattern.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_").replace('*', "%")
}

/// The events with this id, each with its body: several sources may use the same id.
pub async fn find(pool: &PgPool, event_id: &str) -> Result<Vec<(Event, Vec<u8>)>, sqlx::Error> {
    let sources: Vec<&str> =
        Source::QUEUED.into_iter().chain([Source::Internal]).map(Source::as_str).collect();
    find_in(pool, &sources, event_id).await
}

/// The event with this id and source, with its body; `None` if there is none.
pub async fn find_one(
    pool: &PgPool,
    source: &str,
    event_id: &str,
) -> Result<Option<(Event, Vec<u8>)>, sqlx::Error> {
    Ok(find_in(pool, &[source], event_id).await?.pop())
}

/// The same, of these sources.
async fn find_in(pool: &PgPool, sources: &[&str], event_id: &str) -> Result<Vec<(Event, Body)>, sqlx::Error> {
    let mut query = QueryBuilder::new(EVENT);
    query.push(", body from ingest.events where source = any (").push_bind(sources);
    query.push(") and event_id = ").push_bind(event_id);
    let rows: Vec<EventRow> = query.build_query_as().fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| (row.event, row.body)).collect())
}

/// Records in the audit log that `actor` opened an event's body, which may hold personal data.
pub async fn note_opened(
    pool: &PgPool,
    event: &Event,
    actor: &str,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let act = Act {
        actor,
        act: "events open",
        arguments: json!({"source": event.source, "event_id": event.event_id}),
        outcome: json!({"events": [format!("{}/{}", event.source, event.event_id)]}),
    };
    audit::record(&mut *pool.acquire().await?, act, now).await
}

type Body = Vec<u8>;

#[derive(FromRow)]
struct EventRow {
    #[sqlx(flatten)]
    event: Event,
    body: Body,
}
