//! The doctor's check of Stripe, against an HTTP server that answers like Stripe's API.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use memberflow::config::Config;
use memberflow::ops::doctor::{Level, NEEDED_EVENTS, Report, examine};
use memberflow::ops::stripe_api::{StripeApi, StripeApiError};
use memberflow::project::stripe::StripeMode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::{assert_found, secret};

/// A request as it came in: its address with the query, and the key.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// What the server answers, one after the other; the last one for ever.
#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<(StatusCode, String)>>>,
    seen: Seen,
}

/// An HTTP server in Stripe's place, stopped on drop.
struct Stripe {
    base: String,
    seen: Seen,
    _stop: DropGuard,
}

impl Stripe {
    async fn answering(answers: impl IntoIterator<Item = (StatusCode, String)>) -> Self {
        let seen = Seen::default();
        let answers = Arc::new(Mutex::new(answers.into_iter().collect()));
        let app = Router::new().fallback(answer).with_state(Script { answers, seen: Arc::clone(&seen) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        TaskTracker::new().spawn(async move {
            let served = axum::serve(listener, app);
            served.with_graceful_shutdown(stopped.cancelled_owned()).await.unwrap();
        });
        Self { base, seen, _stop: stop.drop_guard() }
    }

    fn seen(&self) -> Vec<(String, String)> {
        self.seen.lock().unwrap().clone()
    }

    async fn examined(&self) -> Report {
        let config = Config {
            stripe_api_key: Some(secret("sk_test_123")),
            stripe_api_base: Some(self.base.clone()),
            ..crate::support::config("postgres://nobody@127.0.0.1:1/nothing")
        };
        examine(&config).await
    }

    fn api(&self) -> StripeApi {
        StripeApi::new(&secret("sk_test_123"), Some(&self.base)).unwrap()
    }
}

async fn answer(State(script): State<Script>, uri: Uri, headers: HeaderMap) -> Response {
    let key = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
    script.seen.lock().unwrap().push((uri.to_string(), key.unwrap_or_default()));
    let mut answers = script.answers.lock().unwrap();
    let (status, body) =
        if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }.unwrap();
    (status, body).into_response()
}

fn ok(body: &Value) -> (StatusCode, String) {
    (StatusCode::OK, body.to_string())
}

fn refusal(status: u16, message: &str) -> (StatusCode, String) {
    let error = json!({"error": {"type": "invalid_request_error", "message": message}});
    (StatusCode::from_u16(status).unwrap(), error.to_string())
}

fn balance() -> (StatusCode, String) {
    ok(&json!({"object": "balance", "livemode": false, "available": []}))
}

fn endpoint(id: &str, url: &str, status: &str, events: &[&str]) -> Value {
    json!({"id": id, "object": "webhook_endpoint", "url": url, "status": status,
        "api_version": "2025-09-30.clover", "enabled_events": events, "livemode": false})
}

fn list(endpoints: &[Value], has_more: bool) -> (StatusCode, String) {
    ok(&json!({"object": "list", "data": endpoints, "has_more": has_more, "url": "/v1/webhook_endpoints"}))
}

const OURS: &str = "https://crm.example.com/webhooks/stripe";

#[tokio::test]
async fn valid_key_and_endpoint_are_fine() {
    for events in [NEEDED_EVENTS, &["*"]] {
        let ours = endpoint("we_1", OURS, "enabled", events);
        let other = endpoint("we_0", "https://other.example.com/hook", "disabled", &[]);
        let stripe = Stripe::answering([balance(), list(&[other, ours], false)]).await;
        let report = stripe.examined().await;
        assert_found(&report, Level::Fine, "stripe", "test mode", "");
        assert_found(&report, Level::Fine, "stripe", "2025-09-30.clover", "");
        let seen = stripe.seen();
        assert_eq!(seen[0], ("/v1/balance".to_owned(), "Bearer sk_test_123".to_owned()));
        assert_eq!(seen[1].0, "/v1/webhook_endpoints?limit=100");
    }
}

#[tokio::test]
async fn newer_api_version_is_reported() {
    for (version, level) in [("2026-10-28.endive", Level::Fine), ("2027-01-27.fennel", Level::Warning)] {
        let mut ours = endpoint("we_1", OURS, "enabled", NEEDED_EVENTS);
        ours["api_version"] = json!(version);
        let stripe = Stripe::answering([balance(), list(&[ours], false)]).await;
        let fix = if level == Level::Fine { "" } else { "newer memberflow" };
        assert_found(&stripe.examined().await, level, "stripe", version, fix);
    }
}

#[tokio::test]
async fn events_that_are_not_sent_are_named() {
    let most: Vec<&str> = NEEDED_EVENTS.iter().copied().filter(|event| *event != "invoice.paid").collect();
    let stripe =
        Stripe::answering([balance(), list(&[endpoint("we_1", OURS, "enabled", &most)], false)]).await;
    let report = stripe.examined().await;
    let fix = "stripe webhook_endpoints update we_1";
    assert_found(&report, Level::Failed, "stripe", "does not send: invoice.paid", fix);
}

#[tokio::test]
async fn an_endpoint_that_is_disabled_or_missing_is_found() {
    let disabled = endpoint("we_1", OURS, "disabled", NEEDED_EVENTS);
    let stripe = Stripe::answering([balance(), list(&[disabled], false)]).await;
    assert_found(&stripe.examined().await, Level::Failed, "stripe", "disabled", "disabled=false");

    let stripe = Stripe::answering([balance(), list(&[], false)]).await;
    assert_found(&stripe.examined().await, Level::Warning, "stripe", "there is none", "stripe listen");
}

#[tokio::test]
async fn bad_key_fails_at_once() {
    let stripe = Stripe::answering([refusal(401, "Invalid API Key provided: sk_test_***123")]).await;
    assert_found(&stripe.examined().await, Level::Failed, "stripe", "Invalid API Key", "new key");
    assert_eq!(stripe.seen().len(), 1, "neither tried again nor asked for more");
}

#[tokio::test]
async fn key_of_the_mode_that_does_not_count_fails() {
    let live = ok(&json!({"object": "balance", "livemode": true, "available": []}));
    let forbidden = refusal(403, "The provided key does not have the required permissions");
    for (key, mode, answer, level, says, fix) in [
        ("sk_test_1", None, balance(), Level::Failed, "a key of test mode", "MEMBERFLOW_STRIPE_MODE=test"),
        ("sk_1", None, balance(), Level::Failed, "a key of test mode", "sk_live_"),
        ("rk_test_1", None, forbidden.clone(), Level::Failed, "a key of test mode", "rk_live_"),
        ("rk_live_1", None, forbidden, Level::Fine, "the key works", ""),
        ("sk_live_1", None, live.clone(), Level::Fine, "in live mode", ""),
        ("sk_live_1", Some(StripeMode::Test), live.clone(), Level::Failed, "a key of live mode", "sk_test_"),
        ("sk_live_1", Some(StripeMode::Any), live, Level::Fine, "in live mode", ""),
    ] {
        let stripe = Stripe::answering([answer]).await;
        let config = Config {
            stripe_api_key: Some(secret(key)),
            stripe_api_base: Some(stripe.base.clone()),
            stripe_mode: mode,
            ..Config::new("postgres://nobody@127.0.0.1:1/nothing")
        };
        assert_found(&examine(&config).await, level, "stripe", says, fix);
    }
}

#[tokio::test]
async fn a_restricted_key_need_not_see_everything() {
    let forbidden = refusal(403, "The provided key does not have the required permissions");
    let stripe = Stripe::answering([forbidden]).await;
    let report = stripe.examined().await;
    assert_found(&report, Level::Fine, "stripe", "may not read the balance", "");
    assert_found(&report, Level::Warning, "stripe", "may not list", "Webhook Endpoints: Read");
}

#[tokio::test]
async fn rate_limit_is_retried() {
    let stripe = Stripe::answering([refusal(429, "Too many requests"), balance()]).await;
    let balance: Value = stripe.api().get("/balance", &[]).await.unwrap();
    assert_eq!(balance["object"], "balance");
    assert_eq!(stripe.seen().len(), 2);
}

#[tokio::test]
async fn stripe_outage_is_reported_as_down() {
    let stripe = Stripe::answering([refusal(503, "Service unavailable")]).await;
    assert_found(&stripe.examined().await, Level::Down, "stripe", "503", "status.stripe.com");
    assert_eq!(stripe.seen().len(), 3, "tried three times, then no more");
}

#[tokio::test]
async fn foreign_answer_is_rejected() {
    for body in ["<html>a proxy</html>", "", "[]", "{\"data\": 3}", "\u{0}"] {
        let stripe = Stripe::answering([(StatusCode::OK, body.to_owned())]).await;
        let refused = stripe.api().list::<Value>("/webhook_endpoints", 1).await;
        assert!(matches!(refused, Err(StripeApiError::InvalidResponse(_))), "{body:?}: {refused:?}");
    }
    let stripe = Stripe::answering([(StatusCode::FORBIDDEN, "<html>a proxy</html>".to_owned())]).await;
    assert_found(&stripe.examined().await, Level::Down, "stripe", "not one that Stripe", "STRIPE_API_BASE");
}

#[tokio::test]
async fn long_list_is_read_in_bounded_pages() {
    let page = |ids: [&str; 2], more| {
        let objects = ids.map(|id| endpoint(id, "https://example.com", "enabled", &[]));
        list(&objects, more)
    };
    let stripe = Stripe::answering([page(["we_1", "we_2"], true), page(["we_3", "we_4"], false)]).await;
    let all: Vec<Value> = stripe.api().list("/webhook_endpoints", 5).await.unwrap();
    assert_eq!(all.len(), 4);
    assert_eq!(stripe.seen()[1].0, "/v1/webhook_endpoints?limit=100&starting_after=we_2");

    let stripe = Stripe::answering([page(["we_1", "we_2"], true)]).await;
    let endless = stripe.api().list::<Value>("/webhook_endpoints", 3).await;
    assert!(matches!(endless, Err(StripeApiError::TooManyPages(3))));
    assert_eq!(stripe.seen().len(), 3);
}

#[tokio::test]
async fn wrong_kind_of_key_fails_without_request() {
    for (key, says) in [("pk_test_1", "publishable"), ("whsec_1", "webhook secret")] {
        let config = Config {
            stripe_api_key: Some(secret(key)),
            stripe_api_base: Some("http://127.0.0.1:1".to_owned()),
            ..crate::support::config("postgres://nobody@127.0.0.1:1/nothing")
        };
        assert_found(&examine(&config).await, Level::Failed, "stripe", says, "STRIPE_API_KEY");
    }
}
