//! `ingest.events`: every event once. This file marks events as applied and reads applied events.

pub(super) mod freshness;
pub(super) mod legacy_tables;
pub(super) mod not_counted;
pub mod pending;
pub mod prune;
pub mod retries;
pub(super) mod unknown_values;

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::{FromRow, PgConnection, Postgres, QueryBuilder, Row as _};
use time::OffsetDateTime;

use super::locks::{DERIVATION_LOCK, batch_lock};
use super::tables::Tables;
use crate::envelope::Envelope;
use crate::project::Payload;
use crate::project::internal::Internal;
use crate::project::stripe::{NotCounted, OriginFilter};

/// What identifies an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, FromRow)]
pub struct EventKey {
    /// The name of its source.
    pub source: String,
    /// Its id at the source.
    pub event_id: String,
}

impl From<&Envelope> for EventKey {
    fn from(envelope: &Envelope) -> Self {
        Self { source: envelope.source.as_str().to_owned(), event_id: envelope.event_id.clone() }
    }
}

/// A decoded event.
#[derive(Debug)]
pub struct DecodedEvent<'a> {
    /// The event as received.
    pub envelope: &'a Envelope,
    /// What it reports.
    pub payload: Payload,
}

impl DecodedEvent<'_> {
    /// What the columns `subject` and `occurred_at` store of an applied event: the object, and the moment in its
    /// history (of a row its `updated_at`), which replaces the event's own.
    fn subject_and_moment(&self) -> (Option<&str>, OffsetDateTime) {
        let payload = match &self.payload {
            Payload::NotCounted(event) => &event.payload,
            payload => payload,
        };
        match payload {
            Payload::Stripe(report) => (Some(&report.subject), report.occurred_at),
            Payload::Row(report) => (Some(&report.subject), report.occurred_at),
            Payload::Sms(report) => (Some(&report.sid), report.at),
            Payload::Thin { object_id } => (Some(object_id), self.envelope.occurred_at),
            Payload::Internal(Internal::ImportedSubscription(imported)) => {
                (imported.subscription.as_deref(), self.envelope.occurred_at)
            }
            _ => (None, self.envelope.occurred_at),
        }
    }
}

/// Where the bodies of a batch's events are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventBodies {
    /// With the events, from the broker or internal: they are sent to Postgres. A row may still exist.
    Given,
    /// In pending rows, which this transaction has locked: they are not sent again.
    Stored,
}

/// SQL: marks events as applied; returns the keys of those that were not applied before, and whether each is counted.
macro_rules! mark_applied {
    () => {
        "insert into ingest.events as e
             (source, event_id, event_type, subject, occurred_at, received_at, applied_at, body, not_counted, state)
         select source, event_id, event_type, subject, occurred_at, received_at, $8, body, not_counted, 'applied'
         from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bytea[],
                     $9::text[])
             as n (source, event_id, event_type, subject, occurred_at, received_at, body, not_counted)
         on conflict (source, event_id) do update set
             state = 'applied', subject = excluded.subject, occurred_at = excluded.occurred_at,
             applied_at = excluded.applied_at, not_counted = excluded.not_counted,
             alone = false, next_attempt_at = null, reason = null, dead_at = null
             where e.state <> 'applied'
         returning source, event_id, not_counted is null as is_counted"
    };
}

/// Aggregated first, so that the lock is taken when all events are marked: who holds it must not wait for events that a
/// waiting batch has marked.
const MARK_APPLIED_AND_LOCK: &str = concat!(
    "with marked as (",
    mark_applied!(),
    "), all_marked as materialized (
         select array_agg(source) as sources, array_agg(event_id) as event_ids, bool_or(is_counted) as any_counted
         from marked
     )
     select m.sources, m.event_ids, l.*
     from all_marked m left join lateral (select ",
    batch_lock!("$10", "$11"),
    " where m.any_counted) l on true
     where m.sources is not null"
);

/// Marks `events` as applied and returns those that were not applied before, ordered by key. Each event is
/// returned only once, even if it is repeated within a call.
pub async fn mark_applied<'a>(
    tx: &mut PgConnection,
    events: Vec<DecodedEvent<'a>>,
    bodies: EventBodies,
    now: OffsetDateTime,
) -> Result<Vec<DecodedEvent<'a>>, sqlx::Error> {
    let events = once_in_order(events);
    let marked = bind(sqlx::query_as(mark_applied!()), &events, bodies, now).fetch_all(tx).await?;
    Ok(retain(events, &marked))
}

/// The same for a batch. If any of its events is new and counted, it takes the derivation lock.
pub async fn mark_applied_and_lock<'a>(
    tx: &mut PgConnection,
    events: Vec<DecodedEvent<'a>>,
    bodies: EventBodies,
    now: OffsetDateTime,
) -> Result<Vec<DecodedEvent<'a>>, sqlx::Error> {
    let events = once_in_order(events);
    let marked: Option<(Vec<String>, Vec<String>)> =
        bind(sqlx::query_as(MARK_APPLIED_AND_LOCK), &events, bodies, now)
            .bind(DERIVATION_LOCK)
            .bind(Tables::Live.search_path())
            .fetch_optional(tx)
            .await?;
    let (sources, event_ids) = marked.unwrap_or_default();
    Ok(retain(events, &sources.into_iter().zip(event_ids).collect::<Vec<_>>()))
}

