//! Rows that are known and stand in their table no more: a deletion that nobody reported.

use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;

use super::pages::{self, Page};
use super::parts::Counted;
use super::rows;
use super::run::Turn;
use super::tables::Table;
use crate::store::resolve::activity;

/// Compares a page of the facts with the table. Both are seen at one moment, and no fact is older than the row
/// that it tells of: a row that is not there is gone.
pub(in crate::store) async fn rows(
    tx: &mut PgConnection,
    turn: &Turn,
    counted: &Counted,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    let table = Table::find(tx, counted.relation()).await?;
    let Some(table) = table.filter(|table| table.key_type().is_some()) else { return Ok(Page::unreadable()) };
    let row = pages::run(tx, turn, statement(&table, counted, turn), now).await?;
    activity::forget_zeros(tx, &row.try_get::<Option<Vec<_>>, _>("less")?.unwrap_or_default()).await?;
    pages::page(&row)
}

fn statement(table: &Table, counted: &Counted, turn: &Turn) -> String {
    let relation = counted.relation();
    let after = pages::after(turn, "f.row_id", "text");
    let news = pages::news(&format!(
        "select p.*, p.row_id as name, p.user_id as was_user, p.counted as was_counted, p.amount as was_amount
         from page p
         where not p.final and not {}",
        table.holds("p.row_id"),
    ));
    let kept = pages::kept(
        "found_rows",
        &format!(
            "'relation', '{relation}', 'gone',
             json_agg(json_build_array(row_id, user_id, false, amount, {}) order by n)",
            pages::micros("occurred_at")
        ),
    );
    let moved = rows::moved(counted).replace("from news where counted and", "from news where false and");
    let outcome = pages::outcome(turn);
    format!(
        "with page as materialized (
             select p.*, p.row_id as key, row_number() over (order by row_id) as n
             from (select f.row_id, f.user_id, f.counted, f.amount, f.occurred_at, f.final from ingest.row_facts f
                   where f.relation = '{relation}' and {after} order by f.row_id limit {}) p
         ), {news}, {kept}, facts as (
             update ingest.row_facts f set counted = false, final = true, number = null, event_id = n.event_id, tied = false
             from news n where f.relation = '{relation}' and f.row_id = n.row_id
         ){moved}
         select {outcome}, (select array_agg(distinct was_user) from news where was_counted and was_user is not null) as less",
        turn.page_rows
    )
}
