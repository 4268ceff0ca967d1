//! Pending events: accepted, not applied yet. They are locked until applied, in the same transaction (`for
//! update skip locked`).

use std::borrow::Borrow;
use std::collections::HashSet;

use sqlx::{PgConnection, PgExecutor};

use super::in_order;
use crate::envelope::Envelope;

/// After so many crashed attempts of a batch each of its events is retried alone.
const ALONE_AFTER: i32 = 2;

/// The limits of one batch.
#[derive(Clone, Copy, Debug)]
pub struct LockLimits {
    /// Events.
    pub max_events: usize,
    /// Bytes of bodies. The last event may reach past this: a batch holds at least one.
    pub max_bytes: usize,
}

impl LockLimits {
    /// Whether a batch of these events is full, so that more may be pending.
    #[must_use]
    pub fn are_reached_by(self, events: &[Envelope]) -> bool {
        let bytes = || events.iter().map(|event| event.body.len()).sum::<usize>();
        events.len() >= self.max_events || bytes() >= self.max_bytes
    }
}

/// Stores `events` as pending, due at once. A dead one becomes pending again; others that exist are not
/// changed.
pub async fn insert(executor: impl PgExecutor<'_>, events: &[Envelope]) -> Result<(), sqlx::Error> {
    let events = in_order(events);
    sqlx::query(
        "with accepted as (
             insert into ingest.events as e
                 (source, event_id, event_type, occurred_at, received_at, body, state, next_attempt_at)
             select source, event_id, event_type, occurred_at, received_at, body, 'pending', now()
             from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bytea[])
                 as n (source, event_id, event_type, occurred_at, received_at, body)
             on conflict (source, event_id) do update set
                 state = 'pending', attempts = 0, alone = false, next_attempt_at = now(), reason = null, dead_at = null
                 where e.state = 'dead'
         )
         select ingest.wake_consumers()",
    )
    .bind(events.iter().map(|it| it.source.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|it| storable(&it.event_id)).collect::<Vec<_>>())
    .bind(events.iter().map(|it| storable(&it.event_type)).collect::<Vec<_>>())
    .bind(events.iter().map(|it| it.occurred_at).collect::<Vec<_>>())
    .bind(events.iter().map(|it| it.received_at).collect::<Vec<_>>())
    .bind(events.iter().map(|it| &it.body[..]).collect::<Vec<_>>())
    .execute(executor)
    .await?;
    Ok(())
}

/// Postgres text cannot hold NUL.
pub(in crate::store) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Locks the oldest due events that are not to be retried alone. Sizes are stored next to the bodies, so that
/// no more is read than fits.
///
/// Events beyond the limit of bytes are locked, too, because `skip locked` has to be applied before the sizes are
/// added up. That does no harm: other batches skip them and take later ones, and they are free again with the end of
/// this transaction, at most one batch later. The order of events does not change the result.
pub async fn lock_due(tx: &mut PgConnection, limits: LockLimits) -> Result<Vec<Envelope>, sqlx::Error> {
    sqlx::query_as(
        "with candidate as materialized (
             select source, event_id, event_type, occurred_at, received_at, body, next_attempt_at, id
             from ingest.events where state = 'pending' and not alone and next_attempt_at <= now()
             order by next_attempt_at, id limit $1 for update skip locked
         )
         select source, event_id, event_type, occurred_at, received_at, body
         from (select *, sum(octet_length(body)) over (order by next_attempt_at, id) - octet_length(body) as bytes_before
               from candidate) c
         where bytes_before < $2",
    )
    .bind(i64::try_from(limits.max_events).unwrap_or(i64::MAX))
    .bind(i64::try_from(limits.max_bytes).unwrap_or(i64::MAX))
    .fetch_all(tx)
    .await
}

/// Locks those of `events` that are still pending, not to be retried alone and not locked by others; returns for each
/// whether it was.
pub async fn lock(tx: &mut PgConnection, events: &[Envelope]) -> Result<Vec<bool>, sqlx::Error> {
    lock_by(tx, events, LOCK).await
}

/// Locks those of `events` that are still pending, including those to be retried alone; returns for each whether it
/// was. Their attempt is already recorded and has to be made, so this waits for a lock of others: a batch that began
/// before the record was committed locks the row before it sees that the row is no longer due.
pub async fn lock_for_recorded_attempt(
    tx: &mut PgConnection,
    events: &[Envelope],
) -> Result<Vec<bool>, sqlx::Error> {
    lock_by(tx, events, LOCK_FOR_RECORDED_ATTEMPT).await
}

/// The state is checked outside of the lateral query: inside, the planner could choose the index of pending events and
/// scan all of it for each event.
const LOCK: &str = "
    select e.source, e.event_id
    from unnest($1::text[], $2::text[]) as n (source, event_id)
    cross join lateral (
        select source, event_id, state, alone from ingest.events e
        where e.source = n.source and e.event_id = n.event_id
        limit 1 for update skip locked
    ) e
    where e.state = 'pending' and not e.alone";

const LOCK_FOR_RECORDED_ATTEMPT: &str = "
    select e.source, e.event_id
    from unnest($1::text[], $2::text[]) as n (source, event_id)
    cross join lateral (
        select source, event_id, state from ingest.events e
        where e.source = n.source and e.event_id = n.event_id
        limit 1 for update
    ) e
    where e.state = 'pending'";

async fn lock_by(
    tx: &mut PgConnection,
    events: &[Envelope],
    statement: &'static str,
) -> Result<Vec<bool>, sqlx::Error> {
    let rows: Vec<(String, String)> = sqlx::query_as(statement)
        .bind(events.iter().map(|it| it.source.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|it| it.event_id.as_str()).collect::<Vec<_>>())
        .fetch_all(tx)
        .await?;
    let locked: HashSet<(&str, &str)> =
        rows.iter().map(|(source, id)| (source.as_str(), id.as_str())).collect();
    Ok(events.iter().map(|it| locked.contains(&(it.source.as_str(), it.event_id.as_str()))).collect())
}

/// Adds `by` to the attempts of each of `events`: 1 records an attempt, -1 reverts it. After the former they are not due
/// for a moment, until they are locked again.
pub async fn adjust_attempts<E: Borrow<Envelope>>(
    executor: impl PgExecutor<'_>,
    events: &[E],
    by: i32,
) -> Result<(), sqlx::Error> {
    // Two arrays instead of a join, which might scan the table. An event with the same id of another source may be
    // counted too: it is only retried alone a little earlier. `state ||` keeps the planner from the index of pending
    // events, which it would scan completely.
    sqlx::query(
        "update ingest.events
         set attempts = greatest(attempts + $3, 0), alone = reason is not null or attempts + $3 > $4,
             next_attempt_at = now() + case when $3 > 0 then interval '2 s' else interval '0' end
         where source = any ($1) and event_id = any ($2) and state || '' = 'pending'",
    )
    .bind(sources(events))
    .bind(events.iter().map(|it| it.borrow().event_id.as_str()).collect::<Vec<_>>())
    .bind(by)
    .bind(ALONE_AFTER)
    .execute(executor)
    .await?;
    Ok(())
}

/// Each source once.
fn sources<E: Borrow<Envelope>>(events: &[E]) -> Vec<&'static str> {
    let sources: HashSet<&str> = events.iter().map(|it| it.borrow().source.as_str()).collect();
    sources.into_iter().collect()
}
