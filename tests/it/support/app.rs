//! A store on its own database, and short builders of events.

use bytes::Bytes;
use memberflow::clock::Clock;
use memberflow::envelope::{Envelope, parse};
use memberflow::store::{Applied, Store, StoreSettings};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

use super::database::TestDatabase;

/// The present moment of these tests.
pub const NOW: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);

/// 2026-01-01, in Unix seconds: when the tests' histories begin.
pub const BEGIN: i64 = 1_767_225_600;

/// A store to apply events to.
pub struct TestApp {
    pub database: TestDatabase,
    pub store: Store,
}

impl TestApp {
    pub async fn begin() -> Self {
        Self::on(TestDatabase::migrated().await)
    }

    /// The same for a test that does more at once.
    pub async fn with_connections(connections: u32) -> Self {
        Self::on(TestDatabase::migrated().await.with_connections(connections))
    }

    /// On a copy of the database as `prepare` leaves it, which is done once for all tests that want `what`.
    pub async fn prepared(what: &str, prepare: impl AsyncFnOnce(&Self)) -> Self {
        let prepared = TestDatabase::prepared(what, async |database| {
            let app = Self::on(database);
            prepare(&app).await;
            app.database
        });
        Self::on(prepared.await)
    }

    pub fn on(database: TestDatabase) -> Self {
        let store = store_at(&database, NOW);
        Self { database, store }
    }

    /// A store on the same database, at another moment.
    pub fn store_at(&self, now: OffsetDateTime) -> Store {
        store_at(&self.database, now)
    }

    /// Applies `events` as one batch.
    pub async fn apply(&self, events: impl IntoIterator<Item = Envelope>) -> Applied {
        self.store.apply(&events.into_iter().collect::<Vec<_>>()).await.unwrap()
    }

    pub async fn sign_up(&self, user: Uuid, email: &str) {
        self.execute(&format!(
            "insert into auth.users (instance_id, id, email, email_confirmed_at, created_at, updated_at)
             values ('00000000-0000-0000-0000-000000000000', '{user}', '{email}', now(), now(), now())"
        ))
        .await;
    }

    pub async fn name_tier(&self, name: &str, price: &str) {
        self.execute(&format!(
            "insert into public.membership_tiers (name, tier_type, stripe_price_id) values ('{name}', 'pro', '{price}')"
        ))
        .await;
    }

    pub async fn execute(&self, statement: &str) {
        sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&self.database.pool).await.unwrap();
    }

    /// Deletes all rows of `tables`, which is quicker than to truncate small ones.
    pub async fn empty(&self, tables: &[&str]) {
        for table in tables {
            self.execute(&format!("delete from {table}")).await;
        }
    }

    /// All rows of a query, as JSON.
    pub async fn rows(&self, query: &str) -> Vec<Value> {
        let rows = format!("select to_jsonb(q) from ({query}) q");
        sqlx::query_scalar(sqlx::AssertSqlSafe(rows)).fetch_all(&self.database.pool).await.unwrap()
    }

    /// What is parked, as `subject reason`.
    pub async fn parked(&self) -> Vec<String> {
        sqlx::query_scalar("select subject || ' ' || reason from ingest.parked order by 1")
            .fetch_all(&self.database.pool)
            .await
            .unwrap()
    }
}

fn store_at(database: &TestDatabase, now: OffsetDateTime) -> Store {
    let settings = StoreSettings::new(&super::config(database.url()));
    Store::new(database.pool.clone(), Clock::fixed(now), settings)
}

/// A Stripe event of `kind` about `object`, `second`s after [`BEGIN`].
pub fn stripe(id: &str, kind: &str, second: i64, object: Value) -> Envelope {
    let event = json!({
        "id": id, "object": "event", "type": kind, "created": BEGIN + second, "livemode": false,
        "api_version": "2025-09-30.clover", "data": {"object": object}
    });
    parse::stripe(bytes(&event), NOW).unwrap()
}

/// A monthly subscription at 10.00 USD, `price_pro`.
pub fn subscription(id: &str, customer: &str, status: &str) -> Value {
    json!({
        "id": id, "object": "subscription", "customer": customer, "status": status, "currency": "usd",
        "created": BEGIN, "start_date": BEGIN, "cancel_at_period_end": false, "metadata": {}, "discounts": [],
        "items": {"has_more": false, "data": [{
            "id": "si_1", "quantity": 1, "current_period_start": BEGIN, "current_period_end": BEGIN + 2_678_400,
            "price": {
                "id": "price_pro", "product": "prod_pro", "currency": "usd", "unit_amount": 1000,
                "unit_amount_decimal": "1000", "billing_scheme": "per_unit",
                "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
            }
        }]}
    })
}

/// A customer with an address.
pub fn customer(id: &str, email: &str) -> Value {
    json!({"id": id, "object": "customer", "created": BEGIN, "email": email, "metadata": {}})
}

/// A paid invoice.
pub fn paid_invoice(id: &str, customer: &str, amount: i64) -> Value {
    json!({
        "id": id, "object": "invoice", "customer": customer, "status": "paid", "currency": "usd",
        "created": BEGIN, "amount_paid": amount, "amount_due": amount, "attempted": true, "attempt_count": 1,
        "billing_reason": "manual", "lines": {"data": []}, "status_transitions": {"paid_at": BEGIN + 10}
    })
}

/// A Database Webhook's call.
pub fn row(id: &str, operation: &str, table: &str, record: Value, old_record: Value) -> Envelope {
    let (schema, table) = table.split_once('.').unwrap();
    let call = json!({
        "type": operation, "schema": schema, "table": table, "record": record, "old_record": old_record
    });
    parse::database(id, NOW, bytes(&call), NOW).unwrap()
}

fn bytes(value: &Value) -> Bytes {
    serde_json::to_vec(value).unwrap().into()
}
