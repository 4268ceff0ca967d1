//! Events over HTTP: lists by page and filter, one event's way, and its body.

use axum::body::to_bytes;
use axum::http::{Method, StatusCode};
use memberflow::store::events::pending;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{ask, get, made, pages, read, with_letters};
use crate::support::api::{TOKEN, api_at, assert_problem, request};
use crate::support::app::{NOW, TestApp, paid_invoice, stripe, subscription};

/// Applied at different moments, one dead, one waiting.
async fn app_with_events() -> TestApp {
    let app = TestApp::begin().await;
    let second = time::Duration::seconds;
    for (at, event) in [
        (1, stripe("evt_1", "invoice.paid", 1, paid_invoice("in_1", "cus_1", 100))),
        (2, stripe("evt_2", "invoice.paid", 2, paid_invoice("in_2", "cus_1", 100))),
        (3, stripe("evt_3", "customer.subscription.created", 3, subscription("sub_1", "cus_1", "active"))),
    ] {
        app.store_at(NOW + second(at)).apply(&[event]).await.unwrap();
    }
    let dead = (made("evt_dead"), "the wrong kind".to_owned());
    app.store_at(NOW + second(4)).dead_letter(&[dead]).await.unwrap();
    pending::insert(&app.database.pool, &[made("evt_waits")]).await.unwrap();
    let later = "update ingest.events set next_attempt_at = '2026-11-21' where state = 'pending'";
    app.execute(later).await;
    app
}

async fn names(app: &TestApp, query: &str) -> String {
    let page = read(app, &format!("/api/events?count=true&{query}")).await;
    assert_eq!(page["next_cursor"], Value::Null, "{page}");
    let listed = page["events"].as_array().unwrap().len();
    assert_eq!(page["count"], json!({"rows": listed, "is_capped": false}), "{query}");
    let names: Vec<&str> =
        page["events"].as_array().unwrap().iter().map(|event| event["event_id"].as_str().unwrap()).collect();
    names.join(" ")
}

#[tokio::test]
async fn events_are_listed_newest_first_in_whatever_state() {
    let app = app_with_events().await;
    assert_eq!(names(&app, "").await, "evt_waits evt_dead evt_3 evt_2 evt_1");
    for limit in [1, 2, 4] {
        let pages = pages(&app, "/api/events", limit, "events", "event_id").await;
        assert_eq!(pages.concat().join(" "), "evt_waits evt_dead evt_3 evt_2 evt_1", "{pages:?}");
        assert_eq!(pages.len(), 5_usize.div_ceil(limit as usize));
    }
    let page = read(&app, "/api/events?state=dead").await;
    assert_eq!(
        (&page["events"][0]["state"], &page["events"][0]["reason"]),
        (&json!("dead"), &json!("the wrong kind"))
    );
}

