//! Events: which came, where each is now, and what it said.

mod trace;

use serde::Serialize;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;

use crate::envelope::Source;

pub use trace::{Fact, Trace, trace};

/// Where an event is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct Event {
    /// The provider's endpoint.
    pub source: String,
    /// The provider's name of it.
    pub event_id: String,
    /// The provider's type.
    pub event_type: String,
    /// The object that it is about, where it changes one.
    pub subject: Option<String>,
    /// When it happened, as the provider says.
    #[serde(with = "time::serde::rfc3339")]
    pub occurred_at: OffsetDateTime,
    /// When we were told.
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// `applied`, `waiting`, `failing` (tried again, next at `at`) or `dead`.
    pub state: String,
    /// When it came to that state; null while it waits.
    #[serde(with = "time::serde::rfc3339::option")]
    pub at: Option<OffsetDateTime>,
    /// Why it is dead, or what the last attempt said.
    pub reason: Option<String>,
    /// Why it was applied and changes nothing: `test_mode`, `live_mode`, `other_account:<id>` or `no_account`.
    pub not_counted: Option<String>,
}

/// Which of the events that were applied; all of what is said must hold.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Of this source.
    pub source: Option<String>,
    /// Of this type.
    pub event_type: Option<String>,
    /// About this object.
    pub subject: Option<String>,
    /// Applied since then.
    pub since: Option<OffsetDateTime>,
    /// Applied before then.
    pub until: Option<OffsetDateTime>,
}

/// The events that were applied last, the newest first, at most `limit`.
///
/// # Errors
/// Whatever the database says.
pub async fn list(pool: &PgPool, wanted: &Wanted, limit: i64) -> Result<Vec<Event>, sqlx::Error> {
    sqlx::query_as(
        "select source, event_id, event_type, subject, occurred_at, received_at, 'applied' as state,
                applied_at as at, null as reason, not_counted
         from ingest.events
         where state = 'applied' and ($1::text is null or source = $1) and ($2::text is null or event_type = $2)
           and ($3::text is null or subject = $3) and ($4::timestamptz is null or applied_at >= $4)
           and ($5::timestamptz is null or applied_at < $5)
         order by applied_at desc, received_at desc, source desc, event_id desc limit $6",
    )
    .bind(&wanted.source)
    .bind(&wanted.event_type)
    .bind(&wanted.subject)
    .bind(wanted.since)
    .bind(wanted.until)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// The events of this name, each with its body. Of several sources several may have one name.
///
/// # Errors
/// Whatever the database says.
pub async fn find(pool: &PgPool, event_id: &str) -> Result<Vec<(Event, Vec<u8>)>, sqlx::Error> {
    let events: Vec<(Event, Body)> = sqlx::query_as::<_, Found>(
        "select source, event_id, event_type, subject, occurred_at, received_at, not_counted, body,
                case when state <> 'pending' then state when alone then 'failing' else 'waiting' end as state,
                case state when 'applied' then applied_at when 'dead' then dead_at
                     else case when alone then next_attempt_at end end as at,
                case when state = 'pending' and alone then 'attempts: ' || attempts || coalesce('; ' || reason, '')
                     else reason end as reason
         from ingest.events where source = any ($2) and event_id = $1",
    )
    .bind(event_id)
    .bind(Source::QUEUED.into_iter().chain([Source::Internal]).map(Source::as_str).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(|found| (found.event, found.body))
    .collect();
    Ok(events)
}

type Body = Vec<u8>;

#[derive(FromRow)]
struct Found {
    #[sqlx(flatten)]
    event: Event,
    body: Body,
}
