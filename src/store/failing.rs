//! Events that fail: kept aside, tried again one by one and less and less often, and dead letters in the end.

use std::collections::HashSet;

use bytes::Bytes;
use sqlx::{FromRow, PgConnection};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Store, StoreError, dead_letters};
use crate::database;
use crate::envelope::Envelope;

/// Attempts after which an event is given up.
pub const ATTEMPTS: i32 = 5;
/// Consumers that began and are neither ended nor past their first minute, from which a crash loop is suspected.
/// Fewer are a rolling restart, or a machine that went down.
const CRASHES: i64 = 3;
/// One that began longer ago than this is not counted any more. Supervisors restart every few minutes at least.
const HEEDED: Duration = Duration::HOUR;

/// What is to be done with the event that is due.
#[derive(Debug)]
pub struct Due {
    /// The event.
    pub envelope: Envelope,
    /// Which attempt this is.
    pub attempts: i32,
    /// What the last one said.
    pub last_error: Option<String>,
}

#[derive(FromRow)]
struct Row {
    source: String,
    event_id: String,
    event_type: String,
    occurred_at: OffsetDateTime,
    received_at: OffsetDateTime,
    body: Vec<u8>,
    attempts: i32,
    last_error: Option<String>,
}

impl Store {
    /// Keeps an event that failed for another attempt soon. One that is kept already stays as it is.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn set_aside(&self, envelope: Envelope, error: &str) -> Result<(), StoreError> {
        let (now, mut connection) = (self.clock.now(), self.pool.acquire().await?);
        insert(&mut connection, &[envelope], 1, Some(error), now + Duration::SECOND).await?;
        Ok(())
    }

    /// Notes what is about to be applied, so that it is known should the process not survive it. Returns those
    /// that somebody else had under way, or that have failed: they are left to be tried alone.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn note_under_way(&self, batch: &[Envelope]) -> Result<Vec<bool>, StoreError> {
        let (now, mut connection) = (self.clock.now(), self.pool.acquire().await?);
        let noted = insert(&mut connection, batch, 0, None, now + Duration::minutes(5)).await?;
        let noted: HashSet<_> = noted.iter().map(|(source, id)| (source.as_str(), id.as_str())).collect();
        let is_noted = |it: &Envelope| noted.contains(&(it.source.as_str(), it.event_id.as_str()));
        let suspects: Vec<bool> = batch.iter().map(|it| !is_noted(it)).collect();
        let left = batch.iter().zip(&suspects).filter(|(_, suspect)| **suspect);
        sqlx::query(
            "update ingest.failing f set next_at = $3
             from unnest($1::text[], $2::text[]) as n (source, event_id)
             where f.source = n.source and f.event_id = n.event_id and f.attempts = 0",
        )
        .bind(left.clone().map(|(it, _)| it.source.as_str()).collect::<Vec<_>>())
        .bind(left.map(|(it, _)| it.event_id.as_str()).collect::<Vec<_>>())
        .bind(now)
        .execute(&mut *connection)
        .await?;
        Ok(suspects)
    }

    /// The process survived what it had under way; what failed of it stays aside.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn note_survived(&self, batch: &[Envelope]) -> Result<(), StoreError> {
        Ok(forget(&mut *self.pool.acquire().await?, batch, 0).await?)
    }

    /// It was applied at last.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn no_longer_failing(&self, event: &Envelope) -> Result<(), StoreError> {
        let event = std::slice::from_ref(event);
        Ok(forget(&mut *self.pool.acquire().await?, event, i32::MAX).await?)
    }

    /// Begins an attempt at the next event that is due. It is counted before anything else, and the next one
    /// planned: whatever becomes of this process.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn next_failing(&self) -> Result<Option<Due>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "update ingest.failing f
             set attempts = f.attempts + 1,
                 next_at = $1 + coalesce((array['2 s', '10 s', '1 min']::interval[])[f.attempts + 1], '5 min')
             from (select source, event_id from ingest.failing where next_at <= $1
                   order by next_at limit 1 for update skip locked) d
             where f.source = d.source and f.event_id = d.event_id
             returning f.source, f.event_id, f.event_type, f.occurred_at, f.received_at, f.body, f.attempts,
                       f.last_error",
        )
        .bind(self.clock.now())
        .fetch_optional(&self.pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let source = row.source.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        let envelope = Envelope {
            source,
            event_id: row.event_id,
            event_type: row.event_type,
            occurred_at: row.occurred_at,
            received_at: row.received_at,
            body: Bytes::from(row.body),
        };
        Ok(Some(Due { envelope, attempts: row.attempts, last_error: row.last_error }))
    }

    /// The attempt failed, or (without an error) could not be made and does not count.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn failed_again(&self, event: &Envelope, error: Option<&str>) -> Result<(), StoreError> {
        sqlx::query(
            "update ingest.failing
             set last_error = coalesce($3, last_error), attempts = attempts - ($3 is null)::int
             where source = $1 and event_id = $2",
        )
        .bind(event.source.as_str())
        .bind(&event.event_id)
        .bind(error)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Gives an event up: it is a dead letter from now on.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn give_up(&self, event: Envelope, reason: String) -> Result<(), StoreError> {
        let mut tx = database::begin(&self.pool).await?;
        forget(&mut tx, std::slice::from_ref(&event), i32::MAX).await?;
        dead_letters::insert(&mut tx, &[(event, reason)], self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// A consumer begins; whether so many began shortly before and were not heard of again that an event may end them.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn begin_consumer(&self, id: Uuid) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut tx = database::begin(&self.pool).await?;
        sqlx::query("delete from ingest.consumers where started_at < $1")
            .bind(now - HEEDED)
            .execute(&mut *tx)
            .await?;
        let others: i64 =
            sqlx::query_scalar("select count(*) from ingest.consumers").fetch_one(&mut *tx).await?;
        sqlx::query("insert into ingest.consumers (id, started_at) values ($1, $2) on conflict do nothing")
            .bind(id)
            .bind(now)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(others >= CRASHES)
    }

    /// It lives after its first minute: those that began before it were not ended by what comes first of all.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn outlived(&self, id: Uuid) -> Result<(), StoreError> {
        sqlx::query(
            "delete from ingest.consumers
             where started_at <= (select started_at from ingest.consumers where id = $1)",
        )
        .bind(id)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// It ended by itself.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn end_consumer(&self, id: Uuid) -> Result<(), StoreError> {
        sqlx::query("delete from ingest.consumers where id = $1").bind(id).execute(&self.pool).await?;
        Ok(())
    }

    /// Whether the database answers: what fails all the same fails for its own sake.
    pub async fn answers(&self) -> bool {
        sqlx::query("select 1").execute(&self.pool).await.is_ok()
    }
}

