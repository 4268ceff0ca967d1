//! Rows of a table: those that no event has reported, and those that differ from what was reported.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Postgres};
use time::OffsetDateTime;
use uuid::Uuid;

use super::pages::{self, Page};
use super::phases::CountedTable;
use super::progress::PageTask;
use super::table_rows::{self, PageRows};
use super::tables::Table;
use super::unreported_changes;
use crate::store::StoreSettings;
use crate::store::resolve::activity;

/// How the rows of a page compare with their facts.
#[derive(FromRow)]
struct ComparedRows {
    found: i64,
    /// Rows that differ and have no later moment than their fact.
    differing: i64,
    reported_deleted: i64,
    /// The users whose counts were lowered.
    less: Option<Vec<Uuid>>,
}

/// Compares a page of the table with the facts. New rows and rows of a later moment than their fact are
/// reported by an event of many rows; a row that differs from its fact at the same moment is corrected.
pub(in crate::store) async fn import(
    tx: &mut PgConnection,
    task: &PageTask,
    counted: &CountedTable,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<Page, sqlx::Error> {
    let (relation, tables) = (counted.relation(), &settings.decoding.tables);
    let table = Table::find(tx, relation).await?;
    let Some(table) = table.filter(|table| table.key_type().is_some()) else { return Ok(Page::unreadable()) };
    let rows = table_rows::read_page(tx, task, &table, relation, tables).await?;
    let compared: ComparedRows = bound(statement(counted, task), &rows)
        .bind(task.prefix())
        .bind(task.at)
        .bind(now)
        .fetch_one(&mut *tx)
        .await?;
    activity::delete_zeros(tx, &compared.less.unwrap_or_default()).await?;
    let mut page = Page {
        rows: i64::try_from(rows.checked).unwrap_or(i64::MAX),
        found: compared.found,
        reported_deleted: compared.reported_deleted,
        next: rows.last.clone().filter(|_| rows.checked == task.page_rows),
        must_not_split: compared.differing > 0,
    };
    if page.must_not_split && !task.is_half {
        page.found += unreported_changes::record(tx, task, &table, counted, &rows, settings, now).await?;
    }
    Ok(page)
}

/// A statement over the CTE `page`, which uses the first six parameters. Not prepared: the tables grow from
/// nothing, so each page is planned again.
pub(in crate::store) fn bound<T>(statement: String, rows: &PageRows) -> QueryAs<'_, Postgres, T, PgArguments>
where
    T: for<'r> FromRow<'r, PgRow>,
{
    sqlx::query_as(AssertSqlSafe(statement))
        .persistent(false)
        .bind(&rows.keys)
        .bind(&rows.row_ids)
        .bind(&rows.users)
        .bind(&rows.counted)
        .bind(&rows.amounts)
        .bind(&rows.moments)
}

/// The rows of the page: `row_id`, what it counts for, its key and its position.
pub(in crate::store) const PAGE: &str = "page as materialized (
             select coalesce(key, row_id) as key, row_id, user_id, counted, amount, at, n
             from unnest($1::text[], $2::text[], $3::uuid[], $4::bool[], $5::bigint[], $6::timestamptz[])
                 with ordinality as p (key, row_id, user_id, counted, amount, at, n)
         )";

/// The fact of each row of the page, looked up one by one by its key: the page is small compared to the
/// facts.
pub(in crate::store) fn known(counted: &CountedTable) -> String {
    format!(
        "known as materialized (
             select p.*, p.row_id as name, f.row_id is not null as is_reported, f.user_id as was_user,
                    f.counted as was_counted, f.amount as was_amount, f.final as was_final,
                    f.occurred_at as was_at, f.event_id as was_event,
                    -- A trigger reports every change since its first: a difference there is an event on its way.
                    f.number is null
                        and (p.user_id, p.counted, p.amount) is distinct from (f.user_id, f.counted, f.amount) as differs
             from page p left join lateral (
                 select * from ingest.row_facts f
                 where f.relation = '{}' and f.row_id = p.row_id limit 1
             ) f on true
         )",
        counted.relation()
    )
}

fn statement(counted: &CountedTable, task: &PageTask) -> String {
    let known = known(counted);
    let new_rows = pages::new_rows(
        "select * from known
         where not is_reported
            or not was_final and differs and (at > was_at or at = was_at and was_event like 'found/%')",
    );
    let relation = counted.relation();
    let recorded = pages::recorded(
        "found_rows",
        &format!(
            "'relation', '{relation}', 'rows',
             json_agg(json_build_array(row_id, user_id, counted, amount, {}) order by n)",
            pages::micros("at")
        ),
    );
    // Numbered after those of the page.
    let (new_rows, recorded) =
        (new_rows.replace("$2", "$7"), recorded.replace("$4", "$9").replace("$3", "$8"));
    let moved = if task.counts_later { String::new() } else { moved(counted) };
    format!(
        "with {PAGE}, {known}, {new_rows}, {recorded}, facts as (
             insert into ingest.row_facts
                 (relation, row_id, user_id, counted, amount, occurred_at, final, event_id, tied)
             select '{relation}', row_id, user_id, counted, amount, at, false, event_id, false from new_rows
             on conflict (relation, row_id) do update set
                 user_id = excluded.user_id, counted = excluded.counted, amount = excluded.amount,
                 occurred_at = excluded.occurred_at, event_id = excluded.event_id, tied = false
         ){moved}
         select (select count(*) from new_rows) as found,
                (select count(*) from known where is_reported and differs and not was_final)
                    - (select count(*) from new_rows where is_reported) as differing,
                (select count(*) from known where was_final) as reported_deleted,
                (select array_agg(distinct was_user) from new_rows where was_counted and was_user is not null) as less"
    )
}

/// Adds the differences to the owners' counts.
pub(in crate::store) fn moved(counted: &CountedTable) -> String {
    let sums = counted.sums();
    if sums.is_empty() {
        return String::new();
    }
    let each = |of: &dyn Fn(&str, &str) -> String| {
        sums.iter().map(|(column, by)| of(column, by)).collect::<Vec<_>>().join(", ")
    };
    let columns = each(&|column, _| column.to_owned());
    let differences = each(&|column, by| format!("sum(sign * {by})::bigint as {column}"));
    let added = each(&|column, _| format!("{column} = a.{column} + excluded.{column}"));
    let some = sums.iter().map(|(column, _)| format!("{column} <> 0")).collect::<Vec<_>>().join(" or ");
    format!(
        ", moved as (
             insert into ingest.activity as a (user_id, {columns})
             select user_id, {columns} from (
                 select user_id, {differences} from (
                     select user_id, 1 as sign, amount from new_rows where counted and user_id is not null
                     union all
                     select was_user, -1, was_amount from new_rows where was_counted and was_user is not null
                 ) d group by user_id order by user_id
             ) s where {some}
             on conflict (user_id) do update set {added}
         )"
    )
}
