//! A member's timeline, events and MRR as of a date.

use axum::http::StatusCode;
use memberflow::config::console_roles::ConsoleRole;
use memberflow::store::audit::{self, Act};
use serde_json::json;
use uuid::Uuid;

use super::pages::{ADA, TICKET, ada};
use super::{Browser, Page};
use crate::support::app::{NOW, TestApp, row, stripe, subscription};

const SESSION: Uuid = Uuid::from_u128(0x5e55);
const ROW: Uuid = Uuid::from_u128(0xf01);

/// Ada with something of each kind.
pub async fn busy_ada() -> TestApp {
    let app = ada().await;
    let session = json!({"id": SESSION, "user_id": ADA, "created_at": "2026-11-19T13:00:00Z"});
    let row_of = |title: &str| {
        json!({"id": ROW, "user_id": ADA, "owner_id": ADA, "name": "a.png", "bucket_id": "b", "title": title,
               "metadata": {"size": 5}, "is_draft": false, "status": "complete",
               "created_at": "2026-11-18T09:00:00Z", "updated_at": "2026-11-18T09:00:00Z"})
    };
    let inserted = |id: &str, table: &str, record| row(id, "INSERT", table, record, json!(null));
    app.apply([
        inserted("msg_login", "auth.sessions", session),
        inserted("msg_file", "storage.objects", row_of("file")),
        inserted("msg_vision", "public.vision_versions", row_of("vision")),
        inserted("msg_entry", "public.journal_entries", row_of("entry")),
        stripe(
            "evt_4",
            "customer.subscription.updated",
            3_000_000,
            subscription("sub_1", "cus_1", "canceled"),
        ),
    ])
    .await;
    app.execute(&format!(
        "insert into public.sms_messages (user_id, direction, from_number, to_number, body, status, created_at)
         values ('{ADA}', 'inbound', '+1', '+2', 'Call me.', 'received', '2026-11-20 09:00Z')"
    ))
    .await;
    for (act, arguments) in [
        ("members change", json!({"user_id": ADA, "health_status": "healthy"})),
        ("tickets status", json!({"ticket_id": TICKET})),
        ("members change", json!({"user_id": Uuid::nil()})),
    ] {
        let act = Act { actor: "grace", act, arguments, outcome: json!({}) };
        audit::record(&mut app.database.pool.acquire().await.unwrap(), act, NOW).await.unwrap();
    }
    app
}

