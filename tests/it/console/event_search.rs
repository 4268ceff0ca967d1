//! The events list: searched by terms, with the columns that cost more, and acted on as it is filtered.

use axum::http::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::Browser;
use super::acts::confirm;
use crate::applying::statements::app_with_members;
use crate::support::app::{TestApp, customer, stripe};

const ACTS: &str = "/console/events/acts";

#[tokio::test]
async fn a_search_by_terms_becomes_the_lists_address() {
    let app = app_with_members(1).await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let found = browser.get("/console/events?q=type:invoice.*+state:applied+since:2h&columns=at").await;
    let address = "/console/events?type=invoice.*&state=applied&since=2h&columns=at";
    assert_eq!((found.status, found.location()), (StatusCode::SEE_OTHER, address));
    let page = browser.get(address).await;
    page.assert_shows(&["value=\"type:invoice.* state:applied since:2h\"", "evt_in_1_first"]);
    assert_eq!(page.rows(), ["stripe/evt_in_1_first"]);
    let wrong = browser.get("/console/events?q=in_1").await;
    wrong.assert_is(StatusCode::BAD_REQUEST, "is no term. A term is one of");
    wrong.assert_says(&["name=\"q\" value=\"in_1\""]);
    for path in ["/console/events.csv?q=state:dead", "/console/events.count?q=state:dead"] {
        browser.get(path).await.assert_is(StatusCode::BAD_REQUEST, "q is a search on the page alone");
    }
}

#[tokio::test]
async fn whose_an_event_is_and_how_long_it_took_are_columns() {
    let app = app_with_members(2).await;
    app.apply([stripe("evt_nobody", "customer.created", 0, customer("cus_9", "nobody@example.com"))]).await;
    let login = json!({"metadata": {"name": "after-user-created"}, "user": {"id": Uuid::from_u128(2)}});
    app.execute(&format!(
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, applied_at, body, state)
         values ('supabase.auth', 'sign_up', 'after-user-created', now(), now(), now(), '{login}', 'applied')"
    ))
    .await;
    app.execute("update ingest.events set applied_at = received_at + interval '1500 ms', attempts = 3 where subject = 'sub_1'")
        .await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    assert!(!browser.get("/console/events").await.body.contains("1@example.com"), "only where asked for");
    let page = browser.get("/console/events?columns=member,latency,attempts").await;
    let row = |name: &str| {
        let from = page.body.split(&format!("data-row=\"{name}\"")).nth(1).unwrap();
        from.split("</tr>").next().unwrap().to_owned()
    };
    let link = |number: u128| {
        format!("<td><a href=\"/console/members/{}\">{number}@example.com</a></td>", Uuid::from_u128(number))
    };
    for (event, number) in [
        ("stripe/evt_cus_1", 1),
        ("stripe/evt_sub_2", 2),
        ("stripe/evt_in_2_first", 2),
        ("supabase.database/00000000-0000-0000-0000-000000000001-first", 1),
        ("supabase.auth/sign_up", 2),
    ] {
        assert!(row(event).contains(&link(number)), "{event}: {}", row(event));
    }
    assert!(row("stripe/evt_nobody").contains("<td>–</td>"), "{}", row("stripe/evt_nobody"));
    let slow = row("stripe/evt_sub_1");
    assert!(slow.contains("<td>1.5 s</td>") && slow.contains("<td>3</td>"), "{slow}");
    assert!(row("stripe/evt_sub_2").contains("<td>1</td>"), "applied at once");
}

#[tokio::test]
async fn events_are_filtered_by_member() {
    let app = app_with_members(2).await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for member in ["1@example.com".to_owned(), Uuid::from_u128(1).to_string()] {
        let page = browser.get(&format!("/console/events?member={member}&source=stripe")).await;
        page.assert_shows(&["evt_in_1_first"]);
        assert_eq!(page.rows(), ["stripe/evt_in_1_first", "stripe/evt_sub_1", "stripe/evt_cus_1"]);
    }
    browser.get("/console/events?member=nobody@example.com").await.assert_shows(&["No event matches"]);
    browser.get("/console/events.csv?member=1@example.com").await.assert_shows(&["evt_sub_1"]);
    let acts = app.rows("select arguments from ingest.audit_log").await;
    assert_eq!(acts, [json!({"arguments": {"member": "given"}})], "an address is nothing to keep");
}

#[tokio::test]
async fn all_that_match_any_filter_are_applied_again() {
    let app = app_with_members(2).await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for (filter, events) in [
        (&[("type", "invoice.*")][..], 2),
        (&[("object", "pi_1_first"), ("related", "true")], 1),
        (&[("member", "1@example.com"), ("type", "customer.*"), ("since", "1d")], 2),
    ] {
        let fields = [&[("act", "replay"), ("all", "yes")][..], filter].concat();
        let preview = browser.post(ACTS, &fields).await;
        preview.assert_shows(&[&format!("{events} chosen events"), "nothing would change"]);
    }
    app.execute("update public.user_revenue_metrics set mrr = 4711").await;
    let one = [("act", "replay"), ("all", "yes"), ("member", "2@example.com"), ("source", "stripe")];
    let preview = browser.post(ACTS, &one).await;
    preview.assert_shows(&["1 rows would change"]);
    confirm(&mut browser, &preview, "").await.assert_shows(&["1 rows are corrected"]);
    for (filter, says) in [
        (("state", "dead"), "Only applied events can be applied again"),
        (("member", "nobody@example.com"), "No applied event matches"),
    ] {
        let refused = browser.post(ACTS, &[("act", "replay"), ("all", "yes"), filter]).await;
        refused.assert_is(StatusCode::BAD_REQUEST, says);
    }
}

#[tokio::test]
async fn more_than_can_be_applied_again_at_once_are_refused() {
    let app = TestApp::begin().await;
    app.execute(
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, applied_at, body, state)
         select 'stripe', 'evt_' || n, 'charge.updated', now(), now(), now(), '{}', 'applied' from generate_series(1, 1001) n",
    )
    .await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let fields = [("act", "replay"), ("all", "yes"), ("type", "charge.*")];
    browser.post(ACTS, &fields).await.assert_is(StatusCode::BAD_REQUEST, "more than 1000 events match");
}

#[tokio::test]
async fn dead_letters_of_a_cause_have_the_command_and_the_fixture() {
    let app = TestApp::begin().await;
    super::events::dead(&app, 2, "it is").await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    browser.get("/console/attention").await.assert_shows(&[
        "memberflow dead-letters redrive --source stripe --type invoice.paid --reason &#39;it is&#39;",
        "<a href=\"/console/events/stripe/it%20is_2/fixture\">Fixture</a>",
    ]);
}
