//! Against `localstripe`, somebody else's server in Stripe's place, whose objects have the shapes of 2017.
//! `make interop` runs it; `LOCALSTRIPE` names the program.

use std::process::{Child, Command, Stdio};

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::ops::progress::Progress;
use memberflow::ops::reconcile::Options;
use memberflow::ops::reconcile::stripe::{self as reconcile, DriftedObject, Report};
use memberflow::ops::stripe_api::StripeApi;
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{COMPARE, FIX, lines};
use crate::support::app::TestApp;
use crate::support::receiver::eventually;
use crate::support::servers::quiet_port;

const MEMBER: Uuid = Uuid::from_u128(0xaaaa_aaaa_aaaa_4aaa_8aaa_aaaa_aaaa_aaaa);

/// The server as a process, ended with this value.
struct Peer {
    process: Child,
    base: String,
    client: reqwest::Client,
}

impl Peer {
    async fn start() -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let program =
            std::env::var("LOCALSTRIPE").expect("LOCALSTRIPE names the program, see `make interop`");
        let port = quiet_port();
        let mut command = Command::new(program);
        command.args(["--from-scratch", "--port", &port.to_string()]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let peer = Self { process, base: format!("http://127.0.0.1:{port}"), client: reqwest::Client::new() };
        eventually("localstripe", async || peer.ask(reqwest::Method::GET, "balance", "").await.ok()).await;
        peer
    }

    async fn ask(&self, method: reqwest::Method, path: &str, form: &str) -> Result<Value, reqwest::Error> {
        let request = self.client.request(method, format!("{}/v1/{path}", self.base));
        let request = request.header("authorization", "Bearer sk_test_123");
        let request =
            request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        request.send().await?.error_for_status()?.json().await
    }

    /// Makes or changes what is at `path`; returns its id.
    async fn post(&self, path: &str, form: &str) -> String {
        let made = self.ask(reqwest::Method::POST, path, form).await.unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    /// A customer with a running subscription that has been paid for once.
    async fn subscriber(&self, email: &str) -> (String, String) {
        let card = "card[number]=4242424242424242&card[exp_month]=12&card[exp_year]=2030&card[cvc]=123";
        let token = self.post("tokens", card).await;
        let customer = self.post("customers", &format!("email={email}&source={token}")).await;
        let subscription = format!("customer={customer}&items[0][plan]=price_pro&items[0][quantity]=2");
        (customer.clone(), self.post("subscriptions", &subscription).await)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

async fn run(peer: &Peer, app: &TestApp, options: Options) -> (Report, Vec<String>) {
    let config = Config {
        stripe_api_key: Some(SecretString::from("sk_test_123".to_owned())),
        stripe_api_base: Some(peer.base.clone()),
        stripe_requests_per_second: 100,
        ..crate::support::config(app.database.url())
    };
    let api = StripeApi::rate_limited(&config).unwrap().unwrap();
    let now = Clock::System.now();
    let store = app.store_at(now);
    let mut drifted: Vec<DriftedObject> = Vec::new();
    let show = |one: &DriftedObject| drifted.push(one.clone());
    let clock = Clock::fixed(now);
    let report = reconcile::run(&store, &api, &clock, options, &mut Progress::Silent, show).await.unwrap();
    (report, lines(&drifted))
}

#[tokio::test]
#[ignore = "needs localstripe: `make interop`"]
async fn drift_at_localstripe_is_fixed() {
    let (peer, app) = (Peer::start().await, TestApp::begin().await);
    app.sign_up(MEMBER, "ada@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    let product = peer.post("products", "name=Pro&type=service").await;
    peer.post("plans", &format!("id=price_pro&amount=1000&currency=usd&interval=month&product={product}"))
        .await;
    peer.post("coupons", "id=half&percent_off=50&duration=forever").await;
    let (customer, subscription) = peer.subscriber("ada@example.com").await;
    let (_, ending) = peer.subscriber("bob@example.com").await;

    let (report, missing) = run(&peer, &app, COMPARE).await;
    assert_eq!(
        report.drifted.len(),
        6,
        "products, coupons, customers, subscriptions, invoices, charges: {missing:?}"
    );
    // It has no such lists, and says so without JSON.
    assert_eq!(report.skipped.keys().collect::<Vec<_>>(), ["/disputes", "/invoice_payments", "/prices"]);
    let (report, fixed) = run(&peer, &app, FIX).await;
    assert_eq!((&fixed, report.left()), (&missing, 0));
    let metrics =
        "select mrr, total_spent, subscription_status, subscription_tier from public.user_revenue_metrics";
    let ada = json!({"mrr": 2000, "total_spent": 2000, "subscription_status": "active", "subscription_tier": "Pro"});
    assert_eq!(app.rows(metrics).await, [ada]);
    assert_eq!(run(&peer, &app, COMPARE).await.1, [""; 0]);

    // A second later: what is written now is younger than what was read.
    let then = Clock::System.now().unix_timestamp();
    eventually("the next second", async || (Clock::System.now().unix_timestamp() > then).then_some(())).await;
    peer.post(&format!("customers/{customer}"), "email=countess@example.com").await;
    peer.post(
        &format!("subscriptions/{subscription}"),
        "items[0][plan]=price_pro&items[0][quantity]=3&prorate=false",
    )
    .await;
    peer.ask(reqwest::Method::DELETE, &format!("subscriptions/{ending}"), "").await.unwrap();
    let charges = peer.ask(reqwest::Method::GET, &format!("charges?customer={customer}"), "").await.unwrap();
    let charge = charges["data"][0]["id"].as_str().unwrap();
    let refund = peer.post("refunds", &format!("charge={charge}&amount=500")).await;

    let (_, drifted) = run(&peer, &app, COMPARE).await;
    let about = |id: &str| drifted.iter().find(|line| line.contains(id)).cloned().unwrap_or_default();
    assert_eq!(about(&customer), format!("customer {customer} email"));
    assert!(about(&ending).ends_with("status"), "{drifted:?}");
    assert!(about(&subscription).contains("quantity"), "{drifted:?}");
    assert_eq!(about(&refund), format!("refund {refund} missing"));
    assert_eq!(run(&peer, &app, FIX).await.1, drifted);
    assert_eq!(run(&peer, &app, COMPARE).await.1, [""; 0]);
    let metrics = "select mrr, ltv, total_spent from public.user_revenue_metrics";
    assert_eq!(app.rows(metrics).await, [json!({"mrr": 3000, "ltv": 1500, "total_spent": 2000})]);
}