/// Returns the names of those that were not there.
async fn insert(
    connection: &mut PgConnection,
    events: &[Envelope],
    attempts: i32,
    error: Option<&str>,
    next_at: OffsetDateTime,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(
        "insert into ingest.failing
             (source, event_id, event_type, occurred_at, received_at, body, attempts, last_error, next_at)
         select distinct on (source, event_id) source, event_id, event_type, occurred_at, received_at, body, $7, $8, $9
         from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bytea[])
             as e (source, event_id, event_type, occurred_at, received_at, body)
         order by source, event_id
         on conflict (source, event_id) do update
             set attempts = excluded.attempts, last_error = excluded.last_error, next_at = excluded.next_at
             where failing.attempts = 0 and excluded.attempts > 0
         returning source, event_id",
    )
    .bind(events.iter().map(|it| it.source.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|it| it.event_id.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|it| it.event_type.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|it| it.occurred_at).collect::<Vec<_>>())
    .bind(events.iter().map(|it| it.received_at).collect::<Vec<_>>())
    .bind(events.iter().map(|it| &it.body[..]).collect::<Vec<_>>())
    .bind(attempts)
    .bind(error)
    .bind(next_at)
    .fetch_all(connection)
    .await
}

/// Drops those that have not been tried alone more often than that.
async fn forget(
    connection: &mut PgConnection,
    events: &[Envelope],
    attempts: i32,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from ingest.failing f using unnest($1::text[], $2::text[]) as n (source, event_id)
         where f.source = n.source and f.event_id = n.event_id and f.attempts <= $3",
    )
    .bind(events.iter().map(|it| it.source.as_str()).collect::<Vec<_>>())
    .bind(events.iter().map(|it| it.event_id.as_str()).collect::<Vec<_>>())
    .bind(attempts)
    .execute(connection)
    .await?;
    Ok(())
}
