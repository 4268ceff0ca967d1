//! Every row of every table as text, to see whether two databases say the same.

use std::collections::BTreeMap;

use sqlx::PgPool;

/// Bookkeeping columns.
const BOOKKEEPING: [&str; 10] = [
    "updated_at",
    "last_calculated_at",
    "received_at",
    "applied_at",
    "attempts",
    "parked_at",
    "dead_at",
    "installed_on",
    "execution_time",
    "recorded_at",
];

/// The same for one table: Twilio has no timestamps, so times of receipt are used.
const RECEIPT: [(&str, &str); 3] = [
    ("public.sms_messages", "created_at"),
    ("public.sms_consents", "changed_at"),
    ("ingest.unmatched_numbers", "checked_at"),
];

/// Tables that memberflow does not derive.
const LEFT_OUT: [&str; 16] = [
    "ingest.audit_log",
    "ingest.backfills",
    "ingest.backlog",
    "ingest.consumers",
    "ingest.forgotten_objects",
    "ingest.jobs",
    "ingest.last_checks",
    "ingest.outbox",
    "ingest.saved_views",
    "ingest.schema_migrations",
    "ingest.sms_consent_followers",
    "ingest.source_days",
    "ingest.sources_counted",
    "ingest.throughput",
    "public.membership_tiers",
    "public.user_profiles",
];

/// A match by e-mail address is kept as an event when it is needed first, and that depends on what had come
/// by then. It yields to any stronger claim, so nothing derived depends on its having been kept.
const OWN_DECISIONS: [(&str, &str); 2] =
    [("ingest.inbox", "source <> 'internal'"), ("ingest.customer_emails", "object_id not like 'match/%'")];

/// Superseded movements depend on the order in which things became known; the current ones do not.
const BELIEFS: [(&str, &str); 4] = [
    ("public.mrr_movements", "superseded_at is null"),
    ("ingest.mrr_totals", "movements <> 0"),
    ("ingest.mrr_revisions", "false"),
    ("ingest.mrr_cohorts", "(customers, amount) <> (0, 0)"),
];

/// Rows that are numbered as they come.
const NUMBERED: [&str; 2] = ["public.mrr_movements", "ingest.inbox"];

/// By table: its rows as JSON, sorted.
pub type Dump = BTreeMap<String, Vec<String>>;

/// Reads everything in `public` and `ingest`.
pub async fn everything(pool: &PgPool) -> Dump {
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_schema || '.' || table_name from information_schema.tables
         where table_schema in ('public', 'ingest') and table_type = 'BASE TABLE'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let tables: Vec<String> =
        tables.into_iter().filter(|table| !LEFT_OUT.contains(&table.as_str())).collect();
    // One statement for all of them: tests read them hundreds of times.
    let selects: Vec<String> = tables.iter().map(|table| select(table)).collect();
    let rows: Vec<(String, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(selects.join(" union all "))).fetch_all(pool).await.unwrap();
    let mut dump: Dump = tables.into_iter().map(|table| (table, Vec::new())).collect();
    for (table, row) in rows {
        dump.get_mut(&table).unwrap().push(row);
    }
    dump.values_mut().for_each(|rows| rows.sort());
    dump
}

/// The statement that gives the name of `table` and a row's text, for each row that counts.
fn select(table: &str) -> String {
    let mut conditions = OWN_DECISIONS.iter().chain(&BELIEFS);
    let own = conditions.find(|(of, _)| *of == table).map_or("true", |(_, condition)| *condition);
    let receipt = RECEIPT.iter().find(|(of, _)| *of == table).map(|(_, column)| *column);
    let number = NUMBERED.contains(&table).then_some("id");
    let left_out: Vec<&str> = BOOKKEEPING.into_iter().chain(number).chain(receipt).collect();
    let left_out = left_out.join(",");
    format!("select '{table}', (to_jsonb(t) - '{{{left_out}}}'::text[])::text from {table} t where {own}")
}

/// Fails with the rows that differ.
pub fn assert_same(expected: &Dump, actual: &Dump, when: &str) {
    let mut differing = Vec::new();
    for (table, rows) in expected {
        let other = &actual[table];
        // Both are sorted: the search for what differs, each row among all, is for tables that do.
        if rows == other {
            continue;
        }
        differing
            .extend(rows.iter().filter(|row| !other.contains(row)).map(|row| format!("- {table} {row}")));
        differing
            .extend(other.iter().filter(|row| !rows.contains(row)).map(|row| format!("+ {table} {row}")));
    }
    assert!(differing.is_empty(), "{when}:\n{}", differing.join("\n"));
}
