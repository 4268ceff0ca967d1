//! What has come since the rebuild began: resolved and derived at once, as live events are.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::resolve::{EventName, events_of, in_pages};
use super::{Rebuild, RebuildError, begin_shadow};
use crate::project::movements::BEGINNING;
use crate::store::affected::{Affected, AffectedRevenue};
use crate::store::derive::derive;
use crate::store::tables::Tables;
use crate::store::{Rules, events};

/// Names of events that are taken at once.
const NAMES: i64 = 20_000;
/// Customers or users that are derived at once.
const PAGE: usize = 1000;

impl Rebuild {
    /// Takes the next events that have come meanwhile; returns how many.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn follow(&mut self) -> Result<usize, RebuildError> {
        let (now, since) = (self.clock().now(), self.since);
        let mut tx = begin_shadow(&mut self.connection, "begin").await?;
        let events = some(&mut tx, &self.store.rules, since, now).await?;
        tx.commit().await?;
        Ok(events)
    }
}

/// Takes all events that the transaction sees and the shadow does not know yet.
pub(super) async fn all(
    tx: &mut PgConnection,
    rules: &Rules,
    since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<usize, sqlx::Error> {
    let mut total = 0;
    loop {
        let events = some(tx, rules, since, now).await?;
        if events == 0 {
            return Ok(total);
        }
        total += events;
    }
}

async fn some(
    tx: &mut PgConnection,
    rules: &Rules,
    since: OffsetDateTime,
    now: OffsetDateTime,
) -> Result<usize, sqlx::Error> {
    let names: Vec<EventName> = sqlx::query_as(
        "insert into resolved (source, event_id)
         select i.source, i.event_id from ingest.events i
         where i.applied_at >= $1 and not exists (
             select from resolved s where s.source = i.source and s.event_id = i.event_id)
         limit $2
         returning source, event_id",
    )
    .bind(since)
    .bind(NAMES)
    .fetch_all(&mut *tx)
    .await?;
    for page in in_pages(&names) {
        let events = events::named(tx, &page).await?;
        let (affected, _) = events_of(tx, &events, None, rules, now).await?;
        derive(tx, Tables::Shadow, affected, rules, now).await?;
    }
    Ok(names.len())
}

/// Derives these again in `tables`, the customers' ledgers from their beginnings.
pub(super) async fn again(
    tx: &mut PgConnection,
    tables: Tables,
    rules: &Rules,
    now: OffsetDateTime,
    customers: Vec<String>,
    users: Vec<Uuid>,
) -> Result<(), sqlx::Error> {
    for page in customers.chunks(PAGE) {
        derive(tx, tables, whole(page), rules, now).await?;
    }
    for page in users.chunks(PAGE) {
        let users: BTreeSet<Uuid> = page.iter().copied().collect();
        let affected = AffectedRevenue { users, ..AffectedRevenue::default() };
        derive(tx, tables, affected.into(), rules, now).await?;
    }
    Ok(())
}

/// These customers, with their ledgers from the beginning.
pub(super) fn whole(customers: &[String]) -> Affected {
    let revenue = AffectedRevenue {
        customers_to_match: customers.iter().cloned().collect(),
        recompute_from: customers.iter().map(|customer| (customer.clone(), BEGINNING)).collect(),
        ..AffectedRevenue::default()
    };
    revenue.into()
}
