//! The tables of the map, the settings' further ones among them: the count that is shown against the count that is
//! kept, that against the facts of all tables that feed it, and each table's facts against its rows; files likewise.

use std::borrow::Cow;

use super::{About, Check};
use crate::database::sql;
use crate::ops::reconcile::supabase::Mend;
use crate::project::supabase::ActivityTables;
use crate::project::supabase::tables::{ActivityTable, Metric};
use crate::store::resolve::activity;

/// The checks of the counts that tables of the map feed.
pub(in crate::ops::reconcile::supabase) fn counts(tables: &ActivityTables) -> Vec<Check> {
    let fed = Metric::ALL.into_iter().filter(|metric| tables.feed(*metric));
    fed.flat_map(|metric| [shown(metric), kept(metric, tables)]).collect()
}

fn shown(metric: Metric) -> Check {
    let (column, count) = (metric.column(), activity::column(metric));
    check(
        format!("public.user_activity_metrics.{column}"),
        Mend::Fix,
        format!("select user_id, {column} from public.user_activity_metrics"),
        format!("select a.user_id, a.{count} from ingest.activity a join auth.users u on u.id = a.user_id"),
    )
}

fn kept(metric: Metric, tables: &ActivityTables) -> Check {
    let count = activity::column(metric);
    let feeding = tables.iter().filter(|table| table.metric == metric);
    let relations: Vec<String> = feeding.map(|table| sql::literal(&table.relation)).collect();
    check(
        format!("ingest.activity.{count}"),
        Mend::Rebuild,
        format!("select user_id, {count} from ingest.activity"),
        facts(&relations.join(", ")),
    )
}

/// The rows of a table against the facts of them; the recount is given as [`RECOUNT`]'s parameters.
pub(in crate::ops::reconcile::supabase) fn told(table: &ActivityTable) -> Check {
    check(
        format!("{} ({})", table.relation, activity::column(table.metric)),
        Mend::Backfill,
        facts(&sql::literal(&table.relation)),
        RECOUNT.to_owned(),
    )
}

/// The same of the files: how many, and their bytes.
pub(in crate::ops::reconcile::supabase) fn told_of_files(column: &str) -> Check {
    check(
        format!("{FILES} ({column})"),
        Mend::Backfill,
        format!("select user_id, {column} from ingest.activity"),
        RECOUNT.to_owned(),
    )
}

pub(in crate::ops::reconcile::supabase) const FILES: &str = "storage.objects";

/// Numbers by user that are counted outside of SQL.
const RECOUNT: &str = "select * from unnest($1::uuid[], $2::bigint[])";

fn facts(relations: &str) -> String {
    format!(
        "select user_id, count(*) from ingest.row_facts
         where relation in ({relations}) and counted and user_id is not null group by user_id"
    )
}

fn check(field: String, mend: Mend, here: String, recount: String) -> Check {
    Check {
        field: Cow::Owned(field),
        source: None,
        about: About::Members,
        mend,
        here: Cow::Owned(here),
        recount: Cow::Owned(recount),
        nothing: "0",
    }
}
