//! Each page: with rows, empty, without a match, and about something that is not there.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use memberflow::config::console_roles::ConsoleRole;
use memberflow::ops::tickets;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Browser;
use crate::support::app::{TestApp, customer, paid_invoice, stripe, subscription};
use crate::support::database::TestDatabase;

pub const ADA: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);
pub const TICKET: Uuid = Uuid::from_u128(0xb001);
pub const CAMPAIGN: Uuid = Uuid::from_u128(0xc001);

/// Ada, who pays, asks for help and came by a campaign.
pub async fn ada() -> TestApp {
    TestApp::prepared("console: Ada", make_ada).await
}

async fn make_ada(app: &TestApp) {
    app.sign_up(ADA, "ada@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    app.execute(&format!(
        "insert into public.user_profiles (user_id, first_name, last_name, is_active, is_draft)
         values ('{ADA}', 'Ada', 'Lovelace', true, false)"
    ))
    .await;
    app.apply([
        stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com")),
        stripe("evt_2", "customer.subscription.created", 1, subscription("sub_1", "cus_1", "active")),
        stripe("evt_3", "invoice.paid", 10, paid_invoice("in_1", "cus_1", 1000)),
    ])
    .await;
    app.execute(&format!(
        "insert into public.support_tickets (id, user_id, subject, description, created_at, updated_at)
         values ('{TICKET}', '{ADA}', 'No engine', 'It does not turn.', '2026-11-20 10:00Z', '2026-11-20 10:00Z')"
    ))
    .await;
    app.execute(&format!(
        "insert into public.marketing_campaigns (id, name, slug, status) values ('{CAMPAIGN}', 'Spring', 'spring', 'active')"
    ))
    .await;
    app.execute(&format!(
        "insert into public.leads (email, campaign_id, created_at) values ('lead@example.com', '{CAMPAIGN}', '2026-02-01')"
    ))
    .await;
}

async fn acts(app: &TestApp) -> Vec<Value> {
    app.rows("select actor, act, arguments from ingest.audit_log order by id").await
}

#[tokio::test]
async fn overview_shows_the_state_of_everything() {
    let app = ada().await;
    app.execute("insert into ingest.parked values ('cus_9', 'unknown_user', 'nobody', now())").await;
    app.execute(
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state, next_attempt_at)
         values ('stripe', 'evt_8', 'x', now(), '2026-11-20 11:00Z', '{}', 'pending', now()),
                ('stripe', 'evt_9', 'x', now(), now(), '{}', 'dead', null)",
    )
    .await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let page = browser.get("/console").await;
    page.assert_shows(&["10.00 USD", "the oldest for 1 h", "Redrive or drop them", "unknown_user", "stripe"]);
    page.assert_says(&["<a href=\"/console\" data-key=\"o\" aria-current=\"page\">Overview</a>"]);
}

#[tokio::test]
async fn pages_of_an_empty_database_say_what_to_do_next() {
    let database = TestDatabase::migrated().await;
    let mut browser = Browser::signed_in(&database.pool).await;
    for (path, says) in [
        ("/console", "No event has come yet"),
        ("/console", "Nothing was applied in this time"),
        ("/console/members", "Nobody has signed up yet"),
        ("/console/tickets", "Nobody has asked for help yet"),
        ("/console/revenue", "No subscription has been worth anything yet"),
        ("/console/campaigns", "There is no campaign yet"),
        ("/console/events", "No event has come yet"),
        ("/console/attention", "Every event could be applied"),
        ("/console/attention", "Nothing waits for a missing piece"),
        ("/console/audit", "Nobody has changed anything yet"),
        ("/console/messages", "No text message was sent or received yet"),
        ("/console/attention", "No source has been silent"),
        ("/console/attention", "Nothing was compared yet"),
        ("/console/jobs", "Nobody has requested a job yet"),
    ] {
        browser.get(path).await.assert_shows(&[says]);
    }
}

