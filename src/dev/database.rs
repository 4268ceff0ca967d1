//! The database of a local run, and waiting until its events are applied.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use sqlx::{Connection as _, PgConnection, PgPool};
use time::{Date, OffsetDateTime};

use crate::envelope::{Source, parse};
use crate::ops::fixture::{FixtureEvent, Scenario};
use crate::store::events::EventKey;

/// The database created if the environment names none.
const NAME: &str = "memberflow_dev";

/// How long the events of the demo may take; they are a few hundred.
const APPLY_LIMIT: Duration = Duration::from_secs(120);

/// The URL of our own database on the server of `server_url`; creates it if missing.
///
/// # Errors
/// If the server refuses.
pub async fn own(server_url: &str) -> Result<String> {
    let mut server = PgConnection::connect(server_url).await.context("cannot log in to PostgreSQL")?;
    let exists = "select exists (select from pg_catalog.pg_database where datname = $1)";
    if !sqlx::query_scalar(exists).bind(NAME).fetch_one(&mut server).await? {
        let create = sqlx::AssertSqlSafe(format!("create database {NAME}"));
        sqlx::query(create).execute(&mut server).await.context("cannot create a database")?;
    }
    server.close().await.ok();
    Ok(with_database(server_url, NAME))
}

/// `url` with another database.
fn with_database(url: &str, name: &str) -> String {
    let (address, query) = url.split_once('?').map_or((url, String::new()), |(a, q)| (a, format!("?{q}")));
    let scheme = address.find("://").map_or(0, |at| at + 3);
    let server = address[scheme..].find('/').map_or(address, |at| &address[..scheme + at]);
    format!("{server}/{name}{query}")
}

/// Waits until every one of `events` has been applied.
///
/// # Errors
/// If one of them has become a dead letter, or some are still missing after two minutes.
pub async fn wait_until_applied(pool: &PgPool, events: &[EventKey]) -> Result<()> {
    let deadline = Instant::now() + APPLY_LIMIT;
    loop {
        let missing = missing(pool, events).await?;
        if missing == 0 {
            return Ok(());
        }
        if let Some(reason) = dead(pool, events).await? {
            bail!("an event cannot be applied: {reason}");
        }
        if Instant::now() > deadline {
            bail!(
                "{missing} of {} events have not been applied in {} s",
                events.len(),
                APPLY_LIMIT.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until every one of `events` has been applied or is a dead letter.
///
/// # Errors
/// If some are still missing after two minutes.
pub async fn wait_until_ended(pool: &PgPool, events: &[EventKey]) -> Result<()> {
    let (sources, ids) = columns(events);
    let ended = "select count(*) from ingest.events where state <> 'pending'
                 and (source, event_id) in (select * from unnest($1::text[], $2::text[]))";
    let deadline = Instant::now() + APPLY_LIMIT;
    loop {
        let ended: i64 = sqlx::query_scalar(ended).bind(&sources).bind(&ids).fetch_one(pool).await?;
        if usize::try_from(ended).is_ok_and(|ended| ended >= events.len()) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{ended} of {} events ended in {} s", events.len(), APPLY_LIMIT.as_secs());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The day of an older demo in the database, if it is not that of `scenarios`.
pub async fn older_demo_day(pool: &PgPool, scenarios: &[Scenario]) -> Result<Option<Date>, sqlx::Error> {
    let of_stripe = |event: &&FixtureEvent| event.source == Source::Stripe;
    let Some(event) = scenarios.iter().flat_map(|scenario| &scenario.events).find(of_stripe) else {
        return Ok(None);
    };
    let body = "select body from ingest.events where source = $1 and event_id = $2 and state = 'applied'";
    let body = sqlx::query_scalar(body).bind(event.source.as_str()).bind(&event.event_id);
    let applied: Option<Vec<u8>> = body.fetch_optional(pool).await?;
    let moment = |body: Bytes| parse::stripe(body, OffsetDateTime::UNIX_EPOCH).ok().map(|it| it.occurred_at);
    let (Some(was), Some(is)) = (applied.and_then(|body| moment(body.into())), moment(event.body.clone()))
    else {
        return Ok(None);
    };
    Ok(((is - was).abs() >= time::Duration::DAY).then(|| was.date()))
}

/// The sources and the ids of `events`.
fn columns(events: &[EventKey]) -> (Vec<&str>, Vec<&str>) {
    events.iter().map(|key| (key.source.as_str(), key.event_id.as_str())).unzip()
}

async fn missing(pool: &PgPool, events: &[EventKey]) -> Result<i64, sqlx::Error> {
    let (sources, ids) = columns(events);
    let count = "
        select count(*) from unnest($1::text[], $2::text[]) as wanted (source, event_id)
        where not exists (
            select from ingest.events as e
            where e.source = wanted.source and e.event_id = wanted.event_id and e.state = 'applied'
        )";
    sqlx::query_scalar(count).bind(sources).bind(ids).fetch_one(pool).await
}

/// One of `events` that is a dead letter, with the reason.
async fn dead(pool: &PgPool, events: &[EventKey]) -> Result<Option<String>, sqlx::Error> {
    let (sources, ids) = columns(events);
    let first = "
        select format('%s %s (%s): %s', source, event_id, event_type, reason) from ingest.events
        where state = 'dead' and (source, event_id) in (select * from unnest($1::text[], $2::text[])) limit 1";
    sqlx::query_scalar(first).bind(sources).bind(ids).fetch_optional(pool).await
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn only_the_database_of_a_url_changes() {
        for (url, expected) in [
            ("postgres://me@host:5432/postgres", "postgres://me@host:5432/ours"),
            ("postgres://me:p%2Fw@host", "postgres://me:p%2Fw@host/ours"),
            ("postgres://me@%2Fvar%2Frun:5433/a", "postgres://me@%2Fvar%2Frun:5433/ours"),
            ("postgres://host/a?sslmode=disable", "postgres://host/ours?sslmode=disable"),
        ] {
            assert_eq!(with_database(url, "ours"), expected);
        }
    }
}
