//! An event's page: its path, its body as it came, and what can be taken along of it.

use axum::http::StatusCode;
use memberflow::config::console_roles::ConsoleRole;
use memberflow::store::events::pending;
use serde_json::json;
use time::Duration;

use super::Browser;
use crate::support::app::{NOW, TestApp, customer, stripe};

/// With numbers that no usual number type holds as they are written, and spaces that mean nothing.
const BODY: &str = "{\"id\": \"evt_exact\",\n\t\"object\":\"event\", \"amount\":12345678901234567890123, \"rate\": 1.10,\
                    \"data\":{\"object\":{\"id\":\"cus_1\",\"email\":\"ada@example.com\"}}}";

/// A dead letter with that body, of this source and name.
async fn with_body(app: &TestApp, source: &str, event_id: &str) {
    app.execute(&format!(
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state, reason, dead_at)
         values ('{source}', '{event_id}', 'customer.created', now(), now(), convert_to($${BODY}$$, 'UTF8'), 'dead',
                 'broken', now())"
    ))
    .await;
}

#[tokio::test]
async fn an_event_shows_its_path_with_the_times_between() {
    let app = TestApp::begin().await;
    let event = |id: &str| stripe(id, "customer.created", 0, customer("cus_1", "ada@example.com"));
    let later = app.store_at(NOW + Duration::milliseconds(1_500));
    later.apply(&[event("evt_applied")]).await.unwrap();
    later.dead_letter(&[(event("evt_dead"), "broken".to_owned())]).await.unwrap();
    pending::insert(&app.database.pool, &[event("evt_waits")]).await.unwrap();
    app.store.schedule_retry(&event("evt_fails"), "busy").await.unwrap();
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for (event, step, after) in [
        ("evt_applied", "<li>Applied <time", Some("1.5 s later")),
        ("evt_dead", "<li>Dead <time", Some("1.5 s later")),
        ("evt_waits", "<li>Waits to be applied –</li>", None),
        ("evt_fails", "<li>Failed, tried again <time", None),
    ] {
        let page = browser.get(&format!("/console/events/stripe/{event}")).await;
        page.assert_shows(&["<li>Happened <time", "<li>Received <time", "<small>323 d later</small>", step]);
        assert_eq!(page.body.matches(" later</small>").count(), 1 + usize::from(after.is_some()), "{event}");
        page.assert_says(after.as_slice());
    }
}

#[tokio::test]
async fn the_numbers_of_a_body_are_shown_as_they_came() {
    let app = TestApp::begin().await;
    with_body(&app, "stripe", "evt_exact").await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let page = browser.get("/console/events/stripe/evt_exact?body=true").await;
    page.assert_shows(&[
        "&#34;amount&#34;: 12345678901234567890123,\n",
        "&#34;rate&#34;: 1.10,\n",
        "\n      &#34;id&#34;: &#34;cus_1&#34;,",
    ]);
}

#[tokio::test]
async fn the_exact_bytes_are_downloaded_and_whoever_took_them_is_noted() {
    let app = TestApp::begin().await;
    with_body(&app, "stripe", "trigger/a|\" b").await;
    let mut viewer = Browser::with_role(&app.database.pool, "vera", ConsoleRole::Viewer).await;
    let path = "/console/events/stripe/trigger%2Fa%7C%22%20b";
    let page = viewer.get(path).await;
    page.assert_shows(&["Download the exact bytes"]);
    let file = viewer.get(&format!("{path}/body")).await;
    assert_eq!((file.status, file.body.as_str()), (StatusCode::OK, BODY));
    assert_eq!(file.header("content-type"), "application/octet-stream");
    assert_eq!(file.header("content-disposition"), "attachment; filename=\"trigger_a___b.json\"");
    assert_eq!(file.header("cache-control"), "no-store");
    let arguments = json!({"source": "stripe", "event_id": "trigger/a|\" b"});
    let acts = app.rows("select actor, act, arguments from ingest.audit_log").await;
    assert_eq!(acts, [json!({"actor": "vera", "act": "events open", "arguments": arguments})]);

    app.execute("update ingest.events set body = '', pruned_at = now()").await;
    viewer.get(&format!("{path}/body")).await.assert_is(StatusCode::NOT_FOUND, "The body was pruned.");
    let unknown = viewer.get("/console/events/stripe/evt_0/body").await;
    unknown.assert_is(StatusCode::NOT_FOUND, "There is no event evt_0 of stripe");
    assert_eq!(app.rows("select 1 from ingest.audit_log").await.len(), 1, "nothing was opened");
}

#[tokio::test]
async fn a_fixture_has_what_a_bug_report_needs_and_the_command_that_posts_it() {
    let app = TestApp::begin().await;
    with_body(&app, "stripe", "evt_exact").await;
    with_body(&app, "internal", "evt_made").await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    browser.get("/console/events/stripe/evt_exact").await.assert_shows(&["/stripe/evt_exact/fixture\""]);
    let fixture = browser.get("/console/events/stripe/evt_exact/fixture").await;
    fixture.assert_shows(&[
        "&#34;email&#34;: &#34;…&#34;",
        "&#34;id&#34;: &#34;cus_1&#34;",
        "12345678901234567890123",
        "memberflow replay evt_exact.json",
        "href=\"/console/events/stripe/evt_exact/body\" download=\"evt_exact.json\"",
    ]);
    assert!(!fixture.body.contains("ada@example.com"));
    let internal = browser.get("/console/events/internal/evt_made/fixture").await;
    internal.assert_shows(&["memberflow rebuild"]);
    assert!(!internal.body.contains("memberflow replay"));
    app.execute("update ingest.events set body = 'no json'").await;
    browser.get("/console/events/stripe/evt_exact/fixture").await.assert_shows(&["The body is not JSON"]);
    let acts = app.rows("select distinct act, count(*) from ingest.audit_log group by act").await;
    assert_eq!(acts, [json!({"act": "events open", "count": 3})]);
}

#[tokio::test]
async fn an_event_leads_to_the_events_of_linked_objects() {
    let app = TestApp::begin().await;
    app.apply([stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com"))]).await;
    app.execute(
        "insert into ingest.stripe_links values ('cus_1', 'in_1'), ('in_1', 'cus_1'), ('in_1', 'pi_1'), ('pi_1', 'in_1')",
    )
    .await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let page = browser.get("/console/events/stripe/evt_1").await;
    page.assert_shows(&[
        "Related objects",
        "<a href=\"/console/events?object=in_1\">in_1</a>",
        "<a href=\"/console/events?object=pi_1\">pi_1</a>",
        "<a href=\"/console/events?object=cus_1&amp;related=true\">All events about it and them</a>",
    ]);
    browser
        .get("/console/events?object=pi_1&related=true")
        .await
        .assert_shows(&["evt_1", "value=\"true\" checked"]);
}
