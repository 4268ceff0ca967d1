//! Members with an overdue urgent ticket: updates them as time passes and tickets are answered.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use uuid::Uuid;

use super::affected::Affected;
use super::derive::derive;
use super::locks;
use super::tables::Tables;
use super::{Store, StoreError};
use crate::database;

/// How long an urgent ticket may wait for staff before its member needs attention.
const PATIENCE: time::Duration = time::Duration::days(1);
/// Members that are derived in one transaction.
const PAGE: i64 = 500;

impl Store {
    /// Rederives the members whose urgent ticket became or ceased to be overdue; returns their number.
    ///
    /// # Errors
    /// [`StoreError`]; pages derived before it are committed.
    pub(super) async fn refresh_urgent_tickets(&self) -> Result<usize, StoreError> {
        let mut total = 0;
        loop {
            let count = self.refresh_page().await?;
            total += count;
            #[expect(clippy::cast_possible_truncation, reason = "a constant")]
            if count < PAGE as usize {
                return Ok(total);
            }
        }
    }

    async fn refresh_page(&self) -> Result<usize, StoreError> {
        let now = self.now();
        let mut tx = database::begin(self.pool()).await?;
        locks::lock_upkeep(&mut tx).await?;
        let changed = changed(&mut tx, now).await?;
        if changed.is_empty() {
            return Ok(0);
        }
        let count = changed.len();
        locks::lock_for_batch(&mut tx).await?;
        let affected = Affected { activity_only: changed, ..Affected::default() };
        derive(&mut tx, Tables::Live, affected, &self.settings, now).await?;
        tx.commit().await?;
        Ok(count)
    }
}

/// Records whose tickets are overdue now and whose no longer are; returns both.
async fn changed(tx: &mut sqlx::PgConnection, now: OffsetDateTime) -> Result<BTreeSet<Uuid>, sqlx::Error> {
    let users: Vec<Uuid> = sqlx::query_scalar(
        "with waiting as materialized (
             select distinct t.user_id from public.support_tickets t join auth.users u on u.id = t.user_id
             where t.priority = 'urgent' and t.waiting_for = 'staff' and t.waiting_since <= $1
         ), changed as materialized (
             (select user_id, true as waits from waiting except select user_id, true from ingest.urgent_waits)
             union all
             (select user_id, false from ingest.urgent_waits except select user_id, false from waiting)
             limit $2
         ), begun as (
             insert into ingest.urgent_waits (user_id) select user_id from changed where waits
         ), ended as (
             delete from ingest.urgent_waits w using changed c where not c.waits and w.user_id = c.user_id
         )
         select user_id from changed",
    )
    .bind(now - PATIENCE)
    .bind(PAGE)
    .fetch_all(tx)
    .await?;
    Ok(users.into_iter().collect())
}
