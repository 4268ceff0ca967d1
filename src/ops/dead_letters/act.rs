//! Redrives and drops dead letters, page by page, each in one transaction with its row in the audit log.

use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::json;
use sqlx::{FromRow, PgConnection, PgPool, QueryBuilder};
use tokio::time::{Instant, sleep_until};

use super::causes::MAX_COUNTED;
use super::{Selection, arguments};
use crate::clock::Clock;
use crate::database;
use crate::store::audit::{self, Act};

/// Letters in one transaction.
const PAGE: u32 = 500;

/// Limits of an action.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Letters per second, on average; `None` for no limit.
    pub rate: Option<NonZeroU32>,
    /// The most letters; `None` for all.
    pub most: Option<u32>,
}

impl Limits {
    /// The limits of one request: no more letters than are counted before.
    pub const ONE_REQUEST: Self = Self { rate: None, most: Some(MAX_COUNTED) };
}

/// The outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Acted {
    /// Redriven or dropped.
    pub done: u64,
    /// Not redriven: internal events.
    pub left: u64,
    /// Whether the limit left some.
    #[serde(skip)]
    pub has_more: bool,
}

/// The SQL before and after the conditions that select a page.
struct Statement {
    act: &'static str,
    before: &'static str,
    also: &'static str,
    behind: &'static str,
}

const REDRIVE: Statement = Statement {
    act: "dead-letters redrive",
    before: "with taken as (
             update ingest.events set state = 'pending', attempts = 0, alone = false, next_attempt_at = now(),
                    reason = null, dead_at = null
             where state = 'dead' and id in (select id from ingest.events",
    also: " and source <> 'internal'",
    behind: " returning id, source, event_id
         )
         select id, source || '/' || event_id as event, ingest.wake_consumers() from taken order by id",
};
const DROP: Statement = Statement {
    act: "dead-letters drop",
    before: "with taken as (
             delete from ingest.events where state = 'dead' and id in (select id from ingest.events",
    also: "",
    behind: " returning id, source, event_id
         )
         select id, source || '/' || event_id as event from taken order by id",
};

/// Redrives the selected letters: they become pending again. One that fails again is dead-lettered again.
/// Internal events are never pending and stay dead. Recorded in the audit log for `actor`.
///
/// # Errors
/// A database error; pages redriven before it are committed.
pub async fn redrive(
    pool: &PgPool,
    selection: &Selection,
    limits: Limits,
    actor: &str,
    clock: &Clock,
) -> Result<Acted, sqlx::Error> {
    let acted = pages(pool, &REDRIVE, selection, limits, actor, clock).await?;
    Ok(Acted { left: internal(pool, selection).await?, ..acted })
}

/// Drops the selected letters for good; the audit log keeps their ids, for `actor`.
///
/// # Errors
/// A database error; pages dropped before it are committed.
pub async fn drop_all(
    pool: &PgPool,
    selection: &Selection,
    limits: Limits,
    actor: &str,
    clock: &Clock,
) -> Result<Acted, sqlx::Error> {
    pages(pool, &DROP, selection, limits, actor, clock).await
}

/// A letter that was redriven or dropped.
#[derive(FromRow)]
struct Taken {
    id: i64,
    /// As `stripe/evt_1`.
    event: String,
}

async fn pages(
    pool: &PgPool,
    statement: &Statement,
    selection: &Selection,
    limits: Limits,
    actor: &str,
    clock: &Clock,
) -> Result<Acted, sqlx::Error> {
    let mut acted = Acted::default();
    let mut after = 0;
    loop {
        let began = Instant::now();
        let most = limits.most.map_or(u64::MAX, |most| u64::from(most) - acted.done);
        let page =
            u32::try_from(most).unwrap_or(PAGE).min(limits.rate.map_or(PAGE, NonZeroU32::get)).min(PAGE);
        if page == 0 {
            return Ok(Acted { has_more: is_any_above(pool, statement, selection, after).await?, ..acted });
        }
        let mut tx = database::begin(pool).await?;
        let taken = take(&mut tx, statement, selection, after, page).await?;
        let Some(last) = taken.last() else { return Ok(acted) };
        after = last.id;
        record(&mut tx, statement.act, selection, &taken, actor, clock).await?;
        tx.commit().await?;
        acted.done += taken.len() as u64;
        if let Some(rate) = limits.rate {
            sleep_until(began + Duration::from_secs(1) * page / rate.get()).await;
        }
    }
}

async fn take(
    tx: &mut PgConnection,
    statement: &Statement,
    selection: &Selection,
    after: i64,
    page: u32,
) -> Result<Vec<Taken>, sqlx::Error> {
    let mut query = QueryBuilder::new(statement.before);
    selection.push(&mut query);
    query.push(statement.also).push(" and id > ").push_bind(after);
    query.push(" order by id limit ").push_bind(i64::from(page)).push(" for update skip locked)");
    query.push(statement.behind).build_query_as().fetch_all(tx).await
}

async fn is_any_above(
    pool: &PgPool,
    statement: &Statement,
    selection: &Selection,
    after: i64,
) -> Result<bool, sqlx::Error> {
    let mut query = QueryBuilder::new("select exists (select from ingest.events");
    selection.push(&mut query);
    query.push(statement.also).push(" and id > ").push_bind(after).push(")");
    query.build_query_scalar().fetch_one(pool).await
}

async fn record(
    tx: &mut PgConnection,
    act: &str,
    selection: &Selection,
    taken: &[Taken],
    actor: &str,
    clock: &Clock,
) -> Result<(), sqlx::Error> {
    let events: Vec<&str> = taken.iter().map(|taken| taken.event.as_str()).collect();
    let act = Act {
        actor,
        act,
        arguments: arguments(selection),
        outcome: json!({"letters": events.len(), "events": events}),
    };
    audit::record(tx, act, clock.now()).await
}

async fn internal(pool: &PgPool, selection: &Selection) -> Result<u64, sqlx::Error> {
    let counts = super::count(pool, selection).await?;
    let internal = counts.iter().filter(|count| count.source == "internal");
    Ok(internal.map(|count| count.letters.unsigned_abs()).sum())
}