#[tokio::test]
async fn lists_without_a_match_offer_to_clear_the_filter() {
    let app = ada().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for (path, says) in [
        ("/console/members?tier=Gold", "No member matches"),
        ("/console/members?text=nobody", "No member matches"),
        ("/console/tickets?status=closed", "No ticket matches"),
        ("/console/campaigns?status=archived", "No campaign matches"),
        ("/console/events?type=price.*", "No event matches"),
        ("/console/audit?actor=nobody", "No act matches"),
        ("/console/messages?number=%2B1", "No message matches"),
    ] {
        browser.get(path).await.assert_shows(&[says, "Clear the filter"]);
    }
}

#[tokio::test]
async fn filters_that_make_no_sense_are_said_and_fill_no_list() {
    let app = ada().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for (path, says) in [
        ("/console/members?status=happy", "expected one of active"),
        ("/console/members?sort=shoe_size", "sort: "),
        ("/console/members?cursor=x", "invalid cursor: use next_cursor"),
        ("/console/members?misspelt=x", "unknown field"),
        ("/console/members?text=%00", "no NUL"),
        ("/console/tickets?status=happy", "expected one of open"),
        ("/console/tickets?assignee=ada", "assignee is a user id"),
        ("/console/tickets?category=%00", "NUL"),
        ("/console/revenue?from=2026-13", "invalid month"),
        ("/console/revenue?from=2026-05&to=2026-04", "comes before the first"),
        ("/console/revenue?date=soon", "invalid date"),
        ("/console/revenue/movements?currency=usd&month=2026-01&kind=gift", "expected one of"),
        ("/console/revenue/movements?currency=usd&month=January&kind=new", "invalid month"),
        ("/console/revenue/movements?currency=%00&month=2026-01&kind=new", "NUL"),
        ("/console/campaigns?status=happy", "expected one of draft"),
        ("/console/events?state=happy", "expected one of applied"),
        ("/console/events?since=soon", "since: "),
        ("/console/events?object=%00", "object holds no NUL character"),
        ("/console/events?member=ada", "member is a user id or an e-mail address"),
        ("/console/events?related=yes&object=sub_1", "expected one of true"),
        ("/console/events?q=colour:red", "is no term. A term is one of source:, type:"),
        ("/console/events?q=state:happy+state:dead", "state is there twice"),
        ("/console/events?cursor=x", "invalid cursor: use next_cursor"),
        ("/console/audit?until=soon", "until: "),
    ] {
        let page = browser.get(path).await;
        page.assert_is(StatusCode::BAD_REQUEST, says);
        assert!(!page.body.contains("<tbody>"), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_page_that_says_so() {
    let database = TestDatabase::migrated().await;
    let mut browser = Browser::signed_in(&database.pool).await;
    for (path, says) in [
        (format!("/console/members/{ADA}"), "There is no account"),
        ("/console/members/ada".to_owned(), "nothing at this address"),
        (format!("/console/tickets/{TICKET}"), "There is no ticket"),
        ("/console/tickets/SUPP-9999".to_owned(), "There is no ticket SUPP-9999"),
        ("/console/tickets/%00".to_owned(), "There is no ticket"),
        ("/console/campaigns/none".to_owned(), "There is no campaign none"),
        ("/console/events/stripe/evt_0".to_owned(), "There is no event evt_0 of stripe"),
    ] {
        browser.get(&path).await.assert_is(StatusCode::NOT_FOUND, says);
    }
    browser.get("/console/campaigns/%00").await.assert_is(StatusCode::BAD_REQUEST, "NUL");
}

#[tokio::test]
async fn members_are_listed_filtered_sorted_and_continued() {
    let app = ada().await;
    for n in 0..60 {
        app.sign_up(Uuid::from_u128(n), &format!("member-{n:02}@example.com")).await;
    }
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let page = browser.get("/console/members?sort=mrr").await;
    page.assert_shows(&["Ada Lovelace", "10.00 USD", "Pro", "aria-sort=\"descending\"", "Next page"]);
    let row = page.body.split("<tbody>").nth(1).unwrap();
    assert!(row.find("Ada Lovelace").unwrap() < row.find("member-").unwrap(), "the largest first");
    let next = page.link("Next page");
    let second = browser.get(&next).await;
    second.assert_shows(&["member-", "First page"]);
    assert!(!second.body.contains("Ada Lovelace") && !second.body.contains("Next page"));
    browser.get("/console/members?tier=pro&status=active&text=LOVE").await.assert_shows(&["Ada Lovelace"]);
    browser.get("/console/members?text=&tier=&sort=&order=").await.assert_shows(&["member-59"]);
}

#[tokio::test]
async fn the_csv_has_everybody_of_the_filter_and_is_audited() {
    let app = ada().await;
    for n in 0..250 {
        app.sign_up(Uuid::from_u128(n), &format!("member-{n:03}@example.com")).await;
    }
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let everybody = browser.get("/console/members.csv?sort=email").await;
    assert_eq!(everybody.header(CONTENT_TYPE), "text/csv; charset=utf-8");
    assert_eq!(everybody.header("cache-control"), "no-store");
    let lines: Vec<&str> = everybody.body.lines().collect();
    assert_eq!(lines.len(), 252);
    assert!(
        lines[1].contains("Ada Lovelace,ada@example.com,,Pro,active,1000,1000,1000,usd,"),
        "{}",
        lines[1]
    );
    assert!(lines[251].contains("member-249@example.com"));
    let one = browser.get("/console/members.csv?text=member-007").await;
    assert_eq!(one.body.lines().count(), 2);
    browser
        .get("/console/members.csv?status=happy")
        .await
        .assert_is(StatusCode::BAD_REQUEST, "expected one of");
    let expected =
        |arguments: Value| json!({"actor": "console", "act": "members export", "arguments": arguments});
    assert_eq!(acts(&app).await, [expected(json!({})), expected(json!({"text": "given"}))]);
}

#[tokio::test]
async fn member_page_shows_events_and_explains_the_mrr() {
    let app = ada().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let page = browser.get(&format!("/console/members/{ADA}")).await;
    page.assert_shows(&[
        "<h1>Ada Lovelace</h1>",
        "MRR new: 0.00 USD → 10.00 USD",
        "Payment succeeded: 10.00 USD",
        "No engine",
        "sub_1: 10.00 USD",
        "in_1",
        "1 open tickets",
        "title=\"2026-11-20 10:00:00 UTC\"",
    ]);
}

#[tokio::test]
async fn statuses_tags_and_notes_are_set_by_hand_and_given_back() {
    let app = ada().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let path = format!("/console/members/{ADA}");
    let fields = |health: &'static str, was: &'static str| {
        vec![
            ("engagement_status", ""),
            ("was_engagement_status", ""),
            ("health_status", health),
            ("was_health_status", was),
            ("custom_tags", "vip\r\nearly"),
            ("was_custom_tags", ""),
            ("admin_notes", "Likes\r\nengines."),
            ("was_admin_notes", ""),
        ]
    };
    let changed = browser.post(&path, &fields("needs_attention", "")).await;
    assert_eq!((changed.status, changed.location()), (StatusCode::SEE_OTHER, path.as_str()));
    let page = browser.get(&path).await;
    page.assert_shows(&[
        "<option selected>needs_attention",
        "vip\nearly</textarea>",
        "Likes\nengines.</textarea>",
    ]);
    let back = browser.post(&path, &fields("", "needs_attention")).await;
    assert_eq!(back.status, StatusCode::SEE_OTHER);
    let row = "select health_status, health_status_is_manual, admin_notes from public.user_activity_metrics";
    let expected = json!({"health_status": "healthy", "health_status_is_manual": false, "admin_notes": "Likes\nengines."});
    assert_eq!(app.rows(row).await, [expected]);
    let acts = acts(&app).await;
    assert_eq!(acts[0]["actor"], "console");
    assert_eq!(acts[0]["arguments"]["health_status"], "needs_attention");
    assert_eq!(acts[1]["arguments"]["health_status"], Value::Null);

    let wrong = browser.post(&path, &fields("sick", "")).await;
    wrong.assert_is(StatusCode::BAD_REQUEST, "expected one of");
    let nobody = browser.post(&format!("/console/members/{}", Uuid::nil()), &fields("churned", "")).await;
    nobody.assert_is(StatusCode::NOT_FOUND, "There is no account");
}

#[tokio::test]
async fn a_ticket_is_answered_assigned_and_resolved_from_its_page() {
    let app = ada().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let list = browser.get("/console/tickets?waiting_for=staff&text=engine").await;
    list.assert_shows(&["No engine", "2 h", "ada@example.com"]);
    let path = format!("/console/tickets/{TICKET}");
    browser.get(&path).await.assert_shows(&["No engine", "It does not turn."]);
    for (act, fields) in [
        ("reply", &[("message", "Have you\r\nwound it?")][..]),
        ("reply", &[("message", "Call her."), ("is_internal", "yes")]),
        ("assign", &[("assigned_to", &ADA.to_string())]),
        ("status", &[("status", "resolved")]),
    ] {
        let done = browser.post(&format!("{path}/{act}"), fields).await;
        assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, path.as_str()), "{}", done.body);
    }
    let page = browser.get(&path).await;
    page.assert_shows(&[
        "Have you\nwound it?",
        "Reply of staff",
        "Internal note",
        "resolved",
        &ADA.to_string(),
    ]);
    let ticket = tickets::show(&app.database.pool, &TICKET.to_string()).await.unwrap().unwrap().ticket;
    assert_eq!((ticket.status.as_deref(), ticket.assigned_to), (Some("resolved"), Some(ADA)));
    for (act, fields, status, says) in [
        ("reply", [("message", "  ")], StatusCode::BAD_REQUEST, "a reply holds"),
        ("status", [("status", "happy")], StatusCode::BAD_REQUEST, "expected one of"),
        ("assign", [("assigned_to", "ada")], StatusCode::BAD_REQUEST, "user id of an account"),
        ("assign", [("assigned_to", &Uuid::nil().to_string())], StatusCode::BAD_REQUEST, "no such account"),
    ] {
        browser.post(&format!("{path}/{act}"), &fields).await.assert_is(status, says);
    }
    let acts: Vec<Value> = acts(&app).await.into_iter().map(|line| line["act"].clone()).collect();
    assert_eq!(acts, ["tickets reply", "tickets reply", "tickets assign", "tickets status"]);
}

#[tokio::test]
async fn a_viewer_reads_everything_and_changes_nothing() {
    let app = ada().await;
    let mut browser = Browser::with_role(&app.database.pool, "bob", ConsoleRole::Viewer).await;
    for path in [format!("/console/members/{ADA}"), format!("/console/tickets/{TICKET}")] {
        let page = browser.get(&path).await;
        assert_eq!(page.status, StatusCode::OK);
        assert_eq!(page.body.matches("method=\"post\"").count(), 1, "only to sign out: {}", page.body);
    }
    let fields: Vec<(&str, &str)> = ["engagement_status", "health_status", "custom_tags", "admin_notes"]
        .into_iter()
        .chain(["was_engagement_status", "was_health_status", "was_custom_tags", "was_admin_notes"])
        .map(|name| (name, name))
        .collect();
    for (path, fields) in [
        (format!("/console/members/{ADA}"), &fields[..]),
        (format!("/console/tickets/{TICKET}/reply"), &[("message", "hello")]),
        (format!("/console/tickets/{TICKET}/assign"), &[("assigned_to", "")]),
        (format!("/console/tickets/{TICKET}/status"), &[("status", "closed")]),
    ] {
        browser.post(&path, fields).await.assert_is(StatusCode::FORBIDDEN, "may read and not change");
    }
    assert_eq!(acts(&app).await, [] as [Value; 0]);
}

#[tokio::test]
async fn campaigns_show_what_they_brought_and_whom() {
    let app = ada().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    browser.get("/console/campaigns?status=active").await.assert_shows(&["Spring"]);
    for name in [CAMPAIGN.to_string(), "spring".to_owned()] {
        let page = browser.get(&format!("/console/campaigns/{name}")).await;
        page.assert_shows(&["<h1>Spring</h1>", "lead@example.com", "campaign_id"]);
    }
}
