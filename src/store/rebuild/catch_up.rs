//! Catches up with the events that were applied since the rebuild began: resolves and derives them at once, like live ones.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::resolve::{in_pages, resolve_events};
use super::{Rebuild, RebuildError, begin_shadow};
use crate::project::movements::BEGINNING;
use crate::store::StoreSettings;
use crate::store::affected::{Affected, AffectedRevenue};
use crate::store::derive::derive;
use crate::store::events::{self, EventKey};
use crate::store::tables::Tables;

/// Events of one step.
const EVENTS: i64 = 20_000;
/// Customers or users derived at once.
const PAGE: usize = 1000;

impl Rebuild {
    /// Applies the next events that were applied meanwhile to the shadow tables; returns how many.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn catch_up(&mut self) -> Result<usize, RebuildError> {
        let (now, since) = (self.clock().now(), self.since);
        let mut tx = begin_shadow(&mut self.connection, "begin").await?;
        let events = next(&mut tx, &self.store.settings, since, now).await?;
        tx.commit().await?;
        Ok(events)
    }
}

/// Applies all events that the transaction sees and that were not resolved yet to the shadow tables.
pub(super) async fn all(
    tx: &mut PgConnection,
    settings: &StoreSettings,
    since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<usize, sqlx::Error> {
    let mut total = 0;
    loop {
        let events = next(tx, settings, since, now).await?;
        if events == 0 {
            return Ok(total);
        }
        total += events;
    }
}

async fn next(
    tx: &mut PgConnection,
    settings: &StoreSettings,
    since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<usize, sqlx::Error> {
    let keys: Vec<EventKey> = sqlx::query_as(
        "insert into resolved (source, event_id)
         select i.source, i.event_id from ingest.events i
         where i.applied_at >= $1 and not exists (
             select from resolved s where s.source = i.source and s.event_id = i.event_id)
         limit $2
         returning source, event_id",
    )
    .bind(since)
    .bind(EVENTS)
    .fetch_all(&mut *tx)
    .await?;
    for page in in_pages(&keys) {
        let events = events::by_keys(tx, &page).await?;
        let (affected, _) = resolve_events(tx, &events, None, settings, now).await?;
        derive(tx, Tables::Shadow, affected, settings, now).await?;
    }
    Ok(keys.len())
}

/// Derives these customers and users again in `tables`, the customers' ledgers from their beginnings.
pub(super) async fn rederive(
    tx: &mut PgConnection,
    tables: Tables,
    settings: &StoreSettings,
    now: OffsetDateTime,
    customers: Vec<String>,
    users: Vec<Uuid>,
) -> Result<(), sqlx::Error> {
    for page in customers.chunks(PAGE) {
        derive(tx, tables, whole_customers(page), settings, now).await?;
    }
    for page in users.chunks(PAGE) {
        let users: BTreeSet<Uuid> = page.iter().copied().collect();
        let affected = AffectedRevenue { users, ..AffectedRevenue::default() };
        derive(tx, tables, affected.into(), settings, now).await?;
    }
    Ok(())
}

/// Everything about these customers, with their ledgers from the beginning.
pub(super) fn whole_customers(customers: &[String]) -> Affected {
    let revenue = AffectedRevenue {
        owners_to_decide: customers.iter().cloned().collect(),
        ledger_from: customers.iter().map(|customer| (customer.clone(), BEGINNING)).collect(),
        ..AffectedRevenue::default()
    };
    revenue.into()
}
