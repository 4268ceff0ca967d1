//! Known rows that are no longer in their table: unreported deletions.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::pages::{self, Page};
use super::phases::CountedTable;
use super::progress::PageTask;
use super::rows;
use super::tables::Table;
use crate::store::resolve::activity;

/// A page, and the users whose counts it lowered.
#[derive(FromRow)]
struct ComparedFacts {
    #[sqlx(flatten)]
    page: Page,
    less: Option<Vec<Uuid>>,
}

/// Compares a page of the facts with the table. Both are read in one snapshot, and no fact is newer than its
/// row: a missing row was deleted.
pub(in crate::store) async fn compare(
    tx: &mut PgConnection,
    task: &PageTask,
    counted: &CountedTable,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    let table = Table::find(tx, counted.relation()).await?;
    let Some(table) = table.filter(|table| table.key_type().is_some()) else { return Ok(Page::unreadable()) };
    let compared: ComparedFacts = pages::run(tx, task, statement(&table, counted, task), now).await?;
    activity::delete_zeros(tx, &compared.less.unwrap_or_default()).await?;
    Ok(compared.page)
}

fn statement(table: &Table, counted: &CountedTable, task: &PageTask) -> String {
    let relation = counted.relation();
    let after = pages::after(task, "f.row_id", "text");
    let new_rows = pages::new_rows(&format!(
        "select p.*, p.row_id as name, p.user_id as was_user, p.counted as was_counted, p.amount as was_amount
         from page p
         where not p.final and not {}",
        table.holds("p.row_id"),
    ));
    let recorded = pages::recorded(
        "found_rows",
        &format!(
            "'relation', '{relation}', 'gone',
             json_agg(json_build_array(row_id, user_id, false, amount, {}) order by n)",
            pages::micros("occurred_at")
        ),
    );
    let moved =
        rows::moved(counted).replace("from new_rows where counted and", "from new_rows where false and");
    let outcome = pages::outcome(task);
    format!(
        "with page as materialized (
             select p.*, p.row_id as key, row_number() over (order by row_id) as n
             from (select f.row_id, f.user_id, f.counted, f.amount, f.occurred_at, f.final from ingest.row_facts f
                   where f.relation = '{relation}' and {after} order by f.row_id limit {}) p
         ), {new_rows}, {recorded}, facts as (
             update ingest.row_facts f set counted = false, final = true, number = null, event_id = n.event_id, tied = false
             from new_rows n where f.relation = '{relation}' and f.row_id = n.row_id
         ){moved}
         select {outcome}, (select array_agg(distinct was_user) from new_rows where was_counted and was_user is not null) as less",
        task.page_rows
    )
}
