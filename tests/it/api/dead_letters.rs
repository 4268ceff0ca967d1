//! Dead letters over HTTP: listed, counted by cause, redriven and dropped.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{ask, get, pages, read, with_letters};
use crate::support::api::assert_problem;
use crate::support::app::TestApp;

async fn act(app: &TestApp, which: &str, chosen: Value) -> Value {
    let reply = ask(app, Method::POST, &format!("/api/dead-letters/{which}"), &chosen).await;
    assert_eq!(reply.status, StatusCode::OK, "{chosen}: {}", reply.body);
    reply.body
}

async fn states(app: &TestApp) -> Vec<Value> {
    app.rows("select event_id, state from ingest.events order by event_id").await
}

#[tokio::test]
async fn dead_letters_are_listed_by_page_and_filter() {
    let app = with_letters().await;
    let pages = pages(&app, "/api/dead-letters", 2, "dead_letters", "event_id").await;
    assert_eq!(pages, [vec!["evt_3", "evt_2"], vec!["evt_1"]]);
    for (query, count) in [
        ("reason=WRONG", 1),
        ("type=customer.*", 3),
        ("type=customer_created", 0),
        ("source=twilio", 0),
        ("since=2026-11-20", 3),
        ("since=2026-11-21", 0),
        ("since=2026-11-20&until=2026-11-21", 3),
        ("until=2026-11-20", 0),
    ] {
        let page = read(&app, &format!("/api/dead-letters?count=true&{query}")).await;
        assert_eq!(page["dead_letters"].as_array().unwrap().len(), count, "{query}");
        assert_eq!(page["count"], json!({"rows": count, "is_capped": false}), "{query}");
    }
    assert_problem(&get(&app, "/api/dead-letters?kind=x").await, StatusCode::BAD_REQUEST, "kind");
    assert_problem(
        &get(&app, "/api/dead-letters?cursor=WyJ4Il0").await,
        StatusCode::BAD_REQUEST,
        "invalid cursor",
    );
}

#[tokio::test]
async fn causes_are_counted_with_their_first_and_last() {
    let app = with_letters().await;
    app.execute("update ingest.events set dead_at = '2026-11-19' where event_id = 'evt_1'").await;
    let causes = read(&app, "/api/dead-letters/causes").await;
    assert_eq!((&causes["letters"], &causes["is_capped"]), (&json!(3), &json!(false)));
    let often = &causes["causes"][0];
    assert_eq!(
        (&often["reason"], &often["letters"], &often["event_type"]),
        (&json!("too often"), &json!(2), &json!("customer.created"))
    );
    assert_eq!(often["newest_event_id"], "evt_3");
    assert_eq!(often["first_dead_at"], "2026-11-19T00:00:00Z");
    assert_eq!(often["last_dead_at"], "2026-11-20T12:00:00Z");
    let wrong = read(&app, "/api/dead-letters/causes?reason=wrong").await;
    assert_eq!((&wrong["letters"], wrong["causes"].as_array().unwrap().len()), (&json!(1), 1));
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let app = with_letters().await;
    app.execute("update ingest.events set source = 'internal' where event_id = 'evt_3'").await;
    let before = states(&app).await;
    let tried = act(&app, "redrive", json!({"reason": "often", "dry_run": true})).await;
    assert_eq!((&tried["dry_run"], &tried["letters"], &tried["left"]), (&json!(true), &json!(1), &json!(1)));
    assert_eq!(tried["causes"].as_array().unwrap().len(), 2);
    let tried = act(&app, "drop", json!({"all": true, "dry_run": true})).await;
    assert_eq!((&tried["letters"], &tried["left"]), (&json!(3), &json!(0)));
    assert_eq!(states(&app).await, before);
    assert_eq!(app.rows("select 1 from ingest.audit_log").await, [] as [Value; 0]);
}

#[tokio::test]
async fn letters_are_redriven_and_dropped_by_id_and_filter_and_audited() {
    let app = with_letters().await;
    let letters = read(&app, "/api/dead-letters?reason=wrong").await;
    let id = &letters["dead_letters"][0]["id"];
    let dropped = act(&app, "drop", json!({"ids": [id]})).await;
    assert_eq!(dropped, json!({"dry_run": false, "letters": 1, "left": 0, "has_more": false, "causes": []}));
    let redriven = act(&app, "redrive", json!({"reason": "often", "type": "customer.*"})).await;
    assert_eq!((&redriven["letters"], &redriven["has_more"]), (&json!(2), &json!(false)));
    let pending = |id: &str| json!({"event_id": id, "state": "pending"});
    assert_eq!(states(&app).await, [pending("evt_1"), pending("evt_3")]);
    let acts = app.rows("select actor, act, outcome from ingest.audit_log order by id").await;
    let line = |act: &str, events: &[&str]| json!({"actor": "api", "act": act, "outcome": {"letters": events.len(), "events": events}});
    assert_eq!(
        acts,
        [
            line("dead-letters drop", &["stripe/evt_2"]),
            line("dead-letters redrive", &["stripe/evt_1", "stripe/evt_3"])
        ]
    );
}

#[tokio::test]
async fn acts_on_nothing_chosen_are_refused() {
    let app = with_letters().await;
    for (chosen, says) in [
        (json!({}), "or take all"),
        (json!({"ids": []}), "or take all"),
        (json!({"dry_run": true}), "or take all"),
        (json!({"id": 1}), "id"),
        (json!([]), ""),
        (json!({"reason": "a\u{0}"}), "NUL"),
        (json!({"since": "soon"}), "since"),
    ] {
        for which in ["redrive", "drop"] {
            let reply = ask(&app, Method::POST, &format!("/api/dead-letters/{which}"), &chosen).await;
            assert_problem(&reply, StatusCode::BAD_REQUEST, says);
        }
    }
    assert!(states(&app).await.iter().all(|event| event["state"] == "dead"));
}
