//! Pages, and the SQL that they share.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use time::OffsetDateTime;

use super::phases::Phase;
use super::progress::PageTask;
use crate::database::sql;

/// Rows reported by one event.
const ROWS_OF_AN_EVENT: usize = 1000;

/// The outcome of a page.
#[derive(Debug, Default, FromRow)]
pub(in crate::store) struct Page {
    /// Rows checked.
    pub rows: i64,
    /// Rows that were new or different.
    pub found: i64,
    /// Rows that exist although an event reported their deletion.
    #[sqlx(default)]
    pub reported_deleted: i64,
    /// Where the next page begins; `None` if this is the last.
    #[sqlx(default)]
    pub next: Option<String>,
    /// Something has to be corrected, which a half of a page cannot do.
    #[sqlx(default)]
    pub must_not_split: bool,
}

/// In the counts: rows that exist although an event reported their deletion.
pub(in crate::store) const REPORTED_DELETED: &str = "reported gone";
/// In the counts: the table does not exist or is not readable.
pub(in crate::store) const NOT_READ: &str = "not read";

impl Page {
    /// The outcome for a table that does not exist or is not readable.
    pub(in crate::store) fn unreadable() -> Self {
        Self { found: -1, ..Self::default() }
    }

    /// The page whose halves these are.
    pub(in crate::store) fn of_halves(first: Self, second: Self) -> Self {
        Self {
            rows: first.rows + second.rows,
            found: first.found + second.found,
            reported_deleted: first.reported_deleted + second.reported_deleted,
            next: second.next,
            must_not_split: first.must_not_split || second.must_not_split,
        }
    }

    pub(in crate::store) fn found(&self, phase: &Phase) -> BTreeMap<String, i64> {
        let phase = phase.name();
        if self.found < 0 {
            return [(format!("{phase} {NOT_READ}"), 1)].into();
        }
        let mut found: BTreeMap<_, _> = [(phase.to_string(), self.found)].into();
        if self.reported_deleted > 0 {
            found.insert(format!("{phase} {REPORTED_DELETED}"), self.reported_deleted);
        }
        found
    }
}

/// SQL: the rows after the position `$1`, compared in the key's type. At the beginning, too, it mentions
/// `$1`, so that the parameters are the same.
pub(in crate::store) fn after(task: &PageTask, key: &str, key_type: &str) -> String {
    let after = match task.position {
        Some(_) => format!("{key} > $1::text::{key_type}"),
        None => "$1::text is null".to_owned(),
    };
    match &task.until {
        Some(until) => format!("{after} and {key} <= {}::{key_type}", sql::literal(until)),
        None => after,
    }
}

/// The CTE `new_rows`: the new rows by `select` (with `n`, the position in the page, and `name`), each with the
/// id of its event (`$2` and the first row's name).
pub(in crate::store) fn new_rows(select: &str) -> String {
    format!(
        "new_rows as materialized (
             select k.*, $2 || first_value(name) over (partition by event order by n) as event_id
             from (select c.*, (row_number() over (order by n) - 1) / {ROWS_OF_AN_EVENT} as event from ({select}) c) k
         )"
    )
}

/// The CTE `recorded`: the stored events of `new_rows`; `members` are the JSON members of the body besides the type.
pub(in crate::store) fn recorded(event_type: &str, members: &str) -> String {
    format!(
        "recorded as (
             insert into ingest.events (source, event_id, event_type, occurred_at, received_at, applied_at, body)
             select 'internal', event_id, '{event_type}', $3, $3, $4,
                    convert_to(json_build_object('type', '{event_type}', {members})::text, 'UTF8')
             from new_rows group by event_id
         )"
    )
}

/// Microseconds since the Unix epoch.
pub(in crate::store) fn micros(moment: &str) -> String {
    format!("(extract(epoch from {moment}) * 1000000)::bigint")
}

/// Runs the statement of a page, whose parameters are the position, the event id prefix, the import's moment
/// and now. Not prepared: the tables grow from nothing, so each page is planned again.
pub(in crate::store) async fn run<T>(
    tx: &mut PgConnection,
    task: &PageTask,
    statement: String,
    now: OffsetDateTime,
) -> Result<T, sqlx::Error>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    sqlx::query_as(AssertSqlSafe(statement))
        .bind(&task.position)
        .bind(task.prefix())
        .bind(task.at)
        .bind(now)
        .persistent(false)
        .fetch_one(tx)
        .await
}

/// The end of every page's statement, the columns of a [`Page`]: rows checked, rows found, and the last key if the page
/// was full.
pub(in crate::store) fn outcome(task: &PageTask) -> String {
    format!(
        "(select count(*) from page) as rows, (select count(*) from new_rows) as found,
         (select key::text from page where n = {}) as next",
        task.page_rows
    )
}
