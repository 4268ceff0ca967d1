//! Redriving and dropping, page by page, each page in one transaction with its line in the audit log.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::json;
use sqlx::{PgConnection, PgPool};
use tokio::time::{Instant, sleep_until};

use super::{Selection, arguments, selected};
use crate::clock::Clock;
use crate::database;
use crate::ops::actor::actor;
use crate::store::audit::{self, Act};

/// Letters in one transaction.
const PAGE: u32 = 500;

/// How fast, and how many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Letters a second, on average; without it as fast as it goes.
    pub rate: Option<NonZeroU32>,
}

/// What became of the selected letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Acted {
    /// Sent back to work, or dropped.
    pub done: u64,
    /// Left where they are: events that do not travel through the queue.
    pub left: u64,
}

/// Gives the selected letters another try: they are pending again, like events that have just come. One that fails again
/// is a dead letter again. Internal events are never pending, and stay.
///
/// # Errors
/// Whatever the database says; the pages done until then have gone on.
pub async fn redrive(
    pool: &PgPool,
    selection: &Selection,
    limits: Limits,
    clock: &Clock,
) -> Result<Acted, sqlx::Error> {
    let statement = concat!(
        "with taken as (
             update ingest.events set state = 'pending', attempts = 0, alone = false, next_attempt_at = now(),
                    reason = null, dead_at = null
             where state = 'dead' and id in (
                 select id from ingest.events where state = 'dead' and id > $6 and source <> 'internal' and ",
        selected!(),
        "    order by id limit $7 for update skip locked)
             returning id, source, event_id
         )
         select id, source || '/' || event_id, ingest.wake_consumers()::text from taken order by id"
    );
    let done = pages(pool, statement, "dead-letters redrive", selection, limits, clock).await?;
    Ok(Acted { done, left: internal(pool, selection).await? })
}

/// Drops the selected letters for good; the audit log keeps their names.
///
/// # Errors
/// Whatever the database says; the pages done until then are gone.
pub async fn drop_all(pool: &PgPool, selection: &Selection, clock: &Clock) -> Result<Acted, sqlx::Error> {
    let statement = concat!(
        "with taken as (
             delete from ingest.events where state = 'dead' and id in (
                 select id from ingest.events where state = 'dead' and id > $6 and ",
        selected!(),
        "    order by id limit $7 for update skip locked)
             returning id, source, event_id
         )
         select id, source || '/' || event_id, null from taken order by id"
    );
    let done = pages(pool, statement, "dead-letters drop", selection, Limits::default(), clock).await?;
    Ok(Acted { done, left: 0 })
}

async fn pages(
    pool: &PgPool,
    statement: &'static str,
    act: &str,
    selection: &Selection,
    limits: Limits,
    clock: &Clock,
) -> Result<u64, sqlx::Error> {
    let mut done = 0;
    let mut after = 0;
    loop {
        let began = Instant::now();
        let page = limits.rate.map_or(PAGE, |rate| rate.get().min(PAGE));
        let mut tx = database::begin(pool).await?;
        let taken: Vec<(i64, String, Option<String>)> = sqlx::query_as(statement)
            .bind(&selection.ids)
            .bind(&selection.source)
            .bind(&selection.event_type)
            .bind(&selection.reason)
            .bind(selection.since)
            .bind(after)
            .bind(i64::from(page))
            .fetch_all(&mut *tx)
            .await?;
        let Some((last, ..)) = taken.last() else { return Ok(done) };
        after = *last;
        record(&mut tx, act, selection, &taken, clock).await?;
        tx.commit().await?;
        done += taken.len() as u64;
        if let Some(rate) = limits.rate {
            sleep_until(began + Duration::from_secs(1) * page / rate.get()).await;
        }
    }
}

async fn record(
    tx: &mut PgConnection,
    act: &str,
    selection: &Selection,
    taken: &[(i64, String, Option<String>)],
    clock: &Clock,
) -> Result<(), sqlx::Error> {
    let events: Vec<&str> = taken.iter().map(|(_, event, _)| event.as_str()).collect();
    let act = Act {
        actor: &actor(),
        act,
        arguments: arguments(selection),
        outcome: json!({"letters": events.len(), "events": events}),
    };
    audit::record(tx, act, clock.now()).await
}

async fn internal(pool: &PgPool, selection: &Selection) -> Result<u64, sqlx::Error> {
    let counts = super::count(pool, selection).await?;
    Ok(counts
        .iter()
        .filter(|(source, ..)| source == "internal")
        .map(|(.., count)| count.unsigned_abs())
        .sum())
}
