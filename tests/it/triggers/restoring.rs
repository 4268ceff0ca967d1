//! The database is restored to an earlier moment, while the broker still has what came after it.

use memberflow::ops::triggers;
use memberflow::project::supabase::ActivityTables;
use memberflow::project::supabase::row::TriggerChange;
use sqlx::PgPool;

use super::{ANN, activity, counts, drained, taken, watched};
use crate::support::app::TestApp;

async fn entry(app: &TestApp) {
    app.execute(&format!("insert into public.journal_entries (user_id) values ('{ANN}')")).await;
}

async fn last_number(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select last_value from ingest.change_numbers").fetch_one(pool).await.unwrap()
}

/// As a restore does it: the sequence is where it was.
async fn restore(pool: &PgPool, number: i64) {
    let set = sqlx::query("select setval('ingest.change_numbers', $1)").bind(number);
    set.execute(pool).await.unwrap();
}

#[tokio::test]
async fn repeated_number_after_restore_is_another_event() {
    let app = watched(&ActivityTables::default()).await;
    drained(&app).await;
    let restored = last_number(&app.database.pool).await;
    entry(&app).await;
    let lost_hours = taken(&app.database.pool).await;

    restore(&app.database.pool, restored).await;
    entry(&app).await;
    let after = taken(&app.database.pool).await;
    let number = |name: &str| name.split('/').nth(1).map(str::to_owned);
    assert_eq!(number(&lost_hours[0].event_id), number(&after[0].event_id), "the number is given again");
    assert_eq!(app.apply(lost_hours).await.new, 1);
    assert_eq!(app.apply(after).await.new, 1, "a change is taken for a repeat of another");
    assert_eq!(activity(&app, ANN).await, counts(0, 0, 0.0, 0, 2, 0));
}

#[tokio::test]
async fn install_advances_the_change_numbers() {
    let app = watched(&ActivityTables::default()).await;
    entry(&app).await;
    let lost_hours = taken(&app.database.pool).await;
    restore(&app.database.pool, 7).await;

    let tables = ActivityTables::default();
    triggers::install(&app.database.pool, &tables).await.unwrap();
    entry(&app).await;
    let after = taken(&app.database.pool).await;
    let numbers = [&lost_hours[0], &after[0]].map(|event| format!("{:?}", TriggerChange::of(event).unwrap()));
    assert!(numbers[0] < numbers[1], "{numbers:?}");

    let ahead = i64::MAX / 2;
    restore(&app.database.pool, ahead).await;
    triggers::install(&app.database.pool, &tables).await.unwrap();
    assert_eq!(last_number(&app.database.pool).await, ahead, "numbers never go back");
    let script = triggers::install_script(&app.database.pool, &tables).await.unwrap();
    assert!(script.contains("select ingest.advance_change_numbers();"), "{script}");
}

/// A database of before: small numbers, which the migration lifts above all of them.
#[tokio::test]
async fn migration_advances_existing_numbers() {
    let app = TestApp::begin().await;
    restore(&app.database.pool, 41).await;
    let migration = include_str!("../../../migrations/20251205001000_create_ingest.sql");
    let apply = async || sqlx::raw_sql(migration).execute(&app.database.pool).await.unwrap();
    apply().await;
    let lifted = last_number(&app.database.pool).await;
    assert!(lifted > 1_700_000_000_000_000, "{lifted}");
    apply().await;
    assert!(last_number(&app.database.pool).await >= lifted);
}
