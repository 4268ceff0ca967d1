//! Rows that differ from what was reported for the same moment: a change without an event that did not touch
//! the moment (the table has no `updated_at`, or it is not maintained).
//!
//! Such changes are ordered only by how they follow each other. So the correction is recorded as the missing
//! change, from what was reported last to what the table has. Later reports follow it, and a late event is
//! placed before it.

use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;

use super::phases::CountedTable;
use super::progress::PageTask;
use super::rows;
use super::table_rows::PageRows;
use super::tables::Table;
use crate::envelope::{Envelope, Source};
use crate::project::internal::{Corrected, Internal};
use crate::project::supabase::ActivityTables;
use crate::project::supabase::change::{self, Fingerprints};
use crate::store::events::MAX_SAME_SECOND_EVENTS;
use crate::store::{StoreSettings, apply};

/// Changes in memory at once.
const CHANGES: usize = 100;

/// A row that differs from its fact, and what was reported for the same moment.
#[derive(FromRow)]
struct DifferingRow {
    /// Its position in the page.
    n: i64,
    row_id: String,
    /// The moment, in microseconds.
    at: i64,
    /// The row as the table has it.
    record: String,
    /// The event of the fact.
    body: Vec<u8>,
    /// The other events of the moment.
    others: Option<Vec<Vec<u8>>>,
}

/// Records the unreported changes of a page's rows; returns their number.
pub(in crate::store) async fn record(
    tx: &mut PgConnection,
    task: &PageTask,
    table: &Table,
    counted: &CountedTable,
    page: &PageRows,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    let tables = &settings.decoding.tables;
    let statement = statement(table, counted);
    let (mut total, mut after) = (0, 0_i64);
    loop {
        let rows: Vec<DifferingRow> =
            rows::bound(statement.clone(), page).bind(after).fetch_all(&mut *tx).await?;
        let Some(end) = rows.last() else { return Ok(total) };
        after = end.n;
        total += i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let events: Result<Vec<_>, _> = rows.iter().map(|row| event(task, counted, row, tables)).collect();
        apply::apply_internal(tx, &events?, settings, now).await?;
    }
}

fn statement(table: &Table, counted: &CountedTable) -> String {
    let key_type = table.key_type().unwrap_or("text");
    let known = rows::known(counted);
    let relation = counted.relation();
    format!(
        "with {page}, {known}
         select k.n, k.row_id, {at} as at, to_jsonb(t)::text as record, i.body,
                (select array_agg(p.body) from (
                     select p.body from ingest.events p
                     where p.subject = i.subject and p.occurred_at = i.occurred_at and p.source <> 'internal'
                       and p.pruned_at is null
                     order by p.received_at desc, p.event_id desc limit {MAX_SAME_SECOND_EVENTS}) p) as others
         from known k
         join {name} t on t.id = k.key::{key_type}
         join ingest.events i on i.subject = '{relation}/' || k.row_id and i.occurred_at = k.was_at
              and i.event_id = k.was_event
         where k.n > $7 and k.is_reported and k.differs and not k.was_final and i.pruned_at is null
         order by k.n limit {CHANGES}",
        page = rows::PAGE,
        at = super::pages::micros("k.was_at"),
        name = table.name(),
    )
}

fn event(
    task: &PageTask,
    counted: &CountedTable,
    row: &DifferingRow,
    tables: &ActivityTables,
) -> Result<Envelope, sqlx::Error> {
    let encode = |error| sqlx::Error::Encode(Box::new(error));
    let reported = last_reported(&row.body).unwrap_or_default();
    let left_before = count_changes_away(reported.record.as_ref(), row);
    let change =
        change::correction(counted.relation(), &row.record, reported.record, reported.columns, tables)
            .map_err(encode)?;
    let corrected = Internal::Corrected(Corrected { at_us: row.at, left_before, change });
    let body = serde_json::to_vec(&corrected).map_err(encode)?;
    Ok(Envelope {
        source: Source::Internal,
        event_id: format!("corrected/{:010}/{}/{}", task.id, counted.relation(), row.row_id),
        event_type: "corrected".to_owned(),
        occurred_at: task.at,
        received_at: task.at,
        body: body.into(),
    })
}

/// The last reported state of the whole row, by an event or a correction.
fn last_reported(body: &[u8]) -> Option<Fingerprints> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default)]
        change: Option<&'a RawValue>,
    }
    let outer: Body<'_> = serde_json::from_slice(body).ok()?;
    change::fingerprints(outer.change.map_or(body, |change| change.get().as_bytes()))
}

/// How many events reported a change away from the last reported state.
fn count_changes_away(reported: Option<&String>, row: &DifferingRow) -> u32 {
    let others = row.others.iter().flatten().filter_map(|body| change::fingerprints(body));
    let leaving =
        others.filter(|other| other.old_record.as_ref() == reported && other.record.as_ref() != reported);
    u32::try_from(leaving.count()).unwrap_or(u32::MAX)
}