/// The names of the timeline's entries.
fn entries(page: &Page) -> Vec<&str> {
    page.body.split("data-entry=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn timeline_shows_each_kind_with_its_event() {
    let app = busy_ada().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let member = format!("/console/members/{ADA}");
    let all = browser.get(&member).await;
    for (kind, title, event) in [
        ("payment", "Payment succeeded: 10.00 USD", Some("stripe/evt_3")),
        ("plan", "MRR churn: 10.00 USD → 0.00 USD", Some("stripe/evt_4")),
        ("plan", "MRR new: 0.00 USD → 10.00 USD", Some("stripe/evt_2")),
        ("login", ">Login<", Some("supabase.database/msg_login")),
        ("file", ">File<", Some("supabase.database/msg_file")),
        ("vision", ">Vision<", Some("supabase.database/msg_vision")),
        ("row", "Row of public.journal_entries", Some("supabase.database/msg_entry")),
        ("ticket", "Ticket of the member", None),
        ("text", "Text message of the member", None),
        ("act", "members change, by grace", None),
        ("act", "tickets status, by grace", None),
    ] {
        all.assert_shows(&[title]);
        let of_kind = browser.get(&format!("{member}?kind={kind}")).await;
        of_kind.assert_shows(&[title, "aria-current=\"true\""]);
        assert!(entries(&of_kind).len() < entries(&all).len(), "{kind} leaves others out");
        if let Some(event) = event {
            of_kind.assert_says(&[&format!("href=\"/console/events/{event}\"")]);
        }
    }
    assert_eq!(all.body.matches("members change, by grace").count(), 1, "not another's act");
    let moments: Vec<&str> =
        all.body.split("<ol class=\"entries\">").nth(1).unwrap().split("datetime=\"").skip(1).collect();
    let moments: Vec<&str> = moments.iter().take(entries(&all).len()).map(|rest| &rest[..20]).collect();
    assert!(moments.is_sorted_by(|newer, older| newer >= older), "{moments:?}");
}

#[tokio::test]
async fn timeline_is_read_both_ways_while_entries_come() {
    let app = ada().await;
    let member = format!("/console/members/{ADA}");
    let logins = async |from: u32, to: u32| {
        app.execute(&format!(
            "insert into ingest.logins (session_id, user_id, logged_in_at)
             select 's' || n, '{ADA}', '2026-11-01'::timestamptz + n * interval '1 s' from generate_series({from}, {to}) n"
        ))
        .await;
    };
    logins(1, 120).await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let first = browser.get(&format!("{member}?kind=login")).await;
    let second = browser.get(&first.link("Next page")).await;
    assert_eq!((entries(&first)[0], entries(&second)[0]), ("login/s120", "login/s70"));
    logins(121, 125).await;
    let again = browser.get(&second.link("Previous page")).await;
    assert_eq!(entries(&again), entries(&first));
    let newer = browser.get(&again.link("Previous page")).await;
    assert_eq!(entries(&newer).len(), 5);
    let third = browser.get(&second.link("Next page")).await;
    assert_eq!((entries(&third).len(), third.body.contains("Next page")), (20, false));
    for (query, says) in [("kind=shoe", "expected one of"), ("cursor=x", "invalid cursor: use next_cursor")] {
        let page = browser.get(&format!("{member}?{query}")).await;
        page.assert_is(StatusCode::BAD_REQUEST, says);
        assert_eq!(entries(&page), [""; 0]);
    }
}

#[tokio::test]
async fn events_about_a_member_are_all_listed_and_no_others() {
    let app = busy_ada().await;
    app.apply([
        stripe("evt_other", "customer.subscription.created", 1, subscription("sub_9", "cus_9", "active")),
        row("msg_other", "INSERT", "auth.sessions",
            json!({"id": Uuid::from_u128(9), "user_id": Uuid::from_u128(8), "created_at": "2026-11-19T13:00:00Z"}),
            json!(null)),
    ])
    .await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let member = browser.get(&format!("/console/members/{ADA}")).await;
    let page = browser.get(&member.link("Events about the member")).await;
    let mut names: Vec<&str> = page.rows();
    names.retain(|name| !name.starts_with("internal/match/"));
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "stripe/evt_1",
            "stripe/evt_2",
            "stripe/evt_3",
            "stripe/evt_4",
            "supabase.database/msg_entry",
            "supabase.database/msg_file",
            "supabase.database/msg_login",
            "supabase.database/msg_vision",
        ]
    );
    assert!(page.body.contains("internal/match/"), "the match by address is about the member, too");
    let nobody = browser.get(&format!("/console/members/{}/events", Uuid::nil())).await;
    nobody.assert_is(StatusCode::NOT_FOUND, "There is no account");
}

#[tokio::test]
async fn subscriptions_and_payments_lead_to_their_events() {
    let app = ada().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let member = browser.get(&format!("/console/members/{ADA}")).await;
    for (object, event) in [("sub_1", "evt_2"), ("in_1", "evt_3"), ("cus_1", "evt_1")] {
        browser.get(&member.link(object)).await.assert_shows(&[event]);
    }
}

#[tokio::test]
async fn acts_about_a_member_are_filtered_for_admins() {
    let app = busy_ada().await;
    let member = format!("/console/members/{ADA}");
    let mut admin = Browser::signed_in(&app.database.pool).await;
    let page = admin.get(&member).await;
    let acts = admin.get(&page.link("Audit log of the member")).await;
    acts.assert_shows(&["members change", "tickets status"]);
    assert_eq!(acts.rows().len(), 2, "not another's act");
    let mut viewer = Browser::with_role(&app.database.pool, "bob", ConsoleRole::Viewer).await;
    assert!(!viewer.get(&member).await.body.contains("/console/audit"));
}

#[tokio::test]
async fn mrr_as_of_a_date_is_explained_as_it_was_then() {
    let app = busy_ada().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let member = format!("/console/members/{ADA}");
    browser.get(&member).await.assert_shows(&["sub_1: 0.00 USD", "canceled subscriptions bring nothing"]);
    let then = browser.get(&format!("{member}?date=2026-01-10")).await;
    then.assert_shows(&["<strong>10.00 USD</strong>", "sub_1: 10.00 USD", "Show it as of now"]);
    let before = browser.get(&format!("{member}?date=2020-01-01&kind=plan")).await;
    before.assert_shows(&["no MRR", "No subscription that could be worth anything"]);
    let unknown = browser.get(&format!("{member}?date=2026-01-10&known_at=2025-01-01")).await;
    unknown.assert_shows(&["no MRR", "is known as it is known now"]);
    let wrong = browser.get(&format!("{member}?date=soon")).await;
    wrong.assert_is(StatusCode::BAD_REQUEST, "invalid date");
    wrong.assert_says(&["Payment succeeded"]);
}
