//! How the statements of a batch find their rows: by index, whatever the planner believes.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::statements::{everything, taken_by, town};
use crate::support::told::Told;

/// Rows of others in each table: enough for a plan that reads them all to look cheap beside several lookups by index.
const OTHERS: i32 = 20_000;

/// The tables that grow, each with what sets a row apart from all others, in terms of its number `n`.
const GROWING: [(&str, &str); 20] = [
    ("ingest.stripe_facts", "'id', 'other_' || n, 'customer_id', 'cus_other_' || n"),
    ("ingest.stripe_links", "'id', 'other_' || n, 'other', 'another_' || n"),
    ("ingest.stripe_versions", "'id', 'other_' || n"),
    ("ingest.claims", "'object_id', 'other_' || n, 'customer_id', 'cus_other_' || n"),
    ("ingest.customer_emails", "'object_id', 'other_' || n, 'customer_id', 'cus_other_' || n, 'email', n || '@other.org'"),
    ("ingest.customers", "'id', 'cus_other_' || n, 'user_id', md5('user' || n)::uuid"),
    ("ingest.payments", "'id', 'in_other_' || n, 'customer_id', 'cus_other_' || n, 'history_id', md5('row' || n)::uuid"),
    ("ingest.customer_revenue", "'customer_id', 'cus_other_' || n"),
    ("ingest.logins", "'session_id', 'session_' || n, 'user_id', md5('user' || n)::uuid"),
    ("ingest.row_facts", "'row_id', 'other_' || n, 'user_id', md5('user' || n)::uuid"),
    ("ingest.activity", "'user_id', md5('user' || n)::uuid"),
    ("ingest.parked", "'subject', 'cus_other_' || n"),
    ("ingest.inbox", "'event_id', 'evt_other_' || n, 'subject', 'other_' || n"),
    ("ingest.users", "'id', md5('user' || n)::uuid"),
    ("public.mrr_movements", "'id', 1000000 + n, 'customer_id', 'cus_other_' || n, 'user_id', md5('user' || n)::uuid"),
    (
        "public.customer_subscriptions",
        "'id', md5('sub' || n)::uuid, 'user_id', md5('user' || n)::uuid, 'stripe_subscription_id', 'sub_other_' || n,
         'stripe_customer_id', 'cus_other_' || n",
    ),
    (
        "public.payment_history",
        "'id', md5('row' || n)::uuid, 'user_id', md5('user' || n)::uuid, 'stripe_invoice_id', 'in_other_' || n,
         'stripe_payment_intent_id', 'pi_other_' || n",
    ),
    ("public.user_revenue_metrics", "'id', md5('a' || n)::uuid, 'user_id', md5('user' || n)::uuid"),
    ("public.user_revenue_by_currency", "'user_id', md5('user' || n)::uuid"),
    ("public.user_activity_metrics", "'id', md5('b' || n)::uuid, 'user_id', md5('user' || n)::uuid"),
];

#[tokio::test]
async fn no_statement_of_a_batch_reads_a_table_that_grows() {
    let told = town(3).await;
    for event in everything(3, "before") {
        told.tell([event]).await;
    }
    told.execute(
        "insert into ingest.logins (session_id, user_id, logged_in_at, evidence, counted)
         values ('session', md5('user')::uuid, now(), 0, true)",
    )
    .await;
    told.execute(
        "insert into ingest.parked (subject, reason, detail, parked_at) values ('cus', 'unknown_user', 'no user', now())",
    )
    .await;
    // What the planner knows is from when there was next to nothing.
    told.execute("analyze").await;
    for (table, patch) in GROWING {
        told.execute(&format!("alter table {table} set (autovacuum_enabled = false)")).await;
        fill(&told, table, patch).await;
    }
    let statements: BTreeSet<String> = taken_by(&told, everything(3, "after")).await.into_iter().collect();
    let mut connection = told.database.pool.acquire().await.unwrap();
    run(&mut connection, "set search_path = ingest, public").await;
    run(&mut connection, "set plan_cache_mode = force_generic_plan").await;
    let mut scans = Vec::new();
    for statement in statements {
        for table in scanned(&mut connection, &statement).await {
            scans.push(format!("{table} is read whole by {statement}"));
        }
    }
    assert_eq!(scans, Vec::<String>::new(), "{}", scans.join("\n\n"));
}

/// Copies a row of `table` for each of the others.
async fn fill(told: &Told, table: &str, patch: &str) {
    let columns = told
        .rows(&format!(
            "select string_agg(quote_ident(attname), ', ') as names from pg_attribute
             where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped and attgenerated = ''"
        ))
        .await;
    let columns = columns[0]["names"].as_str().unwrap();
    let mut connection = told.database.pool.acquire().await.unwrap();
    // Neither triggers nor foreign keys: the others are there to be many.
    run(&mut connection, "set session_replication_role = replica").await;
    let copied = format!(
        "insert into {table} ({columns}) overriding system value
         select {columns} from (
             select (jsonb_populate_record(null::{table}, to_jsonb(t) || jsonb_build_object({patch}))).*
             from (select * from {table} limit 1) t, generate_series(1, {OTHERS}) n) as others"
    );
    let copied = sqlx::query(AssertSqlSafe(copied)).execute(&mut *connection).await.unwrap();
    assert_eq!(copied.rows_affected(), u64::from(OTHERS.unsigned_abs()), "{table}");
    run(&mut connection, "reset session_replication_role").await;
}

async fn run(connection: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await.unwrap();
}

/// The growing tables that the generic plan of `statement` reads whole.
async fn scanned(connection: &mut PgConnection, statement: &str) -> Vec<String> {
    let verb = statement.split_whitespace().next().unwrap_or_default();
    if !["select", "with", "insert", "update", "delete"].contains(&verb) {
        return Vec::new();
    }
    let parameters = (1..=30).rev().find(|number| statement.contains(&format!("${number}"))).unwrap_or(0);
    let nulls = vec!["null"; parameters].join(", ");
    run(connection, &format!("prepare explained as {statement}")).await;
    let explain = match parameters {
        0 => "explain (format json, verbose, costs off) execute explained".to_owned(),
        _ => format!("explain (format json, verbose, costs off) execute explained({nulls})"),
    };
    let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.unwrap();
    let plan: Value = serde_json::from_str(row.try_get_unchecked::<&str, _>(0).unwrap()).unwrap();
    run(connection, "deallocate explained").await;
    let mut tables = BTreeSet::new();
    collect(&plan, &mut tables);
    tables.into_iter().collect()
}

fn collect(plan: &Value, tables: &mut BTreeSet<String>) {
    if plan["Node Type"] == json!("Seq Scan") {
        let name = [&plan["Schema"], &plan["Relation Name"]].map(|part| part.as_str().unwrap_or_default());
        let table = name.join(".");
        tables.extend(GROWING.iter().any(|(grows, _)| *grows == table).then_some(table));
    }
    match plan {
        Value::Array(all) => all.iter().for_each(|one| collect(one, tables)),
        Value::Object(fields) => fields.values().for_each(|one| collect(one, tables)),
        _ => {}
    }
}
