//! What the demo shows of an operator's day: dead letters and a parked customer, a difference that a rebuild found and
//! fixed, acts in the audit log, a saved view.

use std::path::Path;

use anyhow::{Context as _, Result};
use sqlx::PgPool;
use uuid::Uuid;

use super::database;
use super::screen::BY_LINK;
use crate::clock::Clock;
use crate::ops::fixture;
use crate::ops::members::{self, Change};
use crate::ops::progress::Progress;
use crate::ops::rebuild;
use crate::ops::views::{self, View};
use crate::store::Store;
use crate::store::events::EventKey;

/// The keys of the events at `path`, which need not all be applied.
fn keys(path: &Path) -> Result<Vec<EventKey>> {
    let events = fixture::events(&[path.to_owned()]);
    let key = |event: fixture::FixtureEvent| EventKey {
        source: event.source.to_string(),
        event_id: event.event_id,
    };
    Ok(events.map(|event| event.map(key)).collect::<Result<_, _>>()?)
}

/// Waits until each of the events at `path` is applied or a dead letter.
///
/// # Errors
/// If the file cannot be read, or some are still missing after two minutes.
pub async fn wait(pool: &PgPool, path: &Path) -> Result<()> {
    database::wait_until_ended(pool, &keys(path)?).await
}

/// Tags `member`, and saves a view of the members who need attention.
///
/// # Errors
/// If the database refuses.
pub async fn act(pool: &PgPool, member: Uuid, clock: &Clock) -> Result<()> {
    let change = Change { custom_tags: Some(vec!["beta".to_owned()]), ..Change::default() };
    members::change(pool, member, &change, BY_LINK, clock.now()).await?;
    let query = "health_status=needs_attention&sort=mrr".to_owned();
    let view = View { name: "Needs attention".to_owned(), query };
    views::save(pool, BY_LINK, "members", &view, clock.now()).await?;
    Ok(())
}

/// Damages `member`'s MRR as somebody with a database client could, and rebuilds: the difference is shown with both values.
///
/// # Errors
/// If the rebuild fails.
pub async fn damage_and_rebuild(pool: &PgPool, member: Uuid, store: &Store) -> Result<()> {
    let damage = "update public.user_revenue_metrics set mrr = mrr + 100 where user_id = $1";
    sqlx::query(damage).bind(member).execute(pool).await?;
    rebuild::run(store, false, &mut Progress::Silent, |_| true).await.context("cannot rebuild the demo")?;
    Ok(())
}
