//! Events, what each did, and what needs somebody.

use axum::http::StatusCode;
use memberflow::config::console_roles::ConsoleRole;
use serde_json::{Value, json};

use super::Browser;
use crate::support::app::{TestApp, customer, paid_invoice, stripe, subscription};

/// A customer, who pays, of nobody.
async fn someone() -> TestApp {
    let app = TestApp::begin().await;
    app.apply([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "customer.subscription.created", 1, subscription("sub_1", "cus_1", "active")),
        stripe("evt_3", "customer.subscription.updated", 2, subscription("sub_1", "cus_1", "past_due")),
        stripe("evt_4", "invoice.paid", 10, paid_invoice("in_1", "cus_1", 1000)),
    ])
    .await;
    app
}

/// Dead letters of one cause.
pub async fn dead(app: &TestApp, letters: u32, reason: &str) {
    app.execute(&format!(
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state, reason, dead_at)
         select 'stripe', '{reason}_' || n, 'invoice.paid', now(), now(), '{{}}', 'dead', '{reason}', now()
         from generate_series(1, {letters}) n"
    ))
    .await;
}

async fn states(app: &TestApp, reason: &str) -> Vec<Value> {
    let states = "select state, count(*) from ingest.events where event_id like";
    app.rows(&format!("{states} '{reason}%' group by state order by state")).await
}

fn cause<'a>(reason: &'a str, act: &'a str, confirm: &'a str) -> [(&'static str, &'a str); 5] {
    [
        ("source", "stripe"),
        ("event_type", "invoice.paid"),
        ("reason", reason),
        ("act", act),
        ("confirm", confirm),
    ]
}

#[tokio::test]
async fn events_are_listed_by_type_object_and_state() {
    let app = someone().await;
    dead(&app, 60, "broken").await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    browser.get("/console/events?type=customer.*").await.assert_shows(&["evt_1", "evt_2", "evt_3"]);
    let one = browser.get("/console/events?object=sub_1&type=&state=").await;
    one.assert_shows(&[
        "evt_2",
        "evt_3",
        "<a href=\"/console/events/stripe/evt_3\" data-row=\"stripe/evt_3\">",
    ]);
    assert!(!one.body.contains("evt_4"));
    let dead = browser.get("/console/events?state=dead&source=stripe").await;
    dead.assert_shows(&["broken_60", "Next page"]);
    assert!(!dead.body.contains("evt_1"));
}

#[tokio::test]
async fn event_shows_what_it_decided_and_changed() {
    let app = someone().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let page = browser.get("/console/events/stripe/evt_3").await;
    page.assert_shows(&[
        "customer.subscription.updated",
        "this event",
        "past_due",
        "What would applying it again change?",
    ]);
    page.assert_says(&["unknown_user"]);
    assert!(!page.body.contains("livemode"), "the body is shown on request alone");
}

#[tokio::test]
async fn a_body_is_shown_on_request_and_whoever_opened_it_is_noted() {
    let app = someone().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    browser
        .get("/console/events/stripe/evt_1?body=true")
        .await
        .assert_shows(&["livemode", "ada@example.com"]);
    assert_eq!(
        app.rows("select actor, act, arguments from ingest.audit_log").await,
        [
            json!({"actor": "console", "act": "events open", "arguments": {"source": "stripe", "event_id": "evt_1"}})
        ]
    );
    browser.get("/console/audit?act=events+open").await.assert_shows(&["events open", "console", "evt_1"]);
}

#[tokio::test]
async fn dead_letters_are_redriven_and_dropped_by_cause() {
    let app = someone().await;
    dead(&app, 2, "broken").await;
    dead(&app, 3, "hopeless").await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let page = browser.get("/console/attention").await;
    page.assert_shows(&[
        "broken",
        "hopeless",
        "5 events that could not be applied",
        "Redrive",
        "unknown_user",
    ]);
    page.assert_says(&["set metadata.user_id of the customer in Stripe"]);
    let redriven = browser.post("/console/attention", &cause("broken", "redrive", "")).await;
    assert_eq!((redriven.status, redriven.location()), (StatusCode::SEE_OTHER, "/console/attention"));
    browser.post("/console/attention", &cause("hopeless", "drop", "")).await;
    assert_eq!(states(&app, "broken").await, [json!({"state": "pending", "count": 2})]);
    assert_eq!(states(&app, "hopeless").await, [] as [Value; 0]);
    browser
        .post("/console/attention", &cause("broken", "hide", ""))
        .await
        .assert_is(StatusCode::BAD_REQUEST, "act is redrive or drop");
}

#[tokio::test]
async fn more_than_a_hundred_letters_take_their_number_typed() {
    let app = TestApp::begin().await;
    dead(&app, 101, "broken").await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    browser.get("/console/attention").await.assert_shows(&["Type 101 to confirm"]);
    let refused = browser.post("/console/attention", &cause("broken", "drop", "100")).await;
    refused.assert_is(StatusCode::BAD_REQUEST, "type 101 next to the button");
    assert_eq!(states(&app, "broken").await, [json!({"state": "dead", "count": 101})]);
    browser.post("/console/attention", &cause("broken", "drop", "101")).await;
    assert_eq!(states(&app, "broken").await, [] as [Value; 0]);
}

#[tokio::test]
async fn a_viewer_sees_dead_letters_and_cannot_touch_them() {
    let app = TestApp::begin().await;
    dead(&app, 1, "broken").await;
    let mut browser = Browser::with_role(&app.database.pool, "vera", ConsoleRole::Viewer).await;
    let page = browser.get("/console/attention").await;
    page.assert_shows(&["broken"]);
    assert!(!page.body.contains(">Redrive<"), "{}", page.body);
    let refused = browser.post("/console/attention", &cause("broken", "drop", "")).await;
    refused.assert_is(StatusCode::FORBIDDEN, "may read");
    assert_eq!(states(&app, "broken").await, [json!({"state": "dead", "count": 1})]);
}
