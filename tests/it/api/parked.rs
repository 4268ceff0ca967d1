//! What is parked, over HTTP: by page, and by reason with what fixes it.

use axum::http::StatusCode;
use memberflow::ops::parked::fix;
use memberflow::store::parked::Reason;
use serde_json::json;

use super::{get, pages, read};
use crate::support::api::assert_problem;
use crate::support::app::TestApp;

async fn parked() -> TestApp {
    let app = TestApp::begin().await;
    app.execute(
        "insert into ingest.parked (subject, reason, detail, parked_at)
         values ('cus_2', 'unknown_user', 'x', '2026-11-02'), ('cus_1', 'unknown_user', 'x', '2026-11-01'),
                ('sub_1', 'no_tier', 'price_pro', '2026-11-01'), ('sub_2', 'of_the_future', 'x', '2026-11-03')",
    )
    .await;
    app
}

#[tokio::test]
async fn what_waits_is_listed_longest_first_by_page() {
    let app = parked().await;
    let pages = pages(&app, "/api/parked", 2, "parked", "subject").await;
    assert_eq!(pages, [["cus_1", "sub_1"], ["cus_2", "sub_2"]]);
    let some = read(&app, "/api/parked?reason=no_tier").await;
    assert_eq!(some["parked"][0]["detail"], "price_pro");
    let some = read(&app, "/api/parked?subject=cus_2").await;
    assert_eq!(some["parked"].as_array().unwrap().len(), 1);
    for (query, expected) in [
        ("since=2026-11-02", 2),
        ("until=2026-11-02", 2),
        ("since=2026-11-01&until=2026-11-03&reason=unknown_user", 2),
        ("reason=no_tier&subject=cus_1", 0),
    ] {
        let page = read(&app, &format!("/api/parked?count=true&{query}")).await;
        assert_eq!(page["parked"].as_array().unwrap().len(), expected, "{query}");
        assert_eq!(page["count"], json!({"rows": expected, "is_capped": false}), "{query}");
    }
    assert_problem(&get(&app, "/api/parked?why=x").await, StatusCode::BAD_REQUEST, "why");
    assert_problem(&get(&app, "/api/parked?cursor=WyIxIl0").await, StatusCode::BAD_REQUEST, "invalid cursor");
}

#[tokio::test]
async fn reasons_are_counted_with_what_fixes_them() {
    let app = parked().await;
    let reasons = read(&app, "/api/parked/reasons").await;
    assert_eq!(
        reasons["reasons"][0],
        json!({
            "reason": "unknown_user", "waiting": 2, "is_capped": false, "oldest_subject": "cus_1",
            "oldest_parked_at": "2026-11-01T00:00:00Z", "fix": fix("unknown_user")
        })
    );
    assert_eq!(reasons["reasons"][1]["reason"], "no_tier");
}

#[test]
fn every_reason_says_what_to_do() {
    for reason in Reason::ALL.map(Reason::as_str).into_iter().chain([
        "ambiguous_campaign",
        "unmatched_number",
        "contradicting_status",
    ]) {
        assert!(!fix(reason).contains("update memberflow") || reason == "unknown_status", "{reason}");
    }
}
