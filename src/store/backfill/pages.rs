//! Pages, and the SQL that all of them share.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use time::OffsetDateTime;

use super::parts::Part;
use super::run::Turn;
use crate::database::sql;

/// Rows reported by one event.
const ROWS_OF_AN_EVENT: usize = 1000;

/// What came of a page.
#[derive(Debug, Default)]
pub(in crate::store) struct Page {
    /// Rows looked at.
    pub rows: i64,
    /// Rows that no event had reported, or reported otherwise.
    pub found: i64,
    /// Rows that stand there although an event reported that they are gone.
    pub told_gone: i64,
    /// Where the next page begins; none where there can't be one.
    pub next: Option<String>,
    /// Something is to be corrected, which takes the whole of a page.
    pub is_for_one: bool,
}

/// In the counts: rows that stand there although an event reported that they are gone.
pub(in crate::store) const TOLD_GONE: &str = "told gone";
/// In the counts: the table is not there, or we may not read it.
pub(in crate::store) const NOT_READ: &str = "not read";

impl Page {
    /// A table that is not there or may not be read.
    pub(in crate::store) fn unreadable() -> Self {
        Self { found: -1, ..Self::default() }
    }

    /// The page whose halves these are.
    pub(in crate::store) fn of_halves(first: Self, second: Self) -> Self {
        Self {
            rows: first.rows + second.rows,
            found: first.found + second.found,
            told_gone: first.told_gone + second.told_gone,
            next: second.next,
            is_for_one: first.is_for_one || second.is_for_one,
        }
    }

    /// What to add to the counts.
    pub(in crate::store) fn found(&self, part: &Part) -> BTreeMap<String, i64> {
        let part = part.name();
        if self.found < 0 {
            return [(format!("{part} {NOT_READ}"), 1)].into();
        }
        let mut found: BTreeMap<_, _> = [(part.to_string(), self.found)].into();
        if self.told_gone > 0 {
            found.insert(format!("{part} {TOLD_GONE}"), self.told_gone);
        }
        found
    }
}

/// Where the page lies, in SQL: after the position `$1`, compared in the key's own type. It is named at the beginning, too,
/// so that the parameters are the same.
pub(in crate::store) fn after(turn: &Turn, key: &str, key_type: &str) -> String {
    let after = match turn.position {
        Some(_) => format!("{key} > $1::text::{key_type}"),
        None => "$1::text is null".to_owned(),
    };
    match &turn.until {
        Some(until) => format!("{after} and {key} <= {}::{key_type}", sql::literal(until)),
        None => after,
    }
}

/// The CTE `news`: what `select` gives (with `n`, the place in the page, and `name`), with the name of the event
/// (`$2` and the first row's name) that tells of each.
pub(in crate::store) fn news(select: &str) -> String {
    format!(
        "news as materialized (
             select k.*, $2 || first_value(name) over (partition by event order by n) as event_id
             from (select c.*, (row_number() over (order by n) - 1) / {ROWS_OF_AN_EVENT} as event from ({select}) c) k
         )"
    )
}

/// The CTE `kept`: the events of `news`, their bodies with `members` beside the type.
pub(in crate::store) fn kept(event_type: &str, members: &str) -> String {
    format!(
        "kept as (
             insert into ingest.events (source, event_id, event_type, occurred_at, received_at, applied_at, body)
             select 'internal', event_id, '{event_type}', $3, $3, $4,
                    convert_to(json_build_object('type', '{event_type}', {members})::text, 'UTF8')
             from news group by event_id
         )"
    )
}

/// Microseconds since the Unix epoch.
pub(in crate::store) fn micros(moment: &str) -> String {
    format!("(extract(epoch from {moment}) * 1000000)::bigint")
}

/// Runs the statement of a page, whose parameters are the position, the events' prefix, the reading's moment and
/// now. Each time planned again: the tables grow from nothing.
pub(in crate::store) async fn run(
    tx: &mut PgConnection,
    turn: &Turn,
    statement: String,
    now: OffsetDateTime,
) -> Result<PgRow, sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement))
        .bind(&turn.position)
        .bind(turn.prefix())
        .bind(turn.at)
        .bind(now)
        .persistent(false)
        .fetch_one(tx)
        .await
}

/// What all pages' statements end with: rows looked at, rows found, and the last key if the page was full.
pub(in crate::store) fn outcome(turn: &Turn) -> String {
    format!(
        "(select count(*) from page) as looked_at, (select count(*) from news) as found,
         (select key::text from page where n = {}) as next",
        turn.page_rows
    )
}

/// The page that a statement with [`outcome`] tells of.
pub(in crate::store) fn page(row: &PgRow) -> Result<Page, sqlx::Error> {
    Ok(Page {
        rows: row.try_get("looked_at")?,
        found: row.try_get("found")?,
        next: row.try_get("next")?,
        ..Page::default()
    })
}
