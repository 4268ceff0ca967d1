//! A batch that waits for the derivation lock.

use std::sync::atomic::Ordering;

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::project::stripe::StripeMode;
use memberflow::store::{Store, StoreSettings};
use serde_json::json;
use sqlx::{Postgres, Transaction};
use time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

use super::deletions::until_waiting;
use crate::support::app::{NOW, TestApp, customer, row, stripe};

/// "memberflo" in ASCII.
const DERIVATION_LOCK: i64 = 0x6d65_6d62_6572_666c;

/// How long an event takes at most that nothing delays.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

async fn hold_derivation_lock(app: &TestApp) -> Transaction<'static, Postgres> {
    let mut holder = memberflow::database::begin(&app.database.pool).await.unwrap();
    let lock = sqlx::query("select pg_advisory_xact_lock($1)").bind(DERIVATION_LOCK);
    lock.execute(&mut *holder).await.unwrap();
    holder
}

#[tokio::test]
async fn batch_that_waited_derives_the_moment_it_got_the_lock() {
    let app = TestApp::with_connections(6).await;
    let user = Uuid::from_u128(1);
    app.sign_up(user, "ann@example.com").await;
    let clock = Clock::fixed(NOW);
    let settings = StoreSettings::new(&crate::support::config(app.database.url()));
    let store = Store::new(app.database.pool.clone(), clock.clone(), settings);
    let holder = hold_derivation_lock(&app).await;
    let events = [row(
        "sign_up",
        "INSERT",
        "auth.users",
        json!({"id": user, "email": "ann@example.com"}),
        json!(null),
    )];
    let release = async {
        until_waiting(&app.database.pool, 1).await;
        if let Clock::Fixed(nanos) = &clock {
            nanos.fetch_add(60_000_000_000, Ordering::Relaxed);
        }
        holder.rollback().await.unwrap();
    };
    let (applied, ()) = tokio::join!(store.apply(&events), release);
    assert_eq!(applied.unwrap().new, 1);
    let calculated = sqlx::query_scalar("select last_calculated_at from public.user_activity_metrics")
        .fetch_one(&app.database.pool)
        .await;
    assert_eq!(calculated.ok(), Some(NOW + Duration::MINUTE));
}

#[tokio::test]
async fn batch_without_counted_events_waits_for_no_derivation() {
    let app = TestApp::begin().await;
    let holder = hold_derivation_lock(&app).await;
    let config = Config { stripe_mode: Some(StripeMode::Live), ..crate::support::config(app.database.url()) };
    let store = Store::new(app.database.pool.clone(), Clock::fixed(NOW), StoreSettings::new(&config));
    let of_test_mode = stripe("evt_1", "customer.created", 1, customer("cus_1", "ann@example.com"));
    let applied = timeout(PATIENCE, store.apply(std::slice::from_ref(&of_test_mode))).await;
    assert_eq!(applied.expect("it waits for the lock").unwrap().new, 1);
    let stored = app.rows("select state, not_counted is not null as is_not_counted from ingest.events").await;
    assert_eq!(stored, [json!({"state": "applied", "is_not_counted": true})]);
    holder.rollback().await.unwrap();
}
