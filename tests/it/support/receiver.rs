//! A receiver on its own port and database, with a fixed clock.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use memberflow::api::{self, ApiState};
use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::http::connection_limit::{ConnectionLimit, connections_max};
use memberflow::http::fallbacks::with_fallbacks;
use memberflow::http::health::{self, Health};
use memberflow::http::listener;
use memberflow::http::readiness::Readiness;
use memberflow::lifecycle::Lifecycle;
use memberflow::ops::doctor::Doctor;
use memberflow::queue::Queue;
use memberflow::receive::{self, Dependencies, Endpoints};
use memberflow::store::{Store, StoreSettings};
use memberflow::telemetry;
use memberflow::verify::secrets::{split_stripe, split_supabase, split_twilio};
use memberflow::verify::{StripeSecrets, SupabaseSecrets, standard_webhooks, stripe};
use reqwest::{RequestBuilder, Response};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::net::TcpListener;

use super::database::TestDatabase;

pub const NOW: OffsetDateTime = datetime!(2025-11-26 12:00:00 UTC);
pub const ADMIN_TOKEN: &str = "a-long-random-token";
pub const STRIPE_SECRETS: &str = "whsec_first_secret,whsec_second_secret";
pub const SUPABASE_SECRETS: &str = "v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=|v1,whsec_YW5vdGhlciBrZXksIGFub3RoZXIga2V5LCBhbm90aGU=";

pub const TWILIO_TOKENS: &str = "0123456789abcdef0123456789abcdef,fedcba9876543210fedcba9876543210";
/// The account of the fixtures.
pub const TWILIO_ACCOUNT: &str = "AC0c7a51d2e94b4f6f8a3d6b1e25c94470";
pub const PUBLIC_URL: &str = "https://hooks.example.com";

/// A running receiver.
pub struct TestReceiver {
    pub address: SocketAddr,
    pub lifecycle: Lifecycle,
    pub client: reqwest::Client,
    pub database: TestDatabase,
}

/// A pending event.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct PendingEvent {
    pub source: String,
    pub event_id: String,
    pub event_type: String,
    pub body: Vec<u8>,
}

impl TestReceiver {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A receiver whose settings `adjust` has changed.
    pub async fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let database = TestDatabase::migrated().await.with_connections(6);
        let mut config = super::config(database.url());
        config.stripe_webhook_secrets = split_stripe(STRIPE_SECRETS);
        config.supabase_webhook_secrets = split_supabase(SUPABASE_SECRETS);
        config.twilio_auth_tokens = split_twilio(TWILIO_TOKENS);
        config.twilio_account_sid = Some(TWILIO_ACCOUNT.to_owned());
        config.public_url = Some(PUBLIC_URL.to_owned());
        adjust(&mut config);
        let lifecycle = Lifecycle::default();
        let queue = Queue::open(&config, database.pool.clone(), database.pool.clone(), &lifecycle).unwrap();
        let readiness = Readiness::start(database.options(), queue.clone(), &lifecycle);
        let health = Health::new(readiness, lifecycle.clone(), telemetry::metrics().unwrap());
        let dependencies = Dependencies { queue, clock: Clock::fixed(NOW), lifecycle: lifecycle.clone() };
        let endpoints = Endpoints::new(&config, dependencies).unwrap();
        let store = Store::new(database.pool.clone(), Clock::fixed(NOW), StoreSettings::new(&config));
        let admin_token = Some(SecretString::from(ADMIN_TOKEN));
        let doctor = Arc::new(Doctor::new(&config));
        let members = api::routes(ApiState { store, clock: Clock::fixed(NOW), admin_token, doctor });
        let routes = receive::webhooks(endpoints).merge(health::routes(health)).merge(members);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = with_fallbacks(routes.merge(health::alive()));
        let serving = listener::serve(
            listener,
            routes,
            ConnectionLimit::new(connections_max()),
            config.read_timeout,
            lifecycle.clone(),
        );
        lifecycle.requests.spawn(serving);
        Self { address, lifecycle, client: reqwest::Client::new(), database }
    }

    pub fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        let request = self.client.post(format!("http://{}{path}", self.address));
        request.header("content-type", "application/json").body(body)
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(format!("http://{}{path}", self.address)).send().await.unwrap()
    }

    /// Posts `body` signed as Stripe signs.
    pub fn stripe(&self, body: impl Into<Vec<u8>>) -> RequestBuilder {
        let body = body.into();
        let signature = stripe_signature(&body);
        self.post("/webhooks/stripe", body).header("stripe-signature", signature)
    }

    /// Posts `body` signed as Supabase signs, to the endpoint for `what` (`auth` or `database`).
    pub fn supabase(&self, what: &str, id: &str, body: impl Into<Vec<u8>>) -> RequestBuilder {
        let body = body.into();
        let signed = supabase_signature(id, &body);
        self.post(&format!("/webhooks/supabase/{what}"), body)
            .header("webhook-id", signed.id)
            .header("webhook-timestamp", signed.timestamp)
            .header("webhook-signature", signed.signature)
    }

    /// Every pending event, in the order in which it came.
    pub async fn pending(&self) -> Vec<PendingEvent> {
        let rows = "select source, event_id, event_type, body from ingest.events where state = 'pending' order by id";
        sqlx::query_as(rows).fetch_all(&self.database.pool).await.unwrap()
    }

    /// Waits until `count` events are pending.
    pub async fn wait_for_pending(&self, count: usize) -> Vec<PendingEvent> {
        eventually("the pending events", async || {
            let pending = self.pending().await;
            (pending.len() == count).then_some(pending)
        })
        .await
    }
}

impl Drop for TestReceiver {
    fn drop(&mut self) {
        self.lifecycle.stopping.cancel();
    }
}

pub fn stripe_signature(body: &[u8]) -> String {
    let secrets = StripeSecrets::new(&split_stripe(STRIPE_SECRETS)).unwrap().unwrap();
    stripe::sign(&secrets, NOW.unix_timestamp(), body)
}

pub fn supabase_signature(id: &str, body: &[u8]) -> standard_webhooks::Signed {
    let secrets = SupabaseSecrets::new(&split_supabase(SUPABASE_SECRETS)).unwrap().unwrap();
    standard_webhooks::sign(&secrets, id, NOW.unix_timestamp(), body)
}

/// Checks that `response` is a problem of `kind` that says what to do, and gives the document.
pub async fn assert_problem(response: Response, status: u16, kind: &str) -> Value {
    assert_eq!(response.status(), status, "{kind}");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    if status == 429 || status == 503 {
        assert!(response.headers().contains_key("retry-after"));
    }
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["type"], format!("urn:memberflow:problem:{kind}"), "{problem}");
    assert_eq!(problem["status"], status);
    assert!(!problem["title"].as_str().unwrap().is_empty());
    assert!(problem["detail"].as_str().unwrap().len() > 10);
    problem
}

/// Holds the events so that none can be written until the lock is dropped or rolled back.
pub async fn stall(pool: &PgPool) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut lock = memberflow::database::begin(pool).await.unwrap();
    sqlx::query("lock table ingest.inbox in exclusive mode").execute(&mut *lock).await.unwrap();
    lock
}

/// Waits until `count` writes of events are waiting for the lock.
pub async fn wait_for_stalled(pool: &PgPool, count: i64) {
    eventually("writes waiting for the lock", async || {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_locks l join pg_database d on d.oid = l.database
             where not l.granted and d.datname = current_database()",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        (waiting == count).then_some(())
    })
    .await;
}

/// Asks again and again until there is an answer, for a bounded time.
pub async fn eventually<T>(what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain for {what}");
}
