//! What waits for a missing piece, one by one, and what is applied again of it.

use axum::http::StatusCode;
use memberflow::config::console_roles::ConsoleRole;
use serde_json::json;
use uuid::Uuid;

use super::Browser;
use super::acts::confirm;
use crate::support::app::{TestApp, customer, stripe, subscription};

const ADA: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);
const HERE: &str = "/console/parked";

/// A subscription that no tier names, a customer whom nobody knows, and a number.
async fn parked() -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "customer.subscription.created", 1, subscription("sub_1", "cus_1", "active")),
        stripe("evt_3", "customer.created", 0, customer("cus_2", "eve@example.com")),
    ])
    .await;
    app.execute("insert into ingest.unmatched_numbers (number, users, leads, checked_at) values ('15550199', '{}', '{}', now())").await;
    app
}

#[tokio::test]
async fn parked_items_are_listed_by_reason_with_what_fixes_each() {
    let app = parked().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    browser.get("/console/attention").await.assert_shows(&["/console/parked?reason=no_tier"]);
    let all = browser.get(HERE).await;
    all.assert_shows(&["/console/events?object=sub_1", "membership_tiers", "give the number to one member"]);
    for (query, expected) in [
        ("reason=no_tier", vec!["sub_1/no_tier"]),
        ("object=%2B15550199", vec!["+15550199/unmatched_number"]),
        ("reason=user_gone", vec![]),
        ("until=2020-01-01", vec![]),
    ] {
        assert_eq!(browser.get(&format!("{HERE}?{query}")).await.rows(), expected, "{query}");
    }
    browser.get("/console/parked?since=soon").await.assert_is(StatusCode::BAD_REQUEST, "since");
}

#[tokio::test]
async fn applying_parked_events_again_shows_what_would_change_and_then_changes_it() {
    let app = parked().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for chosen in [[("parked", "sub_1")], [("all", "yes")]] {
        browser.post(HERE, &chosen).await.assert_shows(&["nothing would change"]);
    }
    app.execute("update public.user_revenue_metrics set mrr = mrr + 1").await;
    let preview = browser.post(HERE, &[("all", "yes"), ("reason", "no_tier")]).await;
    preview.assert_shows(&["rows would change", "user_revenue_metrics"]);
    let mrr = "select mrr from public.user_revenue_metrics";
    assert_eq!(app.rows(mrr).await, [json!({"mrr": 1001})], "nothing is done yet");
    confirm(&mut browser, &preview, "").await.assert_shows(&["are corrected"]);
    assert_eq!(app.rows(mrr).await, [json!({"mrr": 1000})]);
    let acts = app.rows("select actor, act from ingest.audit_log").await;
    assert_eq!(acts, [json!({"actor": "console", "act": "replay"})]);
}

#[tokio::test]
async fn parked_items_without_events_and_without_the_role_are_refused() {
    let app = parked().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for (fields, says) in [
        (&[("parked", "+15550199")][..], "None of these came by an event"),
        (&[], "None of these came by an event"),
        (&[("parked", "sub_1"), ("colour", "red")], "unknown field `colour`"),
        (&[("all", "yes"), ("since", "soon")], "since"),
    ] {
        browser.post(HERE, fields).await.assert_is(StatusCode::BAD_REQUEST, says);
    }
    let mut viewer = Browser::with_role(&app.database.pool, "vera", ConsoleRole::Viewer).await;
    let page = viewer.get(HERE).await;
    page.assert_shows(&["sub_1"]);
    assert!(!page.body.contains("<form id=\"acts\""), "{}", page.body);
    viewer.post(HERE, &[("parked", "sub_1")]).await.assert_is(StatusCode::FORBIDDEN, "may read");
}
