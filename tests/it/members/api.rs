//! The members over HTTP: access, changes, and errors.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinSet;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::support::api::{Reply, TOKEN, api_at, assert_problem, request, send};

use super::population::{Account, NOW, account, cancel, database, named, row, subscription, tier};

fn api(pool: &PgPool, token: Option<&str>) -> Router {
    api_at(pool, token, NOW)
}

async fn get(pool: &PgPool, path: &str) -> Reply {
    send(&api(pool, Some(TOKEN)), request(Method::GET, path, "")).await
}

async fn patch(pool: &PgPool, id: Uuid, body: Value) -> Reply {
    let path = format!("/api/members/{id}");
    send(&api(pool, Some(TOKEN)), request(Method::PATCH, &path, &body.to_string())).await
}

#[tokio::test]
async fn wrong_tokens_are_throttled_and_counted() {
    let metrics = memberflow::telemetry::metrics().unwrap();
    let database = database().await;
    let api = api(&database.pool, Some(TOKEN));
    let with = |token: &str| {
        let request = Request::get("/api/members").header(header::AUTHORIZATION, format!("Bearer {token}"));
        request.body(Body::empty()).unwrap()
    };
    let mut guesses = JoinSet::new();
    for number in 0..40 {
        let (api, request) = (api.clone(), with(&format!("guess-{number}")));
        guesses.spawn(async move { api.oneshot(request).await.unwrap().status() });
    }
    // The first ten are answered at once, as after a slip of the keys.
    for _ in 0..10 {
        assert_eq!(guesses.join_next().await.unwrap().unwrap(), StatusCode::UNAUTHORIZED);
    }
    assert_eq!(send(&api, with(TOKEN)).await.status, StatusCode::OK);
    assert!(!guesses.is_empty(), "the guesses wait, the token does not");
    assert_eq!(guesses.join_all().await, [StatusCode::UNAUTHORIZED; 30]);
    let counted = "memberflow_api_rejected_total{reason=\"token-wrong\"} 40";
    assert!(metrics.render().contains(counted), "{}", metrics.render());
}

#[tokio::test]
async fn the_list_comes_in_pages() {
    let database = database().await;
    for email in ["ada@example.com", "bob@example.com", "cy@example.com"] {
        named(&database.pool, email).await;
    }
    let first = get(&database.pool, "/api/members?sort=email&limit=2").await;
    assert_eq!((first.status, first.content_type.as_str()), (StatusCode::OK, "application/json"));
    assert_eq!(first.body["members"][0]["email"], "ada@example.com");
    assert_eq!(first.body["members"][1]["mrr"], 0);
    let cursor = first.body["next_cursor"].as_str().unwrap();
    let second = get(&database.pool, &format!("/api/members?sort=email&limit=2&cursor={cursor}")).await;
    assert_eq!(second.body["members"].as_array().unwrap().len(), 1);
    assert_eq!(second.body["members"][0]["email"], "cy@example.com");
    assert_eq!(second.body["next_cursor"], Value::Null);
}

#[tokio::test]
async fn a_row_has_the_fields_of_the_member_list() {
    let database = database().await;
    named(&database.pool, "ada@example.com").await;
    let list = get(&database.pool, "/api/members").await;
    let mut fields: Vec<_> =
        list.body["members"][0].as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let expected = "created_at currency custom_tags days_as_customer days_since_last_login email \
        engagement_status full_name health_status journal_entry_count last_login_at last_sign_in_at ltv mrr \
        phone stripe_customer_id subscription_status subscription_tier total_spent user_id vision_count";
    assert_eq!(fields.join(" "), expected);
}

