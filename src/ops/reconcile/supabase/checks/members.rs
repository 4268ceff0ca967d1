//! The members' rows against the counts and sums that they are derived from, those counts against the facts, and the
//! sessions against the logins.

use super::super::FixedBy;
use super::Check;
use crate::project::supabase::ActivityTables;
use crate::project::supabase::tables::Metric;
use crate::store::backfill::counts;
use crate::store::resolve::activity as activities;

/// The checks of the members.
pub(in crate::ops::reconcile::supabase) fn checks(tables: &ActivityTables) -> [Check; 5] {
    [sessions(), activity(tables), by_currency(), in_main_currency(), counters(tables)]
}

/// Sessions are deleted at logout, so only existing sessions that were not reported are a difference.
fn sessions() -> Check {
    let unreported = "select s.user_id as id, count(*) as value from auth.sessions s
                      where s.oauth_client_id is null
                        and s.created_at >= coalesce((select at from ingest.switched_on), '-infinity')
                        and not exists (select from ingest.logins l where l.session_id = s.id::text)
                      group by s.user_id";
    let check =
        Check::new(FixedBy::Backfill, "select null::uuid as id, 0::bigint as value where false", unreported);
    Check { source: Some("auth.sessions"), ..check }.field("auth.sessions (logins)", "0")
}

/// Deleted users have no row.
fn activity(tables: &ActivityTables) -> Check {
    let shown = counts::shown(tables);
    let names: Vec<&str> = shown.iter().map(|(column, _)| *column).collect();
    let values: Vec<String> = shown.iter().map(|(column, value)| format!("{value} as {column}")).collect();
    Check::new(
        FixedBy::Reconcile,
        format!("select user_id as id, {} from public.user_activity_metrics", names.join(", ")),
        format!(
            "select u.id, {} from auth.users u left join ingest.activity a on a.user_id = u.id",
            values.join(", ")
        ),
    )
    .columns("public.user_activity_metrics", "0", names.into_iter().filter(|column| *column != LAST_LOGIN))
    .columns("public.user_activity_metrics", "'epoch'", [LAST_LOGIN])
}

const LAST_LOGIN: &str = "last_login_at";

/// Each currency by itself.
fn by_currency() -> Check {
    macro_rules! by_currency {
        ($of:literal) => {
            concat!(
                "select user_id as id, jsonb_object_agg(currency, mrr) filter (where mrr <> 0) as mrr,
                        jsonb_object_agg(currency, total_spent) filter (where total_spent <> 0) as total_spent,
                        jsonb_object_agg(currency, ltv) filter (where ltv <> 0) as ltv
                 from ",
                $of,
                " group by user_id"
            )
        };
    }
    Check::new(
        FixedBy::Reconcile,
        by_currency!("public.user_revenue_by_currency"),
        by_currency!(
            "(select c.user_id, r.currency, sum(r.mrr) as mrr, sum(r.collected) as total_spent,
                     sum(r.collected - r.refunded - r.disputed) as ltv
              from ingest.customers c join auth.users u on u.id = c.user_id
              join ingest.customer_revenue r on r.customer_id = c.id
              group by c.user_id, r.currency) s"
        ),
    )
    .columns("public.user_revenue_by_currency", "'{}'", ["mrr", "total_spent", "ltv"])
}

/// In the row's currency.
fn in_main_currency() -> Check {
    Check::new(
        FixedBy::Reconcile,
        "select user_id as id, mrr, total_spent, ltv from public.user_revenue_metrics",
        "select m.user_id as id, coalesce(sum(r.mrr), 0)::bigint as mrr,
                coalesce(sum(r.collected), 0)::bigint as total_spent,
                coalesce(sum(r.collected - r.refunded - r.disputed), 0)::bigint as ltv
         from public.user_revenue_metrics m
         left join ingest.customers c on c.user_id = m.user_id
         left join ingest.customer_revenue r on r.customer_id = c.id and r.currency = m.currency
         group by m.user_id",
    )
    .columns("public.user_revenue_metrics", "0", ["mrr", "total_spent", "ltv"])
}

/// The counters, compared with the facts that they count.
fn counters(tables: &ActivityTables) -> Check {
    let fed = Metric::ALL.into_iter().filter(|metric| tables.feed(*metric)).map(activities::column);
    Check::new(
        FixedBy::Rebuild,
        "select user_id as id, a.* from ingest.activity a",
        format!("select user_id as id, c.* from ({}) c", counts::of_facts(tables)),
    )
    .columns("ingest.activity", "0", ["logins", "files", "file_bytes"].into_iter().chain(fed))
}
