//! Rederives the customers' sums and the rows of their members.

use sqlx::PgConnection;
use time::OffsetDateTime;

use super::pages::Page;
use super::progress::PageTask;
use crate::store::StoreSettings;
use crate::store::affected::AffectedRevenue;
use crate::store::derive;
use crate::store::tables::Tables;

/// Customers derived at once.
const CUSTOMERS: i64 = 500;

/// The next customers. Rows that are right already are not written.
pub(in crate::store) async fn derive(
    tx: &mut PgConnection,
    task: &PageTask,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    let customers: Vec<String> = sqlx::query_scalar(
        "select id from ingest.customers where ($1::text is null or id > $1) order by id limit $2",
    )
    .bind(&task.position)
    .bind(CUSTOMERS)
    .fetch_all(&mut *tx)
    .await?;
    let rows = i64::try_from(customers.len()).unwrap_or(i64::MAX);
    let next = customers.last().filter(|_| rows == CUSTOMERS).cloned();
    let affected =
        AffectedRevenue { owners_to_decide: customers.into_iter().collect(), ..AffectedRevenue::default() };
    derive::derive(tx, Tables::Live, affected.into(), settings, now).await?;
    Ok(Page { rows, next, ..Page::default() })
}
