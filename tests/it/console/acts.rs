//! What is done with events that were selected, or with all that match: first it is shown, then done.

use axum::http::StatusCode;
use memberflow::config::console_roles::ConsoleRole;
use memberflow::console::session::Session;
use memberflow::console::signing_in::links;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Browser, Page, TOKEN, config};
use crate::support::app::{NOW, TestApp, customer, paid_invoice, stripe, subscription};

const ADA: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);
const ACTS: &str = "/console/events/acts";

/// Dead letters that are named by their reason and a number.
async fn dead(app: &TestApp, letters: u32, reason: &str) {
    app.execute(&format!(
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state, reason, dead_at)
         select 'stripe', '{reason}_' || n, 'invoice.paid', now(), now(), '{{}}', 'dead', '{reason}', now()
         from generate_series(1, {letters}) n"
    ))
    .await;
}

async fn states(app: &TestApp) -> Vec<Value> {
    app.rows("select state, count(*) from ingest.events group by state order by state").await
}

/// Presses the button of the page that shows what would be done, with this number typed.
pub async fn confirm(browser: &mut Browser, preview: &Page, typed: &str) -> Page {
    let form = preview.body.split("<main").nth(1).unwrap().split("<form").nth(1).unwrap();
    let mut fields: Vec<(String, String)> = form
        .split("<input type=\"hidden\" name=\"")
        .skip(1)
        .map(|input| {
            let mut parts = input.split('"');
            let name = parts.next().unwrap().to_owned();
            (name, parts.nth(1).unwrap().to_owned())
        })
        .collect();
    fields.push(("confirm".to_owned(), typed.to_owned()));
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.post(ACTS, &fields).await
}

#[tokio::test]
async fn selected_dead_letters_are_shown_then_redriven_or_dropped() {
    let app = TestApp::begin().await;
    dead(&app, 3, "broken").await;
    dead(&app, 2, "hopeless").await;
    app.apply([stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com"))]).await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    browser
        .get("/console/events")
        .await
        .assert_shows(&["value=\"stripe/broken_1\" form=\"acts\"", "all that match the filter"]);
    let selected = [
        ("act", "redrive"),
        ("event", "stripe/broken_1"),
        ("event", "stripe/hopeless_2"),
        ("event", "stripe/evt_1"),
    ];
    let preview = browser.post(ACTS, &selected).await;
    preview.assert_shows(&[
        "2 dead letters would become pending again",
        "1 of the selected events",
        "broken",
        "hopeless",
    ]);
    assert_eq!(states(&app).await[1], json!({"state": "dead", "count": 5}), "nothing is done yet");
    confirm(&mut browser, &preview, "").await.assert_shows(&["2 dead letters are tried again"]);
    assert_eq!(
        states(&app).await[1..],
        [json!({"state": "dead", "count": 3}), json!({"state": "pending", "count": 2})]
    );
    let acts = app.rows("select actor, act, outcome -> 'letters' as letters from ingest.audit_log").await;
    assert_eq!(acts, [json!({"actor": "console", "act": "dead-letters redrive", "letters": 2})]);

    let preview = browser
        .post(ACTS, &[("act", "drop"), ("all", "yes"), ("state", "dead"), ("type", "invoice.*")])
        .await;
    preview.assert_shows(&["3 dead letters would be dropped"]);
    confirm(&mut browser, &preview, "").await.assert_shows(&["3 dead letters are dropped"]);
    assert_eq!(states(&app).await.len(), 2);
}

#[tokio::test]
async fn acts_on_more_than_a_hundred_take_their_number_typed() {
    let app = TestApp::begin().await;
    dead(&app, 101, "broken").await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let preview = browser.post(ACTS, &[("act", "drop"), ("all", "yes"), ("state", "dead")]).await;
    preview.assert_shows(&["Type 101 to confirm"]);
    confirm(&mut browser, &preview, "100").await.assert_is(StatusCode::BAD_REQUEST, "type 101 next to");
    assert_eq!(states(&app).await, [json!({"state": "dead", "count": 101})]);
    confirm(&mut browser, &preview, "101").await.assert_shows(&["101 dead letters are dropped"]);
    assert_eq!(states(&app).await, [] as [Value; 0]);
}

#[tokio::test]
async fn applying_again_shows_the_rows_that_would_change_and_then_corrects_them() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    app.apply([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "customer.subscription.created", 1, subscription("sub_1", "cus_1", "active")),
        stripe("evt_3", "invoice.paid", 10, paid_invoice("in_1", "cus_1", 1000)),
    ])
    .await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let one = [("act", "replay"), ("event", "stripe/evt_2")];
    let sound = browser.post(ACTS, &one).await;
    sound.assert_shows(&["nothing would change"]);
    app.execute("update public.user_revenue_metrics set mrr = 4711").await;
    let mrr = "select mrr from public.user_revenue_metrics";
    let preview = browser.post(ACTS, &one).await;
    preview.assert_shows(&[
        "1 rows would change",
        "public.user_revenue_metrics",
        "<td>4711</td><td>1000</td>",
    ]);
    assert_eq!(app.rows(mrr).await, [json!({"mrr": 4711})], "nothing is done yet");
    confirm(&mut browser, &preview, "").await.assert_shows(&["1 rows are corrected"]);
    assert_eq!(app.rows(mrr).await, [json!({"mrr": 1000})]);
    let acts = app.rows("select actor, act from ingest.audit_log").await;
    assert_eq!(acts, [json!({"actor": "console", "act": "replay"})]);
    browser
        .post(ACTS, &[("act", "replay"), ("all", "yes"), ("type", "invoice.paid")])
        .await
        .assert_shows(&["nothing would change"]);
}

#[tokio::test]
async fn acts_that_make_no_sense_are_refused_with_what_to_do() {
    let app = TestApp::begin().await;
    dead(&app, 1, "broken").await;
    app.apply([stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com"))]).await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for (fields, says) in [
        (&[("act", "drop")][..], "Nothing is selected"),
        (&[("act", "hide"), ("event", "stripe/evt_1")], "act is redrive, drop or replay"),
        (&[("act", "drop"), ("event", "stripe/evt_1")], "is a dead letter"),
        (&[("act", "drop"), ("all", "yes")], "shows the state dead"),
        (&[("act", "replay"), ("all", "yes")], "choose events by ids, type, customer"),
        (&[("act", "replay"), ("event", "stripe/evt_9")], "no event in the inbox"),
        (&[("act", "drop"), ("event", "stripe/broken_1"), ("colour", "red")], "unknown field `colour`"),
    ] {
        browser.post(ACTS, fields).await.assert_is(StatusCode::BAD_REQUEST, says);
    }
    assert_eq!(states(&app).await.len(), 2);
    let viewer = Session { actor: "vera".to_owned(), role: ConsoleRole::Viewer };
    let code = links::make(&app.database.pool, &TOKEN.into(), &viewer, NOW).await.unwrap();
    let mut browser = Browser::at(&app.database.pool, &config(), NOW);
    browser.post("/console/sign-in/link", &[("code", &code)]).await;
    assert!(!browser.get("/console/events").await.body.contains(ACTS));
    let refused = browser.post(ACTS, &[("act", "drop"), ("event", "stripe/broken_1")]).await;
    refused.assert_is(StatusCode::FORBIDDEN, "may read");
}