/// All writers use the same order: two batches with the same events cannot deadlock.
fn once_in_order(mut events: Vec<DecodedEvent<'_>>) -> Vec<DecodedEvent<'_>> {
    events.sort_by(|a, b| key(a.envelope).cmp(&key(b.envelope)));
    events.dedup_by(|a, b| key(a.envelope) == key(b.envelope));
    events
}

/// Binds the parameters of `mark_applied!`.
fn bind<'q, Key>(
    statement: QueryAs<'q, Postgres, Key, PgArguments>,
    events: &'q [DecodedEvent<'_>],
    bodies: EventBodies,
    now: OffsetDateTime,
) -> QueryAs<'q, Postgres, Key, PgArguments> {
    let body = |event: &'q DecodedEvent<'_>| match bodies {
        EventBodies::Given => &event.envelope.body[..],
        EventBodies::Stored => &[],
    };
    statement
        .bind(events.iter().map(|e| e.envelope.source.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.envelope.event_id.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.envelope.event_type.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.subject_and_moment().0).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.subject_and_moment().1).collect::<Vec<_>>())
        .bind(events.iter().map(|e| e.envelope.received_at).collect::<Vec<_>>())
        .bind(events.iter().map(body).collect::<Vec<_>>())
        .bind(now)
        .bind(events.iter().map(|e| e.payload.not_counted().map(NotCounted::code)).collect::<Vec<_>>())
}

/// Keeps those of `events` that are among the `marked` keys.
fn retain<'a>(mut events: Vec<DecodedEvent<'a>>, marked: &[(String, String)]) -> Vec<DecodedEvent<'a>> {
    let marked: HashSet<(&str, &str)> =
        marked.iter().map(|(source, event_id)| (source.as_str(), event_id.as_str())).collect();
    events.retain(|e| marked.contains(&key(e.envelope)));
    events
}

/// Events in the common order of all writers, without duplicates.
pub(crate) fn in_order(events: &[Envelope]) -> Vec<&Envelope> {
    let mut ordered: Vec<&Envelope> = events.iter().collect();
    ordered.sort_by(|a, b| key(a).cmp(&key(b)));
    ordered.dedup_by(|a, b| key(a) == key(b));
    ordered
}

fn key(envelope: &Envelope) -> (&str, &str) {
    (envelope.source.as_str(), &envelope.event_id)
}

/// Objects, each with a second of its history.
pub type ObjectSeconds = BTreeSet<(String, OffsetDateTime)>;

/// Limits for reading the events of one object and one second: an application may change a row many times
/// without changing its `updated_at`.
pub(super) const MAX_SAME_SECOND_EVENTS: i64 = 200;
const MAX_SAME_SECOND_BYTES: i64 = 8 << 20;

/// Events of the same object and second.
#[derive(Debug, Default)]
pub(super) struct SameSecondEvents {
    pub events: Vec<Envelope>,
    /// The seconds that have an event whose body was pruned.
    pub pruned: ObjectSeconds,
    /// The seconds that have more events than were read.
    pub truncated: ObjectSeconds,
}

#[derive(FromRow)]
struct SameSecondEvent {
    #[sqlx(flatten)]
    envelope: Envelope,
    subject: String,
    is_pruned: bool,
    /// How many events its second has.
    total: i64,
}

/// The events of the given subjects at the given seconds. If there are too many: deletions first, since they
/// are final, then those received last. Without pruned events that are not counted: they could never win, so they must
/// not make a second undecidable.
pub(super) async fn same_second_events(
    tx: &mut PgConnection,
    wanted: &BTreeSet<(&str, OffsetDateTime)>,
) -> Result<SameSecondEvents, sqlx::Error> {
    let rows: Vec<SameSecondEvent> = sqlx::query_as(
        "select i.source, i.event_id, i.event_type, i.occurred_at, i.received_at, i.body, w.subject,
                i.pruned_at is not null as is_pruned, n.total
         from unnest($1::text[], $2::timestamptz[]) as w (subject, occurred_at)
         cross join lateral (
             select c.*, sum(c.bytes) over (order by c.place) - c.bytes as bytes_before
             from (select p.source, p.event_id, coalesce(octet_length(p.body), 0) as bytes, count(*) over () as total,
                          row_number() over (order by p.event_type ~ '[.]deleted?$' desc, p.received_at desc,
                                                      p.event_id desc, p.source) as place
                   from ingest.events p where p.subject = w.subject and p.occurred_at = w.occurred_at
                     and (p.pruned_at is null or p.not_counted is null)) c
             where c.place <= $3
         ) n
         cross join lateral (
             select * from ingest.events i where i.source = n.source and i.event_id = n.event_id limit 1
         ) i
         where n.bytes_before < $4",
    )
    .bind(wanted.iter().map(|(subject, _)| *subject).collect::<Vec<_>>())
    .bind(wanted.iter().map(|(_, at)| *at).collect::<Vec<_>>())
    .bind(MAX_SAME_SECOND_EVENTS)
    .bind(MAX_SAME_SECOND_BYTES)
    .fetch_all(tx)
    .await?;
    let mut read = SameSecondEvents::default();
    let mut unread = HashMap::<(String, OffsetDateTime), i64>::new();
    for SameSecondEvent { envelope, subject, is_pruned, total } in rows {
        let second = (subject, envelope.occurred_at);
        *unread.entry(second.clone()).or_insert(total) -= 1;
        if is_pruned {
            read.pruned.insert(second);
        } else {
            read.events.push(envelope);
        }
    }
    read.truncated = unread.into_iter().filter(|(_, count)| *count > 0).map(|(second, _)| second).collect();
    Ok(read)
}

