//! Large tables of which the planner knows nothing: a fresh database, a backfill, autovacuum switched off.

use memberflow::clock::Clock;
use memberflow::database::connect;
use memberflow::store::{Store, StoreSettings};
use tokio::task::yield_now;

use crate::support::app::{NOW, TestApp, customer, stripe, subscription};

/// Rows of others: enough for a sequential scan to look cheap compared to several index lookups.
const OTHERS: i32 = 20_000;
/// Customers in one batch.
const CUSTOMERS: usize = 200;

#[tokio::test]
async fn stale_statistics_still_use_indexes() {
    let app = TestApp::begin().await;
    for table in ["public.mrr_movements", "ingest.parked"] {
        app.execute(&format!("alter table {table} set (autovacuum_enabled = false)")).await;
    }
    app.execute(&format!(
        "insert into public.mrr_movements
             (customer_id, currency, effective_at, kind, delta, mrr_before, mrr_after, recorded_at, calc_version)
         select 'cus_other_' || n, 'usd', now(), 'new', 1000, 0, 1000, now(), 1 from generate_series(1, {OTHERS}) n"
    ))
    .await;
    app.execute(&format!(
        "insert into ingest.parked (subject, reason, detail, parked_at)
         select 'cus_other_' || n, 'unknown_user', 'no user', now() from generate_series(1, {OTHERS}) n"
    ))
    .await;
    let config = crate::support::config(app.database.url());
    let pool = connect(&config).unwrap();
    let store = Store::new(pool.clone(), Clock::fixed(NOW), StoreSettings::new(&config));
    for status in ["active", "past_due", "canceled"] {
        let events = (0..CUSTOMERS).map(|n| {
            let (id, cus, sub) = (format!("evt_{n}_{status}"), format!("cus_{n}"), format!("sub_{n}"));
            stripe(&id, "customer.subscription.updated", 1, subscription(&sub, &cus, status))
        });
        let customers = (0..CUSTOMERS).map(|n| {
            let cus = format!("cus_{n}");
            stripe(
                &format!("evt_{cus}_{status}"),
                "customer.updated",
                1,
                customer(&cus, "nobody@example.com"),
            )
        });
        store.apply(&events.chain(customers).collect::<Vec<_>>()).await.unwrap();
    }
    // A session reports what it read when it ends.
    pool.close().await;
    for table in ["mrr_movements", "parked"] {
        let (read_whole, looked_up) = rows_read(&app, table).await;
        assert!(looked_up > 0, "{table} was read by index");
        assert_eq!(read_whole, 0, "{table} was read whole");
    }
}

/// Rows of `table` that were read by sequential scans, and index scans of it; once any of the latter is reported.
async fn rows_read(app: &TestApp, table: &str) -> (i64, i64) {
    loop {
        let reads: (i64, i64) =
            sqlx::query_as("select seq_tup_read, idx_scan from pg_stat_user_tables where relname = $1")
                .bind(table)
                .fetch_one(&app.database.pool)
                .await
                .unwrap();
        if reads.1 > 0 {
            return reads;
        }
        yield_now().await;
    }
}
