//! The tables whose rows count, including those of the settings: compares each table's facts with its rows; files likewise.

use super::Check;
use crate::database::sql;
use crate::ops::reconcile::supabase::FixedBy;
use crate::project::supabase::tables::ActivityTable;
use crate::store::resolve::activity;

/// Compares the facts of a table with its rows; the recount is given as [`RECOUNT`]'s parameters.
pub(in crate::ops::reconcile::supabase) fn rows(table: &ActivityTable) -> Check {
    let facts = format!(
        "select user_id as id, count(*) as value from ingest.row_facts
         where relation = {} and counted and user_id is not null group by user_id",
        sql::literal(&table.relation)
    );
    Check::new(FixedBy::Backfill, facts, RECOUNT)
        .field(format!("{} ({})", table.relation, activity::column(table.metric)), "0")
}

/// The same of the files: their number, or their bytes.
pub(in crate::ops::reconcile::supabase) fn files(column: &str) -> Check {
    let counted = format!("select user_id as id, {column} as value from ingest.activity");
    Check::new(FixedBy::Backfill, counted, RECOUNT).field(format!("{FILES} ({column})"), "0")
}

pub(in crate::ops::reconcile::supabase) const FILES: &str = "storage.objects";

/// Numbers by user that are counted outside of SQL.
const RECOUNT: &str = "select * from unnest($1::uuid[], $2::bigint[]) as n (id, value)";
