//! The statements of a batch use indexes, whatever the table statistics say.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::statements::{app_with_members, everything, taken_by, taken_by_pending};
use crate::support::app::TestApp;

/// Rows of others in each table: enough for a sequential scan to look cheap compared to several index
/// lookups.
const OTHERS: i32 = 6_000;

/// A table that grows, with what sets a row apart from all others, in terms of its number `n`.
pub(crate) type Growing = (&'static str, &'static str);

/// The tables that batches write.
pub(crate) const GROWING: [Growing; 20] = [
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
async fn batch_statements_never_scan_growing_tables() {
    let app = app_with_members(3).await;
    for event in everything(3, "before") {
        app.apply([event]).await;
    }
    app.execute(
        "insert into ingest.logins (session_id, user_id, logged_in_at, evidence, counted)
         values ('session', md5('user')::uuid, now(), 0, true)",
    )
    .await;
    app.execute(
        "insert into ingest.parked (subject, reason, detail, parked_at) values ('cus', 'unknown_user', 'no user', now())",
    )
    .await;
    grow(&app, &GROWING, OTHERS).await;
    let mut statements: BTreeSet<String> = taken_by(&app, everything(3, "after")).await.into_iter().collect();
    statements.extend(taken_by_pending(&app, everything(3, "pending")).await);
    assert_found_by_index(&app, statements, &GROWING).await;
}

/// Adds so many rows of others to each table, of which the planner knows nothing: its statistics are from when there
/// was next to nothing.
pub(crate) async fn grow(app: &TestApp, tables: &[Growing], others: i32) {
    app.execute("analyze").await;
    for (table, patch) in tables {
        app.execute(&format!("alter table {table} set (autovacuum_enabled = false)")).await;
        fill(app, table, patch, others).await;
    }
    // As any vacuum does, and every few thousand rows: until then an index of words is read together with a list of the newest.
    app.execute(
        "select gin_clean_pending_list(i.indexrelid) from pg_index i
         join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam where a.amname = 'gin'",
    )
    .await;
}

/// Fails where the generic plan of a statement reads one of `tables` whole.
pub(crate) async fn assert_found_by_index(app: &TestApp, statements: BTreeSet<String>, tables: &[Growing]) {
    let mut connection = app.database.pool.acquire().await.unwrap();
    run(&mut connection, "set search_path = ingest, public").await;
    let mut scans = Vec::new();
    for statement in statements {
        for table in scanned(&mut connection, &statement, tables).await {
            scans.push(format!("{table} is read whole by {statement}"));
        }
    }
    assert_eq!(scans, Vec::<String>::new(), "{}", scans.join("\n\n"));
}

/// Copies a row of `table` for each of the others.
async fn fill(app: &TestApp, table: &str, patch: &str, others: i32) {
    let columns = app
        .rows(&format!(
            "select string_agg(quote_ident(attname), ', ') as names from pg_attribute
             where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped and attgenerated = ''"
        ))
        .await;
    let columns = columns[0]["names"].as_str().unwrap();
    let mut connection = app.database.pool.acquire().await.unwrap();
    // Neither triggers nor foreign keys: the others are there to be many.
    run(&mut connection, "set session_replication_role = replica").await;
    let copied = format!(
        "insert into {table} ({columns}) overriding system value
         select {columns} from (select t from {table} t limit 1) first, generate_series(1, {others}) n,
              lateral jsonb_populate_record(first.t, jsonb_build_object({patch})) as others"
    );
    let copied = sqlx::query(AssertSqlSafe(copied)).execute(&mut *connection).await.unwrap();
    assert_eq!(copied.rows_affected(), u64::from(others.unsigned_abs()), "{table}");
    run(&mut connection, "reset session_replication_role").await;
}

async fn run(connection: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(connection).await.unwrap();
}

/// The growing tables that the generic plan of `statement` reads whole.
async fn scanned(connection: &mut PgConnection, statement: &str, growing: &[Growing]) -> Vec<String> {
    let verb = statement.split_whitespace().next().unwrap_or_default();
    if !["select", "with", "insert", "update", "delete"].contains(&verb) {
        return Vec::new();
    }
    let parameters = (1..=99).rev().find(|number| statement.contains(&format!("${number}"))).unwrap_or(0);
    // What is searched for is planned with the pattern each time: there is no plan for any.
    let by_text = ["select id from auth.users where email ilike", "like lower($1)"];
    let (mode, value) = if by_text.iter().any(|text| statement.contains(text)) {
        ("force_custom_plan", "'%seldom%'")
    } else {
        ("force_generic_plan", "null")
    };
    run(connection, &format!("set plan_cache_mode = {mode}")).await;
    // A limit next to the pattern is none.
    let values = (1..=parameters)
        .map(|number| if statement.contains(&format!("limit ${number}")) { "null" } else { value });
    let values = values.collect::<Vec<_>>().join(", ");
    prepare(connection, statement, parameters).await;
    let explain = match parameters {
        0 => "explain (format json, verbose, costs off) execute explained".to_owned(),
        _ => format!("explain (format json, verbose, costs off) execute explained({values})"),
    };
    let row = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_one(&mut *connection).await.unwrap();
    let plan: Value = serde_json::from_str(row.try_get_unchecked::<&str, _>(0).unwrap()).unwrap();
    run(connection, "deallocate explained").await;
    let mut tables = BTreeSet::new();
    collect(&plan, growing, &mut tables);
    tables.into_iter().collect()
}

/// Prepares `statement` as `explained`. Where a parameter's type does not follow from the statement it is text, as sqlx
/// says it is.
async fn prepare(connection: &mut PgConnection, statement: &str, parameters: usize) {
    let prepare = format!("prepare explained as {statement}");
    if sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.is_err() {
        let types = vec!["text"; parameters].join(", ");
        run(connection, &format!("prepare explained ({types}) as {statement}")).await;
    }
}

/// Whether a part of a plan reads a table whole, or by an index that does not lead to the one event that is searched for.
fn reads_all(plan: &Value) -> bool {
    let filter = plan["Filter"].as_str().unwrap_or_default();
    let is_no_key = plan["Relation Name"] == json!("inbox") && filter.contains("event_id = ");
    plan["Node Type"] == json!("Seq Scan") || is_no_key
}

fn collect(plan: &Value, growing: &[Growing], tables: &mut BTreeSet<String>) {
    if reads_all(plan) {
        let name = [&plan["Schema"], &plan["Relation Name"]].map(|part| part.as_str().unwrap_or_default());
        let table = name.join(".");
        tables.extend(growing.iter().any(|(grows, _)| *grows == table).then_some(table));
    }
    match plan {
        Value::Array(all) => all.iter().for_each(|one| collect(one, growing, tables)),
        Value::Object(fields) => fields.values().for_each(|one| collect(one, growing, tables)),
        _ => {}
    }
}
