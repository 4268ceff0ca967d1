//! Accounts, profiles, subscriptions and metrics to read.

use serde_json::{Value, json};
use sqlx::PgPool;
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use crate::support::database::TestDatabase;

/// The moment at which tests read.
pub const NOW: OffsetDateTime = datetime!(2026-11-20 12:00:00 UTC);

/// An account to be made, with whatever else is known of it.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub email: Option<&'static str>,
    pub phone: Option<&'static str>,
    pub created_at: Option<OffsetDateTime>,
    pub deleted: bool,
}

/// A database with everything that the member list reads.
pub async fn database() -> TestDatabase {
    TestDatabase::migrated().await
}

pub async fn account(pool: &PgPool, account: Account) -> Uuid {
    let id = Uuid::new_v4();
    sqlx::query(
        "insert into auth.users (id, email, phone, created_at, deleted_at)
         values ($1, $2, $3, $4, case when $5 then now() end)",
    )
    .bind(id)
    .bind(account.email)
    .bind(account.phone)
    .bind(account.created_at)
    .bind(account.deleted)
    .execute(pool)
    .await
    .unwrap();
    id
}

/// An account with an address and nothing else.
pub async fn named(pool: &PgPool, email: &'static str) -> Uuid {
    account(pool, Account { email: Some(email), ..Account::default() }).await
}

/// One row of a table, its columns given as JSON; the others get their defaults.
pub async fn row(pool: &PgPool, table: &'static str, columns: Value) {
    let names: Vec<&str> = columns.as_object().unwrap().keys().map(String::as_str).collect();
    let names = names.join(", ");
    let sql =
        format!("insert into {table} ({names}) select {names} from jsonb_populate_record(null::{table}, $1)");
    sqlx::query(sqlx::AssertSqlSafe(sql)).bind(&columns).execute(pool).await.unwrap();
}

pub async fn profile(pool: &PgPool, user_id: Uuid, first: &str, last: &str, updated_at: &str) {
    let columns = json!({"user_id": user_id, "first_name": first, "last_name": last, "is_active": true,
        "updated_at": updated_at});
    row(pool, "public.user_profiles", columns).await;
}

pub async fn tier(pool: &PgPool, name: &str) -> Uuid {
    let id = Uuid::new_v4();
    row(pool, "public.membership_tiers", json!({"id": id, "name": name})).await;
    id
}

pub async fn subscription(
    pool: &PgPool,
    user_id: Uuid,
    tier: Uuid,
    status: &str,
    created_at: &str,
) -> String {
    let customer = format!("cus_{}", Uuid::new_v4().simple());
    let columns = json!({"user_id": user_id, "membership_tier_id": tier, "stripe_customer_id": customer,
        "status": status, "created_at": created_at});
    row(pool, "public.customer_subscriptions", columns).await;
    customer
}

/// Every subscription is to end on a day that was set, and is not collected until then.
pub async fn cancel(pool: &PgPool) {
    let update = "update public.customer_subscriptions set cancel_at = '2026-12-20 10:00+00', collection_paused = true,
        cancellation_reason = 'cancellation_requested', cancellation_feedback = 'too_expensive'";
    sqlx::query(update).execute(pool).await.unwrap();
}
