//! Throughput over HTTP.

use axum::http::StatusCode;
use memberflow::ops::{sources, throughput};
use serde_json::json;
use time::Duration;

use super::{get, made, read};
use crate::support::api::assert_problem;
use crate::support::app::{NOW, TestApp};

#[tokio::test]
async fn throughput_is_read_by_period_and_source() {
    let app = TestApp::begin().await;
    let (pool, moment) = (&app.database.pool, NOW - Duration::minutes(10));
    let mut event = made("evt_1");
    event.received_at = moment - Duration::seconds(2);
    app.store_at(moment).apply(&[event]).await.unwrap();
    sources::count(pool, NOW).await.unwrap();
    throughput::note_backlog(pool, 3, Some(moment - Duration::seconds(5)), moment).await.unwrap();

    let hour = read(&app, "/api/throughput").await;
    let head = ["period", "source", "step_s", "until"].map(|field| hour[field].clone());
    assert_eq!(head, [json!("1h"), json!(null), json!(60), json!("2026-11-20T11:59:00Z")]);
    let points = hour["points"].as_array().unwrap();
    assert_eq!((points.len(), &points[0]["at"]), (60, &json!("2026-11-20T10:59:00Z")));
    assert_eq!(
        points[51],
        json!({
            "at": "2026-11-20T11:50:00Z",
            "events": 1,
            "per_minute": 1.0,
            "freshness_p50_s": 2.0,
            "freshness_p99_s": 2.0,
            "waiting": 3,
            "oldest_s": 5.0,
        })
    );
    assert_eq!(
        points[52],
        json!({
            "at": "2026-11-20T11:51:00Z",
            "events": 0,
            "per_minute": 0.0,
            "freshness_p50_s": null,
            "freshness_p99_s": null,
            "waiting": null,
            "oldest_s": null,
        })
    );
    for (query, events) in [("period=30d", 1), ("period=7d&source=stripe", 1), ("source=twilio", 0)] {
        let answer = read(&app, &format!("/api/throughput?{query}")).await;
        let points = answer["points"].as_array().unwrap();
        let counted: i64 = points.iter().map(|point| point["events"].as_i64().unwrap()).sum();
        assert_eq!(counted, events, "{query}");
    }
}

#[tokio::test]
async fn an_unknown_period_is_answered_with_the_known_ones() {
    let app = TestApp::begin().await;
    let refused = get(&app, "/api/throughput?period=2h").await;
    assert_problem(
        &refused,
        StatusCode::BAD_REQUEST,
        "invalid period \"2h\": expected one of 1h, 24h, 7d, 30d",
    );
    let misspelt = get(&app, "/api/throughput?periods=1h").await;
    assert_problem(&misspelt, StatusCode::BAD_REQUEST, "unknown field");
}