#[tokio::test]
async fn one_member_comes_with_subscriptions_and_payments() {
    let database = database().await;
    let pool = &database.pool;
    let ada = named(pool, "ada@example.com").await;
    let pro = tier(pool, "Pro").await;
    subscription(pool, ada, pro, "active", "2026-01-01T00:00:00Z").await;
    for (invoice, paid_at) in [("in_1", "2026-01-01T00:00:00Z"), ("in_2", "2026-02-01T00:00:00Z")] {
        let payment = json!({"user_id": ada, "amount": 4900, "status": "succeeded", "currency": "eur",
            "stripe_invoice_id": invoice, "paid_at": paid_at, "amount_refunded": 100, "amount_disputed": 0});
        let mut payment = payment;
        payment["created_at"] = json!(paid_at);
        row(pool, "public.payment_history", payment).await;
    }
    let activity = json!({"user_id": ada, "s3_file_count": 3, "total_storage_mb": 1.25, "total_logins": 9});
    row(pool, "public.user_activity_metrics", activity).await;

    cancel(pool).await;

    let reply = get(pool, &format!("/api/members/{ada}")).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.body["email"], "ada@example.com");
    let canceling = &reply.body["subscriptions"][0];
    for (field, value) in [
        ("cancel_at", json!("2026-12-20T10:00:00Z")),
        ("cancellation_reason", json!("cancellation_requested")),
        ("cancellation_feedback", json!("too_expensive")),
        ("collection_paused", json!(true)),
    ] {
        assert_eq!(canceling[field], value, "{field}");
    }
    assert_eq!(reply.body["subscription_tier"], "Pro");
    assert_eq!(
        (&reply.body["s3_file_count"], &reply.body["total_storage_mb"], &reply.body["total_logins"]),
        (&json!(3), &json!(1.25), &json!(9))
    );
    assert_eq!(reply.body["subscriptions"][0]["tier"], "Pro");
    assert_eq!(reply.body["payments"][0]["stripe_invoice_id"], "in_2");
    assert_eq!(reply.body["payments"][1]["amount_refunded"], 100);
}

#[tokio::test]
async fn nobody_reads_without_the_token() {
    let database = database().await;
    let api = api(&database.pool, Some(TOKEN));
    for (authorization, says) in [
        (None, "Authorization: Bearer"),
        (Some("Basic YWRhOmFkYQ=="), "must read"),
        (Some("Bearer"), "must read"),
        (Some("Bearer a-long-random-toke"), "not the token"),
        (Some("Bearer a-long-random-token-and-more"), "not the token"),
    ] {
        for path in ["/api/members", "/api/members/00000000-0000-0000-0000-000000000000"] {
            let mut request = Request::builder().uri(path);
            if let Some(authorization) = authorization {
                request = request.header(header::AUTHORIZATION, authorization);
            }
            let reply = send(&api, request.body(Body::empty()).unwrap()).await;
            assert_problem(&reply, StatusCode::UNAUTHORIZED, says);
            assert!(reply.challenge.is_some_and(|challenge| challenge.starts_with("Bearer ")));
        }
    }
}

#[tokio::test]
async fn without_a_configured_token_the_api_is_off() {
    let database = database().await;
    for token in [None, Some("")] {
        let reply = send(&api(&database.pool, token), request(Method::GET, "/api/members", "")).await;
        assert_problem(&reply, StatusCode::FORBIDDEN, "MEMBERFLOW_ADMIN_TOKEN");
    }
}

#[tokio::test]
async fn invalid_request_is_explained() {
    let database = database().await;
    for (query, says) in [
        ("limit=0", "1 to 200"),
        ("limit=201", "1 to 200"),
        ("limit=many", "limit"),
        ("sort=age", "created_at, email, name"),
        ("order=up", "asc, desc"),
        ("cursor=nonsense", "invalid cursor"),
        ("engagement_status=happy", "at_risk"),
        ("health_status=happy", "needs_attention"),
        ("status=happy", "past_due"),
        ("tiers=pro", "tiers"),
        ("text=a&text=b", "text"),
        ("text=%00", "NUL"),
    ] {
        let reply = get(&database.pool, &format!("/api/members?{query}")).await;
        assert_problem(&reply, StatusCode::BAD_REQUEST, says);
    }
    let reply = get(&database.pool, "/api/members/ada").await;
    assert_problem(&reply, StatusCode::BAD_REQUEST, "UUID");
    let reply = get(&database.pool, "/api/members/6f1c0f6e-6a0e-4a53-9d1e-4f1f3c1c2b1a").await;
    assert_problem(&reply, StatusCode::NOT_FOUND, "6f1c0f6e");
    let delete = request(Method::DELETE, "/api/members", "");
    let reply = send(&api(&database.pool, Some(TOKEN)), delete).await;
    assert_problem(&reply, StatusCode::METHOD_NOT_ALLOWED, "Allow");
}

