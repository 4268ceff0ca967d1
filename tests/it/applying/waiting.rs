//! A batch that waits for the derivation lock.

use std::sync::atomic::Ordering;

use memberflow::clock::Clock;
use memberflow::store::{Store, StoreSettings};
use serde_json::json;
use time::Duration;
use uuid::Uuid;

use super::deletions::until_waiting;
use crate::support::app::{NOW, TestApp, row};

/// "memberflo" in ASCII.
const DERIVATION_LOCK: i64 = 0x6d65_6d62_6572_666c;

#[tokio::test]
async fn batch_that_waited_derives_the_moment_it_got_the_lock() {
    let app = TestApp::with_connections(6).await;
    let user = Uuid::from_u128(1);
    app.sign_up(user, "ann@example.com").await;
    let clock = Clock::fixed(NOW);
    let settings = StoreSettings::new(&crate::support::config(app.database.url()));
    let store = Store::new(app.database.pool.clone(), clock.clone(), settings);
    let mut holder = memberflow::database::begin(&app.database.pool).await.unwrap();
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(DERIVATION_LOCK)
        .execute(&mut *holder)
        .await
        .unwrap();
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
