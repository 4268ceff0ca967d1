//! The inbox: every event once, and the peers of a moment.

use std::collections::{BTreeSet, HashSet};

use bytes::Bytes;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;

use crate::envelope::{Envelope, Source};
use crate::project::Meaning;
use crate::project::internal::Internal;
use crate::project::stripe::NotCounted;

/// An event with what it means.
#[derive(Debug)]
pub struct Read {
    pub envelope: Envelope,
    pub meaning: Meaning,
}

impl Read {
    /// The object that the event is about, and the event's place in its history.
    fn subject(&self) -> (Option<&str>, OffsetDateTime) {
        self.subject_in(&self.meaning)
    }

    fn subject_in<'a>(&self, meaning: &'a Meaning) -> (Option<&'a str>, OffsetDateTime) {
        match meaning {
            Meaning::NotCounted(uncounted) => self.subject_in(&uncounted.meaning),
            Meaning::Stripe(report) => (Some(&report.subject), report.occurred_at),
            Meaning::Row(report) => (Some(&report.subject), report.occurred_at),
            Meaning::Thin { object_id } => (Some(object_id), self.envelope.occurred_at),
            Meaning::Internal(Internal::Found(found)) => {
                (found.subscription.as_deref(), self.envelope.occurred_at)
            }
            _ => (None, self.envelope.occurred_at),
        }
    }
}

/// Writes `events` and returns those that were not there before, in their order. Within one call and
/// between calls each event is returned once.
///
/// # Errors
/// Whatever the database says.
pub async fn insert(
    tx: &mut PgConnection,
    mut events: Vec<Read>,
    now: OffsetDateTime,
) -> Result<Vec<Read>, sqlx::Error> {
    // One order for all writers: two batches with the same events wait for each other, never in a circle.
    events.sort_by(|a, b| key(&a.envelope).cmp(&key(&b.envelope)));
    events.dedup_by(|a, b| key(&a.envelope) == key(&b.envelope));
    let rows = sqlx::query(
        "insert into ingest.inbox
             (source, event_id, event_type, subject, occurred_at, received_at, applied_at, body, not_counted)
         select source, event_id, event_type, subject, occurred_at, received_at, $8, body, not_counted
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bytea[],
                     $9::text[])
             as e (source, event_id, event_type, subject, occurred_at, received_at, body, not_counted)
         on conflict do nothing
         returning source, event_id",
    )
    .bind(events.iter().map(|e| e.envelope.source.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.envelope.event_id.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.envelope.event_type.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.subject().0).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.subject().1).collect::<Vec<_>>())
    .bind(events.iter().map(|e| e.envelope.received_at).collect::<Vec<_>>())
    .bind(events.iter().map(|e| &e.envelope.body[..]).collect::<Vec<_>>())
    .bind(now)
    .bind(events.iter().map(|e| e.meaning.not_counted().map(NotCounted::code)).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let new: HashSet<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    events.retain(|e| new.contains(&(e.envelope.source.as_str().to_owned(), e.envelope.event_id.clone())));
    Ok(events)
}

fn key(envelope: &Envelope) -> (Source, &str) {
    (envelope.source, &envelope.event_id)
}

/// Moments in the history of objects.
pub type Moments = BTreeSet<(String, OffsetDateTime)>;

/// All events of the given subjects at the given moments; and the moments of which some event has no body any more
/// that counted.
///
/// # Errors
/// Whatever the database says.
pub async fn peers(
    tx: &mut PgConnection,
    wanted: &BTreeSet<(&str, OffsetDateTime)>,
) -> Result<(Vec<Envelope>, Moments), sqlx::Error> {
    let rows = sqlx::query(
        "select i.source, i.event_id, i.event_type, i.occurred_at, i.received_at, i.body, i.subject,
                i.pruned_at is not null
         from unnest($1::text[], $2::timestamptz[]) as w (subject, occurred_at)
         join ingest.inbox i using (subject, occurred_at)
         where i.pruned_at is null or i.not_counted is null",
    )
    .bind(wanted.iter().map(|(subject, _)| *subject).collect::<Vec<_>>())
    .bind(wanted.iter().map(|(_, at)| *at).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let (mut events, mut pruned) = (Vec::new(), Moments::new());
    for row in &rows {
        if row.try_get(7)? {
            pruned.insert((row.try_get(6)?, row.try_get(3)?));
        } else {
            events.push(envelope(row)?);
        }
    }
    Ok((events, pruned))
}

/// Bytes of bodies in a page, but for its last event: one that tells of a thousand rows is as long as twenty
/// others.
const PAGE_BYTES: i64 = 2 << 20;

/// The events with a body after `position`, in the order of their names, each with the moment at which it was applied: at
/// most `limit`, and no more than fit in memory at once.
///
/// # Errors
/// Whatever the database says.
pub async fn page(
    tx: &mut PgConnection,
    position: &(String, String),
    limit: i64,
) -> Result<Vec<(Envelope, OffsetDateTime)>, sqlx::Error> {
    let rows = sqlx::query(
        "select source, event_id, event_type, occurred_at, received_at, body, applied_at
         from (
             select p.*, sum(octet_length(body)) over (order by source, event_id) - octet_length(body) as bytes
             from (select * from ingest.inbox where (source, event_id) > ($1, $2) and pruned_at is null
                   order by source, event_id limit $3) p
         ) p where bytes < $4 order by source, event_id",
    )
    .bind(&position.0)
    .bind(&position.1)
    .bind(limit)
    .bind(PAGE_BYTES)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok((envelope(row)?, row.try_get(6)?))).collect()
}

/// The events of these names that have their bodies.
///
/// # Errors
/// Whatever the database says.
pub async fn named(tx: &mut PgConnection, names: &[(String, String)]) -> Result<Vec<Envelope>, sqlx::Error> {
    let rows = sqlx::query(
        "select i.source, i.event_id, i.event_type, i.occurred_at, i.received_at, i.body
         from unnest($1::text[], $2::text[]) as n (source, event_id)
         join ingest.inbox i using (source, event_id) where i.pruned_at is null",
    )
    .bind(names.iter().map(|(source, _)| source.as_str()).collect::<Vec<_>>())
    .bind(names.iter().map(|(_, event_id)| event_id.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    rows.iter().map(envelope).collect()
}

fn envelope(row: &sqlx::postgres::PgRow) -> Result<Envelope, sqlx::Error> {
    let source: String = row.try_get(0)?;
    Ok(Envelope {
        source: source.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
        event_id: row.try_get(1)?,
        event_type: row.try_get(2)?,
        occurred_at: row.try_get(3)?,
        received_at: row.try_get(4)?,
        body: Bytes::from(row.try_get::<Vec<u8>, _>(5)?),
    })
}
