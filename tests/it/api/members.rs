//! A member's timeline, events and MRR at a date over HTTP.

use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{get, pages, read};
use crate::console::member::busy_ada;
use crate::console::pages::ADA;
use crate::support::api::assert_problem;

#[tokio::test]
async fn timeline_pages_hold_each_entry_once() {
    let app = busy_ada().await;
    let path = format!("/api/members/{ADA}/timeline");
    let mut kinds = pages(&app, &path, 3, "entries", "kind").await.concat();
    kinds.sort_unstable();
    assert_eq!(kinds.join(" "), "act act file login payment plan plan row text ticket vision");
    for (kind, entries) in [("plan", 2), ("act", 2), ("file", 1)] {
        let page = read(&app, &format!("{path}?kind={kind}")).await;
        assert_eq!(page["entries"].as_array().unwrap().len(), entries, "{kind}");
    }
}

#[tokio::test]
async fn timeline_entries_name_amounts_and_events() {
    let app = busy_ada().await;
    let entry = async |kind: &str| {
        let page = read(&app, &format!("/api/members/{ADA}/timeline?kind={kind}&limit=1")).await;
        page["entries"][0].clone()
    };
    for (kind, field, expected) in [
        ("payment", "amount", json!(1000)),
        ("payment", "event_id", json!("evt_3")),
        ("plan", "what", json!("churn")),
        ("plan", "mrr_before", json!(1000)),
        ("plan", "mrr_after", json!(0)),
        ("plan", "event_source", json!("stripe")),
        ("plan", "event_id", json!("evt_4")),
        ("login", "event_id", json!("msg_login")),
        ("vision", "what", json!("public.vision_versions")),
        ("vision", "event_source", json!("supabase.database")),
        ("text", "text", json!("Call me.")),
        ("text", "event_id", Value::Null),
        ("act", "by", json!("grace")),
    ] {
        assert_eq!(entry(kind).await[field], expected, "{kind} {field}");
    }
    let act = read(&app, &format!("/api/members/{ADA}/timeline?kind=act")).await;
    assert!(act["entries"].as_array().unwrap().iter().any(|act| act["text"] == "health_status"), "{act}");
}

#[tokio::test]
async fn unknown_members_and_kinds_are_refused() {
    let app = busy_ada().await;
    let nobody = Uuid::nil();
    for list in ["timeline", "events"] {
        let reply = get(&app, &format!("/api/members/{nobody}/{list}")).await;
        assert_problem(&reply, StatusCode::NOT_FOUND, "there is no account");
        let reply = get(&app, &format!("/api/members/{ADA}/{list}?cursor=x")).await;
        assert_problem(&reply, StatusCode::BAD_REQUEST, "invalid cursor: use next_cursor");
    }
    let reply = get(&app, &format!("/api/members/{ADA}/timeline?kind=shoe")).await;
    assert_problem(&reply, StatusCode::BAD_REQUEST, r#"invalid kind "shoe": expected one of payment"#);
}

#[tokio::test]
async fn events_of_a_member_are_paged_newest_first() {
    let app = busy_ada().await;
    let path = format!("/api/members/{ADA}/events");
    let all = pages(&app, &path, 2, "events", "event_id").await.concat();
    let of_stripe: Vec<&str> = all.iter().map(String::as_str).filter(|id| id.starts_with("evt_")).collect();
    assert_eq!(of_stripe, ["evt_4", "evt_3", "evt_2", "evt_1"]);
    assert!(all.iter().any(|id| id == "msg_login"), "{all:?}");
}

#[tokio::test]
async fn acts_are_filtered_by_member() {
    let app = busy_ada().await;
    let acts = read(&app, &format!("/api/audit?member={ADA}&count=true")).await;
    assert_eq!((&acts["count"]["rows"], acts["acts"].as_array().unwrap().len()), (&json!(2), 2), "{acts}");
}

#[tokio::test]
async fn mrr_of_a_member_is_explained_at_a_date() {
    let app = busy_ada().await;
    let at = async |query: &str| read(&app, &format!("/api/members/{ADA}/mrr{query}")).await;
    let then = at("?date=2026-01-10").await;
    assert_eq!((&then["mrr"], &then["at"]), (&json!({"usd": 1000}), &json!("2026-01-10T23:59:59.999999Z")));
    assert_eq!(then["subscriptions"][0]["items"][0]["monthly"], "1000");
    assert_eq!(then["movements"].as_array().unwrap().len(), 1);
    let now = at("").await;
    assert_eq!((&now["mrr"], now["movements"].as_array().unwrap().len()), (&json!({}), 2));
    assert_problem(
        &get(&app, &format!("/api/members/{ADA}/mrr?date=soon")).await,
        StatusCode::BAD_REQUEST,
        "invalid date",
    );
}
