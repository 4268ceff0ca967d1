//! Pruning: removes the bodies of old events and keeps their ids, for deduplication. What the events reported
//! is in the facts, which a rebuild then takes as they are (`docs/decisions/events/pruned-bodies.md`).

use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use time::{Duration, OffsetDateTime};

use crate::database;
use crate::store::locks;
use crate::store::{Store, StoreError};

/// The shortest retention. Stripe's API lists events of 30 days: a missed one can still be replayed, and
/// share its second with one that was applied.
pub const SHORTEST: Duration = Duration::days(35);

/// Bodies removed in one transaction.
const PAGE: i64 = 2000;

/// Events whose bodies may be pruned. Internal events with decisions and imported rows are kept, because
/// nothing else records them; snapshots and corrections are in the facts like provider events.
pub(in crate::store) const PRUNABLE: &str = "state = 'applied' and pruned_at is null and (source <> 'internal' or event_type in ('snapshot', 'corrected'))";

/// What was pruned, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, FromRow)]
pub struct Pruned {
    /// Events whose body was removed.
    pub events: i64,
    /// Bytes that their bodies took.
    pub bytes: i64,
}

impl Store {
    /// What pruning of events applied before `before` would remove.
    pub async fn prunable(&self, before: OffsetDateTime) -> Result<Pruned, StoreError> {
        let count = format!(
            "select count(*) as events, coalesce(sum(pg_column_size(body)), 0)::bigint as bytes
             from ingest.events where applied_at < $1 and {PRUNABLE}"
        );
        Ok(sqlx::query_as(AssertSqlSafe(count)).bind(before).fetch_one(&self.pool).await?)
    }

    /// Prunes a page of events applied before `before`; zero events means done. `None` while a rebuild is
    /// reading them.
    pub async fn prune_page(&self, before: OffsetDateTime) -> Result<Option<Pruned>, StoreError> {
        let mut tx = database::begin(&self.pool).await?;
        if !locks::prevent_rebuild(&mut tx).await? {
            return Ok(None);
        }
        let keys = format!(
            "select source, event_id from ingest.events where applied_at < $2 and {PRUNABLE}
             order by applied_at limit {PAGE} for update skip locked"
        );
        let pruned = sqlx::query_as(AssertSqlSafe(prune_statement(&keys)))
            .bind(self.clock.now())
            .bind(before)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(pruned))
    }
}

/// Removes the bodies of these events, whatever their age; returns their number.
pub(in crate::store) async fn prune_events(
    tx: &mut PgConnection,
    events: &[(&str, &str)],
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let keys = format!(
        "select source, event_id from unnest($2::text[], $3::text[]) as n (source, event_id)
         join ingest.events using (source, event_id) where {PRUNABLE}"
    );
    let pruned: Pruned = sqlx::query_as(AssertSqlSafe(prune_statement(&keys)))
        .bind(now)
        .bind(events.iter().map(|(source, _)| *source).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, event_id)| *event_id).collect::<Vec<_>>())
        .fetch_one(tx)
        .await?;
    Ok(pruned.events.unsigned_abs())
}

/// The statement that removes the bodies of the events whose keys `keys` selects, at the time $1.
fn prune_statement(keys: &str) -> String {
    format!(
        "with old as ({keys}), emptied as (
             update ingest.events i set body = '', pruned_at = $1
             from old o, lateral (select pg_column_size(b.body) as size from ingest.events b
                                  where b.source = o.source and b.event_id = o.event_id) s
             where i.source = o.source and i.event_id = o.event_id returning s.size
         )
         select count(*) as events, coalesce(sum(size), 0)::bigint as bytes from emptied"
    )
}