#[tokio::test]
async fn manual_values_stay_and_are_flagged() {
    let database = database().await;
    let pool = &database.pool;
    let ada = named(pool, "ada@example.com").await;
    let change =
        json!({"engagement_status": "champion", "custom_tags": ["vip", "beta"], "admin_notes": "called"});
    let reply = patch(pool, ada, change).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    for reply in [reply, get(pool, &format!("/api/members/{ada}")).await] {
        assert_eq!(reply.body["engagement_status"], "champion");
        assert_eq!(reply.body["engagement_status_is_manual"], true);
        assert_eq!(reply.body["health_status_is_manual"], false);
        assert_eq!(reply.body["custom_tags"], json!(["vip", "beta"]));
        assert_eq!(reply.body["admin_notes"], "called");
    }

    let reply = patch(pool, ada, json!({"health_status": "churned", "admin_notes": null})).await;
    assert_eq!(reply.body["health_status"], "churned");
    assert_eq!(reply.body["health_status_is_manual"], true);
    assert_eq!(reply.body["engagement_status_is_manual"], true, "what is absent stays");
    assert_eq!(reply.body["custom_tags"], json!(["vip", "beta"]));
    assert_eq!(reply.body["admin_notes"], Value::Null);

    let reply = patch(pool, ada, json!({"engagement_status": null, "custom_tags": []})).await;
    assert_eq!(reply.body["engagement_status_is_manual"], false, "back to the rule");
    assert_eq!(reply.body["health_status_is_manual"], true);
    assert_eq!(reply.body["custom_tags"], json!([]));
}

#[tokio::test]
async fn impossible_change_changes_nothing() {
    let database = database().await;
    let pool = &database.pool;
    let ada = named(pool, "ada@example.com").await;
    for (change, says) in [
        (json!({"engagement_status": "happy"}), "at_risk"),
        (json!({"custom_tags": ["ok", ""]}), "custom_tags"),
        (json!({"admin_notes": "a\u{0}b"}), "admin_notes"),
        (json!({"mrr": 1}), "mrr"),
        (json!(["vip"]), ""),
        (json!({"custom_tags": null, "health_status": 3}), "string"),
    ] {
        let reply = patch(pool, ada, change).await;
        assert_problem(&reply, StatusCode::BAD_REQUEST, says);
    }
    let rows: i64 = sqlx::query_scalar("select count(*) from public.user_activity_metrics")
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(rows, 0);

    let email = Some("gone@example.com");
    let gone = account(pool, Account { email, deleted: true, ..Account::default() }).await;
    for id in [gone, Uuid::new_v4()] {
        let reply = patch(pool, id, json!({"custom_tags": ["vip"]})).await;
        assert_problem(&reply, StatusCode::NOT_FOUND, &id.to_string());
    }
}

#[tokio::test]
async fn invalid_change_body_is_rejected() {
    let database = database().await;
    let api = api(&database.pool, Some(TOKEN));
    let ada = named(&database.pool, "ada@example.com").await;
    let path = format!("/api/members/{ada}");
    let too_large = json!({"admin_notes": "x".repeat(70_000)}).to_string();
    let reply = send(&api, request(Method::PATCH, &path, &too_large)).await;
    assert_problem(&reply, StatusCode::PAYLOAD_TOO_LARGE, "bytes");
    let reply = send(&api, request(Method::PATCH, &path, "{")).await;
    assert_problem(&reply, StatusCode::BAD_REQUEST, "");
    let mut not_json = request(Method::PATCH, &path, "{}");
    not_json.headers_mut().insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_problem(&send(&api, not_json).await, StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/json");
}

#[tokio::test]
async fn database_outage_is_reported() {
    let options = sqlx::postgres::PgPoolOptions::new().acquire_timeout(std::time::Duration::from_millis(200));
    let pool = options.connect_lazy("postgres://nobody@127.0.0.1:1/nothing").unwrap();
    let reply = get(&pool, "/api/members").await;
    assert_problem(&reply, StatusCode::SERVICE_UNAVAILABLE, "again");
}
