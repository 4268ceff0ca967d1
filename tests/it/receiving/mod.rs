//! What the endpoints answer and store: every row of the table of replies.

mod attacks;
mod bad_requests;
mod bad_texts;
mod connections;
mod hooks;
mod readiness;

use memberflow::clock::Clock;
use memberflow::envelope::Source;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::support::process::{Serving, Settings};
use crate::support::receiver::{
    PendingEvent, STRIPE_SECRETS, SUPABASE_SECRETS, TestReceiver, assert_problem, eventually, stall,
};
use crate::support::signing::Keys;

const EVENT: &str = r#" {"id":"evt_1","object":"event","type":"invoice.paid","created":1700000000,"data":{"object":{"name":"\u0000 Zoë","n":1e400}}}"#;

fn hook(name: &str, rest: &str) -> String {
    format!(r#"{{"metadata":{{"uuid":"uuid-{name}","time":"2025-11-26T11:59:59Z","name":"{name}"}}{rest}}}"#)
}

async fn text(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn an_accepted_event_is_durable_byte_for_byte() {
    let receiver = TestReceiver::start().await;
    let charset = HeaderValue::from_static("application/json; charset=utf-8");
    let request = receiver.stripe(EVENT).headers(HeaderMap::from_iter([(CONTENT_TYPE, charset)]));
    assert_eq!(text(request).await, (200, r#"{"id":"evt_1","received":true}"#.to_owned()));
    // Of rows only what counts is stored.
    let row = r#"{"type":"INSERT","schema":"auth","table":"users","record":{"id":1},"old_record":null}"#;
    let as_stored =
        r#"{"type":"INSERT","table":"users","schema":"auth","record":{"id":1},"old_record":null}"#;
    let request = receiver.supabase("database", "msg_1", row);
    assert_eq!(text(request).await, (200, r#"{"id":"msg_1","received":true}"#.to_owned()));
    let pending = |source: &str, id: &str, event_type: &str, body: &str| PendingEvent {
        source: source.to_owned(),
        event_id: id.to_owned(),
        event_type: event_type.to_owned(),
        body: body.into(),
    };
    assert_eq!(
        receiver.pending().await,
        [
            pending("stripe", "evt_1", "invoice.paid", EVENT),
            pending("supabase.database", "msg_1", "auth.users.insert", as_stored),
        ]
    );
}

#[tokio::test]
async fn unknown_routes_name_the_endpoints() {
    let receiver = TestReceiver::start().await;
    let problem =
        assert_problem(receiver.post("/webhooks/paypal", "{}").send().await.unwrap(), 404, "not-found").await;
    assert!(problem["detail"].as_str().unwrap().contains("/webhooks/stripe"));
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let url = format!("http://{}/webhooks/stripe", receiver.address);
        let response = receiver.client.request(method, url).send().await.unwrap();
        assert_eq!(response.headers()["allow"], "POST");
        assert_problem(response, 405, "method-not-allowed").await;
    }
}

#[tokio::test]
async fn only_plain_json_is_accepted() {
    let receiver = TestReceiver::start().await;
    for content_type in ["text/plain", "application/json-seq", "application/x-www-form-urlencoded", ""] {
        let replaced = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        let request = receiver.stripe(EVENT).headers(replaced);
        assert_problem(request.send().await.unwrap(), 415, "content-type-not-json").await;
    }
    let request = receiver.client.post(format!("http://{}/webhooks/stripe", receiver.address)).body(EVENT);
    assert_problem(request.send().await.unwrap(), 415, "content-type-not-json").await;
    for coding in ["gzip", "br", "identity, gzip"] {
        let request = receiver.stripe(EVENT).header("content-encoding", coding);
        assert_problem(request.send().await.unwrap(), 415, "content-encoding-unsupported").await;
    }
    assert!(receiver.pending().await.is_empty());
}

#[tokio::test]
async fn body_length_limit_is_exact() {
    let receiver = TestReceiver::with(|config| config.body_limit_bytes = 2048).await;
    let padded = |length: usize| {
        let empty = r#"{"id":"evt_1","type":"t","created":1,"pad":""}"#;
        empty.replace(r#""""#, &format!("\"{}\"", "x".repeat(length - empty.len())))
    };
    let (status, _) = text(receiver.stripe(padded(2048))).await;
    assert_eq!(status, 200);
    for length in [2049, 4096, 16_384, 1_000_000] {
        let response = receiver.stripe(padded(length)).send().await.unwrap();
        assert_problem(response, 413, "body-too-large").await;
    }
}

#[tokio::test]
async fn source_without_secret_rejects_and_names_variable() {
    let receiver = TestReceiver::with(|config| {
        config.stripe_webhook_secrets.clear();
        config.supabase_webhook_secrets.clear();
    })
    .await;
    for (request, variable) in [
        (receiver.stripe(EVENT), "STRIPE_WEBHOOK_SECRETS"),
        (
            receiver.supabase("auth", "msg_1", hook("x", "")),
            "SUPABASE_HOOK_SECRETS or SUPABASE_WEBHOOK_SECRETS",
        ),
        (receiver.supabase("database", "msg_1", "{}"), "SUPABASE_WEBHOOK_SECRETS"),
    ] {
        let problem = assert_problem(request.send().await.unwrap(), 503, "source-not-configured").await;
        assert!(problem["detail"].as_str().unwrap().contains(variable));
    }
}

#[tokio::test]
async fn not_durable_event_asks_stripe_to_retry() {
    let receiver = TestReceiver::start().await;
    sqlx::query("alter view ingest.events rename to gone").execute(&receiver.database.pool).await.unwrap();
    assert_problem(receiver.stripe(EVENT).send().await.unwrap(), 503, "not-durable").await;
    sqlx::query("alter view ingest.gone rename to events").execute(&receiver.database.pool).await.unwrap();
    assert_eq!(receiver.stripe(EVENT).send().await.unwrap().status(), 200);
}

/// Without a broker, the 503 comes before the failure to connect to Postgres is known.
#[tokio::test]
async fn not_durable_event_logs_its_cause_once() {
    rustls::crypto::ring::default_provider().install_default().ok();
    let settings: Settings = vec![
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing".to_owned()),
        ("STRIPE_WEBHOOK_SECRETS", STRIPE_SECRETS.to_owned()),
    ];
    let serving = Serving::roles("receive", &settings);
    let keys = Keys { stripe: STRIPE_SECRETS, supabase: SUPABASE_SECRETS };
    let request = reqwest::Client::new().post(format!("{}/webhooks/stripe", serving.url()));
    let request = keys.sign(request, Source::Stripe, "evt_1", EVENT.into(), Clock::System.now());
    assert_problem(request.send().await.unwrap(), 503, "not-durable").await;
    let line = eventually("the cause in the log", async || {
        serving.log().lines().find(|line| line.contains("enqueue failed")).map(str::to_owned)
    })
    .await;
    assert!(line.contains("evt_1") && line.contains("the database "), "{line}");
    assert_eq!(serving.log().matches("evt_1").count(), 1, "{}", serving.log());
    assert!(!serving.log().contains("delivery rejected"), "{}", serving.log());
}

#[tokio::test]
async fn late_durability_is_not_acknowledged() {
    let receiver = TestReceiver::start().await;
    let lock = stall(&receiver.database.pool).await;
    assert_problem(receiver.stripe(EVENT).send().await.unwrap(), 503, "not-durable").await;
    lock.rollback().await.unwrap();
    assert_eq!(receiver.stripe(EVENT).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn secrets_in_rows_of_auth_are_never_stored() {
    let receiver = TestReceiver::start().await;
    let row =
        json!({"id": "u1", "email": "a@b.c", "encrypted_password": "SECRET", "recovery_token": "SECRET"});
    let body =
        json!({"type": "UPDATE", "schema": "auth", "table": "users", "record": row, "old_record": row});
    assert_eq!(text(receiver.supabase("database", "msg_1", body.to_string())).await.0, 200);
    let pending = receiver.pending().await;
    assert_eq!(pending[0].event_type, "auth.users.update");
    let reported: Value = serde_json::from_slice(&pending[0].body).unwrap();
    assert_eq!(reported["record"], json!({"id": "u1", "email": "a@b.c"}));
    assert_eq!(reported["old_record"], reported["record"]);
}

#[tokio::test]
async fn health_names_what_is_down() {
    let receiver = TestReceiver::start().await;
    assert_eq!(receiver.get("/healthz").await.status(), 200);
    let ready = receiver.get("/readyz").await;
    assert_eq!(ready.status(), 200);
    let mut ready: Value = ready.json().await.unwrap();
    assert!(ready["checked_seconds_ago"].take().is_f64());
    assert_eq!(
        ready,
        json!({"ready": true, "checked_seconds_ago": null, "dependencies": {"postgres": "up"}})
    );
    receiver.database.destroy().await;
    let unready = eventually("the check to fail", async || {
        Some(receiver.get("/readyz").await).filter(|answer| answer.status() == 503)
    })
    .await;
    let problem = assert_problem(unready, 503, "dependency-down").await;
    assert_eq!(problem["dependencies"], json!({"postgres": "down"}));
    assert!(problem["detail"].as_str().unwrap().contains("postgres"));
    assert_eq!(receiver.get("/healthz").await.status(), 200);
}

#[tokio::test]
async fn metrics_count_deliveries_by_outcome() {
    let receiver = TestReceiver::start().await;
    receiver.stripe(EVENT).send().await.unwrap();
    receiver.post("/webhooks/stripe", EVENT).send().await.unwrap();
    let response = receiver.get("/metrics").await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4");
    let metrics = response.text().await.unwrap();
    for line in [
        "# HELP memberflow_deliveries_total ",
        r#"memberflow_deliveries_total{source="stripe",outcome="accepted"} "#,
        r#"memberflow_deliveries_total{source="stripe",outcome="signature-header-missing"} "#,
        r#"memberflow_delivery_seconds_bucket{source="stripe",le="0.001"} "#,
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}