#[tokio::test]
async fn filters_leave_others_out() {
    let app = app_with_events().await;
    for (query, expected) in [
        ("state=applied", "evt_3 evt_2 evt_1"),
        ("state=waiting", "evt_waits"),
        ("state=failing", ""),
        ("type=invoice.paid", "evt_2 evt_1"),
        ("type=customer.*", "evt_waits evt_dead evt_3"),
        ("type=customer.*.created", "evt_3"),
        ("type=*.paid", "evt_2 evt_1"),
        ("type=invoice*", "evt_2 evt_1"),
        ("type=invoice.*.paid", ""),
        ("type=invoice_paid", ""),
        ("type=invoice%25", ""),
        ("type=in*ice*d", "evt_2 evt_1"),
        ("type=customer.*&state=applied", "evt_3"),
        ("source=stripe&state=dead", "evt_dead"),
        ("source=twilio", ""),
        ("object=in_2", "evt_2"),
        ("object=in_2&state=dead", ""),
        ("object=in_2&until=2026-11-20", ""),
        ("object=in_2&since=2026-11-20T12:00:02Z&until=2026-11-20T12:00:03Z&type=invoice.*", "evt_2"),
        ("object=in_2&since=2026-11-20T12:00:03Z", ""),
        ("since=2026-11-20T12:00:02Z&until=2026-11-20T12:00:04Z", "evt_3 evt_2"),
        ("until=2026-11-20T12:00:02Z", "evt_1"),
    ] {
        assert_eq!(names(&app, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn an_event_behind_many_of_other_types_is_found() {
    let app = app_with_events().await;
    app.execute(
        "insert into ingest.inbox (source, event_id, event_type, occurred_at, received_at, applied_at, body, state)
         select 'stripe', 'evt_other_' || n, 'charge.updated', now(), now(),
                timestamptz '2026-11-22' + n * interval '1 second', '{}', 'applied'
         from generate_series(1, 2500) n",
    )
    .await;
    assert_eq!(names(&app, "type=invoice.paid").await, "evt_2 evt_1");
    assert_eq!(names(&app, "type=never.seen").await, "");
    let pages = pages(&app, "/api/events?type=invoice.paid", 1, "events", "event_id").await;
    assert_eq!(pages.concat(), ["evt_2", "evt_1"]);
}

#[tokio::test]
async fn events_applied_at_one_moment_are_listed_once_each() {
    let app = TestApp::begin().await;
    let ids: Vec<String> = (0..25).map(|number| format!("evt_{number:02}")).collect();
    app.apply(ids.iter().map(|id| made(id))).await;
    let pages = pages(&app, "/api/events?type=customer.created", 10, "events", "event_id").await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    let mut listed = pages.concat();
    listed.reverse();
    assert_eq!(listed, ids);
}

#[tokio::test]
async fn wrong_filters_are_rejected_with_the_reason() {
    let app = TestApp::begin().await;
    for (query, says) in [
        ("state=lost", "applied, waiting, failing, dead"),
        ("since=yesterday", "since"),
        ("limit=0", "1 to 200"),
        ("cursor=x", "invalid cursor"),
        ("subject=in_1", "subject"),
        ("object=%00", "NUL"),
        ("source=%00", "NUL"),
        ("type=%00*", "NUL"),
    ] {
        let reply = get(&app, &format!("/api/events?{query}")).await;
        assert_problem(&reply, StatusCode::BAD_REQUEST, says);
    }
    assert_problem(&get(&app, "/api/events/stripe/evt_9").await, StatusCode::NOT_FOUND, "evt_9");
    assert_problem(&get(&app, "/api/events/stripe/%00").await, StatusCode::NOT_FOUND, "no event");
}

#[tokio::test]
async fn event_shows_its_body_only_when_asked() {
    let app = app_with_events().await;
    let event = read(&app, "/api/events/stripe/evt_3").await;
    assert_eq!((&event["event"]["state"], &event["via"]), (&json!("applied"), &json!("webhook")));
    assert_eq!(event["won"][0]["table"], "ingest.stripe_facts");
    assert_eq!(event.get("body"), None);
    assert_eq!(app.rows("select 1 from ingest.audit_log").await, [] as [Value; 0]);

    let opened = read(&app, "/api/events/stripe/evt_3?body=true").await;
    assert_eq!(opened["body"]["data"]["object"]["id"], "sub_1");
    let acts = app.rows("select actor, act, arguments from ingest.audit_log").await;
    let arguments = json!({"source": "stripe", "event_id": "evt_3"});
    assert_eq!(acts, [json!({"actor": "api", "act": "events open", "arguments": arguments})]);
    let event = read(&app, "/api/events/stripe/evt_3").await;
    assert_eq!(event["acts"][0]["act"], "events open", "opening is part of its way");

    app.execute("update ingest.events set body = '', pruned_at = now()").await;
    let pruned = read(&app, "/api/events/stripe/evt_3?body=true").await;
    assert_eq!(pruned.get("body"), Some(&Value::Null));
}

#[tokio::test]
async fn a_body_comes_with_its_numbers_as_they_were_written() {
    let app = app_with_events().await;
    let body = r#"{"b": 12345678901234567890123, "a": 1.10}"#;
    app.execute(&format!("update ingest.events set body = '{body}' where event_id = 'evt_3'")).await;
    // Read as JSON it would be other numbers.
    let request = request(Method::GET, "/api/events/stripe/evt_3?body=true", "");
    let response = api_at(&app.database.pool, Some(TOKEN), NOW).oneshot(request).await.unwrap();
    let text = String::from_utf8(to_bytes(response.into_body(), 1 << 20).await.unwrap().into()).unwrap();
    assert!(text.contains(&format!("\"body\":{body}")), "{text}");
}

#[tokio::test]
async fn events_about_linked_objects_are_listed_together() {
    let app = app_with_events().await;
    for statement in [
        "insert into ingest.stripe_links values ('in_1', 'pi_1'), ('pi_1', 'in_1'), ('pi_1', 'in_2'), ('in_2', 'pi_1')",
        "insert into ingest.stripe_links values ('price_9', 'sub_1'), ('price_9', 'in_2'), ('sub_1', 'price_9')",
        "insert into ingest.stripe_facts values ('price_9', 'price', null, now(), false, 'evt_9', false, '{}')",
    ] {
        app.execute(statement).await;
    }
    for (query, expected) in [
        ("object=in_1&related=true", "evt_2 evt_1"),
        ("object=pi_1&related=true", "evt_2 evt_1"),
        ("object=pi_1&related=false", ""),
        ("object=in_1&related=true&state=dead", ""),
        ("object=in_1&related=true&since=2026-11-20T12:00:02Z", "evt_2"),
        ("object=price_9&related=true", "evt_3 evt_2 evt_1"),
        // Not by the price to all that depend on it.
        ("object=sub_1&related=true", "evt_3"),
    ] {
        assert_eq!(names(&app, query).await, expected, "{query}");
    }
    let event = read(&app, "/api/events/stripe/evt_1").await;
    assert_eq!(event["related"], json!(["pi_1", "in_2"]));
    app.execute("insert into ingest.stripe_links select 'price_9', 'sub_' || n from generate_series(1, 200) n on conflict do nothing")
        .await;
    let reply = get(&app, "/api/events?object=price_9&related=true").await;
    assert_problem(&reply, StatusCode::BAD_REQUEST, "more than 100 objects are linked");
}

#[tokio::test]
async fn events_are_listed_by_member() {
    let app = crate::applying::statements::app_with_members(2).await;
    let vision = "00000000-0000-0000-0000-000000000001-first";
    let everything = format!("{vision} evt_in_1_first evt_sub_1 evt_cus_1");
    let user = uuid::Uuid::from_u128(1);
    for (query, expected) in [
        (format!("member={user}"), everything.as_str()),
        ("member=1@example.com".to_owned(), &everything),
        ("member=1@EXAMPLE.com&source=supabase.database".to_owned(), vision),
        ("member=1@example.com&type=customer.*".to_owned(), "evt_sub_1 evt_cus_1"),
        (format!("member={user}&object=sub_1"), "evt_sub_1"),
        (format!("member={user}&object=sub_2"), ""),
        (format!("member={user}&state=dead"), ""),
        ("member=nobody@example.com".to_owned(), ""),
    ] {
        assert_eq!(names(&app, &query).await, expected, "{query}");
    }
    for limit in [1, 3] {
        let pages = pages(&app, &format!("/api/events?member={user}"), limit, "events", "event_id").await;
        assert_eq!(pages.concat().join(" "), everything);
    }
    let reply = get(&app, "/api/events?member=ada").await;
    assert_problem(&reply, StatusCode::BAD_REQUEST, "a user id or an e-mail address");
}

#[tokio::test]
async fn names_with_slashes_are_found_when_encoded() {
    let app = with_letters().await;
    app.execute("update ingest.events set event_id = 'trigger/public.x/1' where event_id = 'evt_1'").await;
    let event = read(&app, "/api/events/stripe/trigger%2Fpublic.x%2F1").await;
    assert_eq!((&event["event"]["state"], &event["via"]), (&json!("dead"), &json!("trigger")));
}

#[tokio::test]
async fn events_are_applied_again_after_a_dry_run_and_audited() {
    let app = crate::applying::statements::app_with_members(1).await;
    app.execute("update public.user_revenue_metrics set mrr = 4711").await;
    let replay = async |body: Value| ask(&app, Method::POST, "/api/events/replay", &body).await;
    let mrr = async || app.rows("select mrr from public.user_revenue_metrics").await[0]["mrr"].clone();
    let tried = replay(json!({"ids": ["evt_sub_1"], "dry_run": true})).await.body;
    assert_eq!((&tried["check"], &tried["selected"]), (&json!(true), &json!(1)), "{tried}");
    assert_eq!(tried["differences"][0]["before"]["mrr"], 4711, "{tried}");
    assert_eq!(mrr().await, 4711);
    let done = replay(json!({"ids": ["evt_sub_1"]})).await.body;
    assert_eq!(done["differing"]["public.user_revenue_metrics"], 1, "{done}");
    assert_ne!(mrr().await, 4711);
    let acts = app.rows("select actor, act from ingest.audit_log").await;
    assert_eq!(acts, [json!({"actor": "api", "act": "replay"})]);
    for (body, says) in [
        (json!({}), "choose events by ids, type, customer, member"),
        (json!({"ids": ["evt_9"]}), "no event in the inbox"),
        (json!({"type": "a\u{0}"}), "NUL"),
        (json!({"since": "soon"}), "since"),
    ] {
        assert_problem(&replay(body).await, StatusCode::BAD_REQUEST, says);
    }
}

#[tokio::test]
async fn events_of_a_customer_are_applied_again_however_many_others_there_are() {
    let app = crate::applying::statements::app_with_members(1).await;
    app.execute(
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, applied_at, body, state)
         select 'stripe', 'evt_other_' || n, 'charge.updated', now(), now(), now(), '{}', 'applied'
         from generate_series(1, 1001) n",
    )
    .await;
    app.execute("update public.user_revenue_metrics set mrr = 4711").await;
    let done = ask(&app, Method::POST, "/api/events/replay", &json!({"customer": "cus_1"})).await.body;
    assert_eq!(done["differing"]["public.user_revenue_metrics"], 1, "{done}");
    let all = ask(&app, Method::POST, "/api/events/replay", &json!({"type": "charge.updated"})).await;
    assert_problem(&all, StatusCode::BAD_REQUEST, "more than 1000 events match");
}
