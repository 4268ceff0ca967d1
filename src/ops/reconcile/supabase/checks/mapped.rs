//! The tables of the map, the settings' further ones among them: each table's facts against its rows; files likewise.

use super::Check;
use crate::database::sql;
use crate::ops::reconcile::supabase::Mend;
use crate::project::supabase::tables::ActivityTable;
use crate::store::resolve::activity;

/// The rows of a table against the facts of them; the recount is given as [`RECOUNT`]'s parameters.
pub(in crate::ops::reconcile::supabase) fn told(table: &ActivityTable) -> Check {
    let facts = format!(
        "select user_id as id, count(*) as value from ingest.row_facts
         where relation = {} and counted and user_id is not null group by user_id",
        sql::literal(&table.relation)
    );
    Check::new(Mend::Backfill, facts, RECOUNT)
        .field(format!("{} ({})", table.relation, activity::column(table.metric)), "0")
}

/// The same of the files: how many, and their bytes.
pub(in crate::ops::reconcile::supabase) fn told_of_files(column: &str) -> Check {
    let kept = format!("select user_id as id, {column} as value from ingest.activity");
    Check::new(Mend::Backfill, kept, RECOUNT).field(format!("{FILES} ({column})"), "0")
}

pub(in crate::ops::reconcile::supabase) const FILES: &str = "storage.objects";

/// Numbers by user that are counted outside of SQL.
const RECOUNT: &str = "select * from unnest($1::uuid[], $2::bigint[]) as n (id, value)";
