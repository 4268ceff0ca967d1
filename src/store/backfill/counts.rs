//! Each user's counts by the facts, and the columns that show them. In the initial import they are counted at once,
//! because counting page by page would write each user's row many times; a comparison counts them too.

use sqlx::{AssertSqlSafe, PgConnection};

use super::pages::Page;
use super::phases::CountedTable;
use crate::database::sql;
use crate::project::supabase::ActivityTables;
use crate::project::supabase::tables::Metric;
use crate::store::resolve::activity;

/// Writes the counts by the facts to `ingest.activity`.
pub(in crate::store) async fn set(
    tx: &mut PgConnection,
    tables: &ActivityTables,
) -> Result<Page, sqlx::Error> {
    let page = sqlx::query_as(AssertSqlSafe(statement(tables))).persistent(false).fetch_one(&mut *tx).await?;
    // The members' rows are derived next, each from its row here.
    sqlx::query("analyze ingest.activity, ingest.logins, ingest.row_facts").execute(tx).await?;
    Ok(page)
}

fn statement(tables: &ActivityTables) -> String {
    let names: Vec<&str> = columns(tables).into_iter().map(|(column, _)| column).collect();
    let each =
        |one: &dyn Fn(&str) -> String| names.iter().map(|name| one(name)).collect::<Vec<_>>().join(", ");
    format!(
        "with counted as materialized ({counted}), gone as (
             delete from ingest.activity a where not exists (select from counted c where c.user_id = a.user_id)
         ), written as (
             insert into ingest.activity as a (user_id, logins, {names})
             select user_id, logins, {names} from counted order by user_id
             on conflict (user_id) do update set logins = excluded.logins, {set}
             where (a.logins, {before}) is distinct from (excluded.logins, {after})
             returning user_id
         )
         select (select count(*) from counted) as rows, (select count(*) from written) as found",
        counted = of_facts(tables),
        names = names.join(", "),
        set = each(&|column| format!("{column} = excluded.{column}")),
        before = each(&|column| format!("a.{column}")),
        after = each(&|column| format!("excluded.{column}")),
    )
}

/// SQL: the rows of `ingest.activity` by the facts, one for each user with any count.
#[must_use]
pub fn of_facts(tables: &ActivityTables) -> String {
    let columns = columns(tables);
    let each = |one: &dyn Fn(&str, &str) -> String, between: &str| {
        columns.iter().map(|(column, counted)| one(column, counted)).collect::<Vec<_>>().join(between)
    };
    format!(
        "select user_id, sum(logins)::bigint as logins, {sums} from (
             select user_id, count(*) as logins, {none} from ingest.logins where counted group by user_id
             union all
             select user_id, 0, {counts} from ingest.row_facts where counted and user_id is not null group by user_id
         ) c group by user_id having sum(logins) <> 0 or {some}",
        sums = each(&|column, _| format!("sum({column})::bigint as {column}"), ", "),
        none = each(&|column, _| format!("0 as {column}"), ", "),
        counts = each(&|_, counted| counted.to_owned(), ", "),
        some = each(&|column, _| format!("sum({column}) <> 0"), " or "),
    )
}

/// The columns besides the logins, each with what it counts of a user's `ingest.row_facts`.
fn columns(tables: &ActivityTables) -> Vec<(&'static str, String)> {
    let files = sql::literal(CountedTable::Files.relation());
    let mut columns = vec![
        ("files", format!("count(*) filter (where relation = {files})")),
        ("file_bytes", format!("coalesce(sum(amount) filter (where relation = {files}), 0)")),
    ];
    columns.extend(Metric::ALL.map(|metric| {
        let feeding = tables.iter().filter(|table| table.metric == metric);
        let relations: Vec<String> = feeding.map(|table| sql::literal(&table.relation)).collect();
        let counted =
            format!("count(*) filter (where relation = any (array[{}]::text[]))", relations.join(", "));
        (activity::column(metric), counted)
    }));
    columns
}

/// The columns of `user_activity_metrics` that show facts, each with its value in SQL: `a` is the user's row of
/// `ingest.activity`, if there is one, and `u` the user.
#[must_use]
pub fn shown(tables: &ActivityTables) -> Vec<(&'static str, String)> {
    let fed = Metric::ALL.into_iter().filter(|metric| tables.feed(*metric));
    let counts = fed.map(|metric| (metric.column(), activity::column(metric)));
    let counts = [("total_logins", "logins"), ("s3_file_count", "files")].into_iter().chain(counts);
    let mut shown: Vec<_> =
        counts.map(|(shown, column)| (shown, format!("coalesce(a.{column}, 0)"))).collect();
    shown.extend([
        (
            "total_storage_mb",
            "least(round(coalesce(a.file_bytes, 0) / 1048576.0, 2), 99999999.99)".to_owned(),
        ),
        (
            "last_login_at",
            "(select max(l.logged_in_at) from ingest.logins l where l.user_id = u.id and l.counted)"
                .to_owned(),
        ),
        (
            "profile_completion_percent",
            "coalesce((select f.amount from ingest.row_facts f
                       where f.relation = 'public.user_profiles' and f.counted and f.user_id = u.id
                       order by f.occurred_at desc, f.row_id desc limit 1), 0)"
                .to_owned(),
        ),
    ]);
    shown
}
