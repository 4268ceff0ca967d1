//! Failed events: pending, retried alone with growing delays, and finally dead-lettered.

use std::borrow::Borrow;

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;

use super::key;
use super::pending::{self, storable};
use crate::envelope::Envelope;
use crate::store::{Store, StoreError};

/// Attempts after which an event is dead-lettered.
pub const ATTEMPTS: i32 = 5;

/// An event that is due for a retry alone.
#[derive(Debug, FromRow)]
pub struct DueRetry {
    /// The event.
    #[sqlx(flatten)]
    pub envelope: Envelope,
    /// Which attempt this is.
    pub attempts: i32,
    /// The error of the last attempt.
    pub reason: Option<String>,
}

impl Store {
    /// Schedules an event that failed in its batch for a retry alone. One that is scheduled already is not
    /// changed.
    pub async fn schedule_retry(&self, event: &Envelope, reason: &str) -> Result<(), StoreError> {
        sqlx::query(
            "insert into ingest.events as e
                 (source, event_id, event_type, occurred_at, received_at, body, state, attempts, alone, reason, next_attempt_at)
             values ($1, $2, $3, $4, $5, $6, 'pending', 1, true, $7, now() + interval '2 s')
             on conflict (source, event_id) do update set
                 state = 'pending', attempts = case e.state when 'dead' then 1 else greatest(e.attempts, 1) end,
                 alone = true, reason = excluded.reason, next_attempt_at = excluded.next_attempt_at, dead_at = null
                 where e.state = 'dead' or e.state = 'pending' and e.reason is null",
        )
        .bind(event.source.as_str())
        .bind(storable(&event.event_id))
        .bind(storable(&event.event_type))
        .bind(event.occurred_at)
        .bind(event.received_at)
        .bind(&event.body[..])
        .bind(storable(reason))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Stores events that crashed consumers repeatedly as pending, because the attempts at pending events are counted.
    pub async fn store_suspects(&self, events: &[Envelope]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        Ok(pending::insert(&self.pool, events).await?)
    }

    /// Begins an attempt at the next due event. The attempt is counted and the next one scheduled first, in
    /// case the process crashes.
    pub async fn begin_retry(&self) -> Result<Option<DueRetry>, StoreError> {
        let due = sqlx::query_as(
            "update ingest.events e
             set attempts = e.attempts + 1,
                 next_attempt_at = now()
                     + coalesce((array['2 s', '10 s', '1 min']::interval[])[e.attempts + 1], interval '5 min')
             where (e.source, e.event_id) = (
                 select source, event_id from ingest.events
                 where state = 'pending' and alone and next_attempt_at <= now()
                 order by next_attempt_at, id limit 1 for update skip locked)
             returning e.source, e.event_id, e.event_type, e.occurred_at, e.received_at, e.body, e.attempts, e.reason",
        )
        .fetch_optional(&self.pool)
        .await?;
        Ok(due)
    }

    /// Records why the attempt failed.
    pub async fn record_failure(&self, event: &Envelope, reason: &str) -> Result<(), StoreError> {
        sqlx::query(
            "update ingest.events set reason = $3 where source = $1 and event_id = $2 and state || '' = 'pending'",
        )
        .bind(event.source.as_str())
        .bind(&event.event_id)
        .bind(storable(reason))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Takes back an attempt that could not be made.
    pub async fn revert_attempt(&self, event: &Envelope) -> Result<(), StoreError> {
        Ok(pending::adjust_attempts(&self.pool, &[event], -1).await?)
    }

    /// Dead-letters events, each with its reason. An event that was applied (the ack may have been lost)
    /// stays applied, and one that is dead already keeps its reason.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn dead_letter<E: Borrow<Envelope> + Sync>(
        &self,
        dead: &[(E, String)],
    ) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        Ok(dead_letter(&mut connection, dead, self.clock.now()).await?)
    }

    /// Whether the database can be reached: if so, a failure is the event's fault.
    pub async fn is_reachable(&self) -> bool {
        sqlx::query("select 1").execute(&self.pool).await.is_ok()
    }
}

/// Logs that `event` is a dead letter.
pub fn log_dead_letter(event: &Envelope, reason: &str) {
    tracing::error!(source = %event.source, event_id = event.event_id, reason, "event dead-lettered");
}

/// [`Store::dead_letter`] within a transaction.
pub(in crate::store) async fn dead_letter<E: Borrow<Envelope> + Sync>(
    tx: &mut PgConnection,
    dead: &[(E, String)],
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if dead.is_empty() {
        return Ok(());
    }
    let mut dead: Vec<(&Envelope, &str)> =
        dead.iter().map(|(event, reason)| (event.borrow(), reason.as_str())).collect();
    dead.sort_by_key(|(event, _)| key(event));
    dead.dedup_by_key(|(event, _)| key(event));
    sqlx::query(
        "insert into ingest.events as e
             (source, event_id, event_type, occurred_at, received_at, body, state, reason, dead_at)
         select source, event_id, event_type, occurred_at, received_at, body, 'dead', reason, $8
         from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bytea[], $7::text[])
             as d (source, event_id, event_type, occurred_at, received_at, body, reason)
         on conflict (source, event_id) do update set
             state = 'dead', reason = excluded.reason, dead_at = excluded.dead_at, alone = false, next_attempt_at = null
             where e.state = 'pending'",
    )
    .bind(dead.iter().map(|(it, _)| it.source.as_str()).collect::<Vec<_>>())
    .bind(dead.iter().map(|(it, _)| storable(&it.event_id)).collect::<Vec<_>>())
    .bind(dead.iter().map(|(it, _)| storable(&it.event_type)).collect::<Vec<_>>())
    .bind(dead.iter().map(|(it, _)| it.occurred_at).collect::<Vec<_>>())
    .bind(dead.iter().map(|(it, _)| it.received_at).collect::<Vec<_>>())
    .bind(dead.iter().map(|(it, _)| &it.body[..]).collect::<Vec<_>>())
    .bind(dead.iter().map(|(_, reason)| storable(reason)).collect::<Vec<_>>())
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}
