//! A deployment's database with rows in it: what is missing comes, what stands stays.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, PgPool};

use super::{apply, execute, inventory, texts};
use crate::support::database::TestDatabase;

const DEPLOYMENT: &str = include_str!("deployment.sql");

async fn deployed() -> TestDatabase {
    let database = TestDatabase::stubbed().await;
    execute(&database.pool, DEPLOYMENT).await;
    database
}

/// For each table the columns it has now.
async fn columns(pool: &PgPool) -> BTreeMap<String, String> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select table_name::text, string_agg(quote_ident(column_name), ', ' order by ordinal_position)
         from information_schema.columns where table_schema = 'public' group by 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter().collect()
}

/// All rows of all these tables, in these columns.
async fn rows(pool: &PgPool, columns: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (table, list) in columns {
        let sql = format!(
            "select jsonb_agg(to_jsonb(r) order by to_jsonb(r)::text)::text from (select {list} from public.{table}) r"
        );
        let content: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap();
        all.insert(table.clone(), content.unwrap_or_else(|| panic!("the fixture has rows in {table}")));
    }
    all
}

#[tokio::test]
async fn nothing_that_stands_is_changed_or_lost() {
    let database = deployed().await;
    let pool = &database.pool;
    let (old_columns, old_things) = (columns(pool).await, inventory(pool).await);
    let old_rows = rows(pool, &old_columns).await;
    assert_eq!(old_columns.len(), 13, "the fixture has all tables");

    for _ in 0..2 {
        apply(&database).await;
        assert_eq!(rows(pool, &old_columns).await, old_rows);
    }

    let new_things = inventory(pool).await;
    let lost: Vec<_> = old_things
        .iter()
        // What anybody could do on a table without protection is meant to go, and comments are meant to come.
        .filter(|thing| !thing.starts_with("grant public.journal_entries"))
        .map(|thing| thing.strip_suffix(" -- ").unwrap_or(thing))
        .filter(|thing| !new_things.iter().any(|new| new.starts_with(thing)))
        .collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

#[tokio::test]
async fn what_is_missing_is_added() {
    let database = deployed().await;
    apply(&database).await;
    execute(
        &database.pool,
        "update public.customer_subscriptions set status = 'paused';
         update public.payment_history set amount_refunded = 3000000000, amount_disputed = 1;
         update public.user_activity_metrics set engagement_status_is_manual = true;
         insert into public.user_revenue_metrics (user_id, mrr) select user_id, 1 from public.user_activity_metrics
             on conflict (user_id) do update set mrr = 2;
         insert into public.user_revenue_by_currency (user_id, currency) select user_id, 'usd' from public.user_activity_metrics",
    )
    .await;
    let unprotected = "select relname::text from pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'r' and not relrowsecurity";
    assert!(texts(&database.pool, unprotected).await.is_empty());
}

#[tokio::test]
async fn a_deployments_own_policies_stay_and_those_that_trust_the_user_are_named() {
    let database = deployed().await;
    let report = apply(&database).await;
    assert_eq!(
        report.unsafe_policies,
        [
            "\"Admins can do anything with leads\" on public.leads",
            "\"Admins manage campaigns\" on public.marketing_campaigns",
        ]
    );
    let policies = texts(
        &database.pool,
        "select policyname::text from pg_policies where tablename in ('leads', 'support_tickets') order by 1",
    )
    .await;
    assert_eq!(policies, ["Admins can do anything with leads", "Users see their own tickets"]);
    assert!(apply(&database).await.applied.is_empty());
}

#[tokio::test]
async fn an_open_table_is_closed() {
    let database = deployed().await;
    apply(&database).await;
    let open = texts(
        &database.pool,
        "select privilege_type::text from information_schema.role_table_grants
         where table_name = 'journal_entries' and grantee in ('anon', 'PUBLIC')
            or table_name = 'journal_entries' and grantee = 'authenticated' and privilege_type <> 'SELECT'",
    )
    .await;
    assert!(open.is_empty(), "{open:?}");
}

#[tokio::test]
async fn an_index_is_not_made_again_under_another_name() {
    let database = deployed().await;
    apply(&database).await;
    let indexes = texts(
        &database.pool,
        "select indexname::text from pg_indexes
         where tablename = 'user_profiles' and indexdef like '%(user_id)' order by 1",
    )
    .await;
    assert_eq!(indexes, ["idx_user_profiles_user_id"]);
}

#[tokio::test]
async fn an_older_revenue_table_is_completed_and_keyed_by_user() {
    let database = deployed().await;
    execute(
        &database.pool,
        "create table public.user_revenue_metrics (
             id uuid primary key default gen_random_uuid(), user_id uuid, mrr int, lifetime_value numeric(10, 2)
         );
         insert into public.user_revenue_metrics (user_id, mrr, lifetime_value)
             values ('00000000-0000-0000-0000-00000000000a', 5, 12.30)",
    )
    .await;
    apply(&database).await;
    execute(
        &database.pool,
        "insert into public.user_revenue_metrics (user_id, mrr, ltv) select user_id, 7, 3000000000
         from public.user_activity_metrics on conflict (user_id) do update set mrr = excluded.mrr, ltv = excluded.ltv",
    )
    .await;
    let row = texts(
        &database.pool,
        "select concat_ws(' ', mrr, pg_typeof(mrr), lifetime_value, ltv) from public.user_revenue_metrics",
    )
    .await;
    assert_eq!(row, ["7 integer 12.30 3000000000"]);
}

#[tokio::test]
async fn an_older_revenue_table_with_a_user_twice_keeps_its_rows() {
    let database = deployed().await;
    execute(
        &database.pool,
        "create table public.user_revenue_metrics (id int primary key, user_id uuid, mrr int);
         insert into public.user_revenue_metrics select n, '00000000-0000-0000-0000-00000000000a', n
             from generate_series(1, 2) n",
    )
    .await;
    apply(&database).await;
    let rows = texts(&database.pool, "select mrr::text from public.user_revenue_metrics order by id").await;
    assert_eq!(rows, ["1", "2"]);
}
