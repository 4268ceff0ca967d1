//! Rows that stand otherwise than they were told for their own moment: a change that left the moment as it was
//! (the table has no `updated_at`, or nobody keeps it), and of which no event came.
//!
//! Only the order in which such changes follow each other says which is the last. So the correction is told as
//! the change that was missing: from what was told last to what the table says. Whatever is told later follows
//! from that, and an event that was only late finds its place before it.

use serde_json::{Map, Value, json};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use time::OffsetDateTime;

use super::parts::Counted;
use super::rows;
use super::run::Turn;
use super::tables::Table;
use crate::envelope::{Envelope, Source};
use crate::project::internal::{Corrected, Internal};
use crate::store::{Rules, apply};

/// Corrections that are in memory at once.
const CORRECTIONS: usize = 500;

/// Corrects the rows of a page, which ends with the key `last`; returns how many those are.
pub(super) async fn correct(
    tx: &mut PgConnection,
    turn: &Turn,
    table: &Table,
    counted: &Counted,
    last: &str,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    let statement = statement(table, counted, turn);
    let (mut total, mut after) = (0, 0_i64);
    loop {
        let rows = sqlx::query(AssertSqlSafe(statement.clone()))
            .bind(&turn.position)
            .bind(last)
            .bind(after)
            .persistent(false)
            .fetch_all(&mut *tx)
            .await?;
        let Some(end) = rows.last() else { return Ok(total) };
        after = end.try_get("n")?;
        total += i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let events: Result<Vec<_>, _> = rows.iter().map(|row| event(turn, counted, row)).collect();
        apply::within(tx, events?, rules, now).await?;
    }
}

/// The rows' places do not change: what is corrected stays in the page.
fn statement(table: &Table, counted: &Counted, turn: &Turn) -> String {
    let key_type = table.key_type().unwrap_or("text");
    let from = super::pages::after(turn, "t.id", key_type);
    let condition = format!("{from} and t.id <= $2::text::{key_type}");
    let page = rows::page(table, counted, &condition, turn.page_rows);
    let known = rows::known(counted);
    let relation = counted.relation();
    format!(
        "with {page}, {known}
         select k.n, k.row_id, {at} as at, to_jsonb(t)::text as record, i.body,
                (select array_agg(p.body) from ingest.inbox p
                 where p.subject = i.subject and p.occurred_at = i.occurred_at and p.source <> 'internal'
                   and p.pruned_at is null) as others
         from known k
         join {name} t on t.id = k.key
         join ingest.inbox i on i.subject = '{relation}/' || k.row_id and i.occurred_at = k.was_at
              and i.event_id = k.was_event
         where k.n > $3 and k.is_told and k.differs and not k.was_final and i.pruned_at is null
         order by k.n limit {CORRECTIONS}",
        at = super::pages::micros("k.was_at"),
        name = table.name(),
    )
}

fn event(turn: &Turn, counted: &Counted, row: &PgRow) -> Result<Envelope, sqlx::Error> {
    let (record, body): (String, Vec<u8>) = (row.try_get("record")?, row.try_get("body")?);
    let decode = |error| sqlx::Error::Decode(Box::new(error));
    let stands: Value = serde_json::from_str(&record).map_err(decode)?;
    let told: Value = serde_json::from_slice(&body).map_err(decode)?;
    // What was told last is an event from outside, or a correction like this one.
    let told = if told["change"].is_object() { &told["change"]["record"] } else { &told["record"] };
    let (schema, table) = counted.relation().split_once('.').unwrap_or_default();
    let corrected = Internal::Corrected(Corrected {
        at_us: row.try_get("at")?,
        left_before: left_before(told, row)?,
        change: json!({
            "type": "UPDATE", "schema": schema, "table": table,
            "record": with_the_columns_of(told, &stands), "old_record": told
        }),
    });
    let body = serde_json::to_vec(&corrected).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    let row_id: &str = row.try_get("row_id")?;
    Ok(Envelope {
        source: Source::Internal,
        event_id: format!("corrected/{:010}/{}/{row_id}", turn.id, counted.relation()),
        event_type: "corrected".to_owned(),
        occurred_at: turn.at,
        received_at: turn.at,
        body: body.into(),
    })
}

/// How many events tell of a change away from what was `told` last.
fn left_before(told: &Value, row: &PgRow) -> Result<u32, sqlx::Error> {
    let others: Option<Vec<Vec<u8>>> = row.try_get("others")?;
    let others = others.unwrap_or_default();
    let others = others.iter().filter_map(|body| serde_json::from_slice::<Value>(body).ok());
    let leaving = others.filter(|other| other["old_record"] == *told && other["record"] != *told);
    Ok(u32::try_from(leaving.count()).unwrap_or(u32::MAX))
}

/// The row as it stands, with no more columns than were told: what follows is compared with what was before.
fn with_the_columns_of(told: &Value, stands: &Value) -> Map<String, Value> {
    let columns = told.as_object().into_iter().flat_map(Map::keys);
    columns.map(|column| (column.clone(), stands.get(column).cloned().unwrap_or(Value::Null))).collect()
}
