//! Pruning: bodies of old events go, their names stay, so that a repeat is still known for one. What the events reported
//! is in the facts, which a rebuild takes as they stand from then on (`docs/decisions/pruned-bodies.md`).

use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use time::{Duration, OffsetDateTime};

use crate::database;
use crate::store::{Store, StoreError, rebuild};

/// The shortest time that bodies are kept. Stripe's API lists events of 30 days: until then one that was missed can
/// still come, and share its second with one that came.
pub const SHORTEST: Duration = Duration::days(35);

/// Bodies removed in one transaction.
const PAGE: i64 = 2000;

/// Events whose bodies may go. Of memberflow's own those stay that hold decisions and found rows: nothing else says
/// what they say. The snapshots and corrections among them are reported into facts like events from outside.
pub(in crate::store) const PRUNABLE: &str = "state = 'applied' and pruned_at is null and (source <> 'internal' or event_type in ('snapshot', 'corrected'))";

/// What was removed, or would be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, FromRow)]
pub struct Pruned {
    /// Events that have no body now.
    pub events: i64,
    /// Bytes that their bodies took.
    pub bytes: i64,
}

impl Store {
    /// What pruning events applied before a moment would remove.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn prunable(&self, before: OffsetDateTime) -> Result<Pruned, StoreError> {
        let count = format!(
            "select count(*) as events, coalesce(sum(pg_column_size(body)), 0)::bigint as bytes
             from ingest.events where applied_at < $1 and {PRUNABLE}"
        );
        Ok(sqlx::query_as(AssertSqlSafe(count)).bind(before).fetch_one(&self.pool).await?)
    }

    /// Removes the next bodies of events applied before a moment; no events: that was all. Nothing where a rebuild
    /// is reading them just now.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn prune_page(&self, before: OffsetDateTime) -> Result<Option<Pruned>, StoreError> {
        let mut tx = database::begin(&self.pool).await?;
        if !rebuild::keep_out(&mut tx).await? {
            return Ok(None);
        }
        let names = format!(
            "select source, event_id from ingest.events where applied_at < $2 and {PRUNABLE}
             order by applied_at limit {PAGE} for update skip locked"
        );
        let pruned = sqlx::query_as(AssertSqlSafe(emptying(&names)))
            .bind(self.clock.now())
            .bind(before)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Some(pruned))
    }
}

/// Empties the events of these sources and ids, whatever their age; returns how many.
pub(in crate::store) async fn empty_these(
    tx: &mut PgConnection,
    events: &[(&str, &str)],
    now: OffsetDateTime,
) -> Result<u64, sqlx::Error> {
    let names = format!(
        "select source, event_id from unnest($2::text[], $3::text[]) as n (source, event_id)
         join ingest.events using (source, event_id) where {PRUNABLE}"
    );
    let emptied: Pruned = sqlx::query_as(AssertSqlSafe(emptying(&names)))
        .bind(now)
        .bind(events.iter().map(|(source, _)| *source).collect::<Vec<_>>())
        .bind(events.iter().map(|(_, event_id)| *event_id).collect::<Vec<_>>())
        .fetch_one(tx)
        .await?;
    Ok(emptied.events.unsigned_abs())
}

/// The statement that empties the events that `names` selects, at the moment $1.
fn emptying(names: &str) -> String {
    format!(
        "with old as ({names}), emptied as (
             update ingest.events i set body = '', pruned_at = $1
             from old o, lateral (select pg_column_size(b.body) as size from ingest.events b
                                  where b.source = o.source and b.event_id = o.event_id) s
             where i.source = o.source and i.event_id = o.event_id returning s.size
         )
         select count(*) as events, coalesce(sum(size), 0)::bigint as bytes from emptied"
    )
}