/// Bytes of bodies in a page (its last event may exceed it): an import event of a thousand rows is as long as
/// twenty others.
const PAGE_BYTES: i64 = 2 << 20;

/// An applied event, with its body.
#[derive(Debug, FromRow)]
pub struct AppliedEvent {
    /// The event.
    #[sqlx(flatten)]
    pub envelope: Envelope,
    /// When it was applied.
    pub applied_at: OffsetDateTime,
}

/// A page of applied events that have a body, after the key `after`, in the order of their keys: at most
/// `limit` events and [`PAGE_BYTES`].
pub async fn page(
    tx: &mut PgConnection,
    after: &EventKey,
    limit: i64,
) -> Result<Vec<AppliedEvent>, sqlx::Error> {
    sqlx::query_as(
        "select source, event_id, event_type, occurred_at, received_at, body, applied_at
         from (
             select p.*, sum(octet_length(body)) over (order by source, event_id) - octet_length(body) as bytes
             from (select * from ingest.events
                   where (source, event_id) > ($1, $2) and state = 'applied' and pruned_at is null
                   order by source, event_id limit $3) p
         ) p where bytes < $4 order by source, event_id",
    )
    .bind(&after.source)
    .bind(&after.event_id)
    .bind(limit)
    .bind(PAGE_BYTES)
    .fetch_all(tx)
    .await
}

/// Applied events that no object's id leads to; each kind has an index.
#[derive(Clone, Copy, Debug)]
pub(super) enum WithoutObject<'a> {
    /// About several objects, or about none.
    WithoutSubject,
    /// Not counted when applied, with these codes: no fact refers to them.
    NotCounted(&'a [String]),
}

/// The key and type of such an event.
#[derive(Debug, FromRow)]
pub(super) struct EventWithoutObject {
    #[sqlx(flatten)]
    pub key: EventKey,
    pub event_type: String,
}

/// Such events after the key `after`, in the order of their keys.
pub(super) async fn without_object(
    tx: &mut PgConnection,
    which: WithoutObject<'_>,
    after: &EventKey,
    limit: i64,
) -> Result<Vec<EventWithoutObject>, sqlx::Error> {
    let mut query = QueryBuilder::new(
        "select source, event_id, event_type from ingest.events where state = 'applied' and pruned_at is null and ",
    );
    match which {
        WithoutObject::WithoutSubject => query.push("subject is null"),
        WithoutObject::NotCounted(codes) => query.push("not_counted = any (").push_bind(codes).push(")"),
    };
    query.push(" and (source, event_id) > (").push_bind(&after.source).push(", ").push_bind(&after.event_id);
    query.push(") order by source, event_id limit ").push_bind(limit);
    query.build_query_as().fetch_all(tx).await
}

/// The codes in `not_counted` of events that `origin_filter` allows now.
pub(super) async fn codes_allowed_now(
    tx: &mut PgConnection,
    origin_filter: &OriginFilter,
) -> Result<Vec<String>, sqlx::Error> {
    let codes: Vec<String> =
        sqlx::query_scalar("select distinct not_counted from ingest.events where not_counted is not null")
            .fetch_all(tx)
            .await?;
    let is_allowed =
        |code: &String| NotCounted::of_code(code).is_some_and(|it| it.is_lifted_by(origin_filter));
    Ok(codes.into_iter().filter(is_allowed).collect())
}

/// The applied events with these keys that have a body.
pub async fn by_keys(tx: &mut PgConnection, keys: &[EventKey]) -> Result<Vec<Envelope>, sqlx::Error> {
    sqlx::query_as(
        "select i.source, i.event_id, i.event_type, i.occurred_at, i.received_at, i.body
         from unnest($1::text[], $2::text[]) as n (source, event_id)
         join ingest.events i using (source, event_id) where i.state = 'applied' and i.pruned_at is null",
    )
    .bind(keys.iter().map(|key| key.source.as_str()).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.event_id.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await
}

impl FromRow<'_, PgRow> for Envelope {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let source: &str = row.try_get("source")?;
        Ok(Self {
            source: source.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?,
            event_id: row.try_get("event_id")?,
            event_type: row.try_get("event_type")?,
            occurred_at: row.try_get("occurred_at")?,
            received_at: row.try_get("received_at")?,
            body: Bytes::from(row.try_get::<Vec<u8>, _>("body")?),
        })
    }
}
