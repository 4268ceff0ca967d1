//! Users, and rows of theirs, that are deleted in SQL while a batch is about to write those.

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::statements::{app_with_members, everything};
use crate::support::app::{TestApp, paid_invoice, stripe};

#[tokio::test]
async fn deleting_users_during_a_batch_does_not_deadlock() {
    let app = TestApp::on(app_with_members(2).await.database.with_connections(6));
    let pool = &app.database.pool;
    let users = [1, 2].map(Uuid::from_u128);
    // The deletion has taken both users, and waits for a row of the first.
    let mut holder = memberflow::database::begin(pool).await.unwrap();
    sqlx::query("select from public.user_activity_metrics where user_id = $1 for update")
        .bind(users[0])
        .execute(&mut *holder)
        .await
        .unwrap();
    let delete = sqlx::query("delete from auth.users where id = any($1)").bind(users);
    let deletion = async {
        let deleted = delete.execute(pool).await.unwrap();
        assert_eq!(deleted.rows_affected(), 2);
    };
    let batch = async {
        until_waiting(pool, 1).await;
        let mut changes = everything(2, "second");
        changes.retain(|event| event.event_id.contains("_2"));
        assert_eq!(changes.len(), 2, "a subscription whose row is there, and a payment that has none");
        assert_eq!(app.apply(changes).await.new, 2);
    };
    let release = async {
        until_waiting(pool, 2).await;
        holder.rollback().await.unwrap();
    };
    tokio::join!(deletion, batch, release);
    let left = "select (select count(*) from customer_subscriptions) + (select count(*) from payment_history) as rows";
    assert_eq!(app.rows(left).await, [json!({"rows": 0})]);
}

#[tokio::test]
async fn row_deleted_during_a_batch_comes_back_with_the_next() {
    let app = app_with_members(1).await;
    app.apply(everything(1, "first")).await;
    let paid = |id: &str| stripe(&format!("evt_{id}"), "invoice.paid", 60, paid_invoice(id, "cus_1", 1000));
    let revenue = "select total_spent, subscription_status from public.user_revenue_metrics";
    // Between what the batch reads and what it writes.
    for statement in [
        "create function public.lose() returns trigger language plpgsql
         as 'begin delete from public.user_revenue_metrics; return null; end'",
        "create trigger lose after insert on public.payment_history execute function public.lose()",
    ] {
        app.execute(statement).await;
    }
    assert_eq!(app.apply([paid("in_2")]).await.new, 1);
    assert_eq!(app.rows(revenue).await, [json!(null); 0]);

    app.execute("drop trigger lose on public.payment_history").await;
    assert_eq!(app.apply([paid("in_3")]).await.new, 1);
    let whole = json!({"total_spent": 3000, "subscription_status": "past_due"});
    assert_eq!(app.rows(revenue).await, [whole]);
}

/// Waits until so many of the database's sessions wait for each other.
pub(super) async fn until_waiting(pool: &PgPool, sessions: i64) {
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() < sessions {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
