//! What strangers write is text on every page, whatever it looks like.

use serde_json::json;
use uuid::Uuid;

use super::{Browser, Page};
use crate::support::app::{TestApp, customer, stripe, subscription};

pub const EVE: Uuid = Uuid::from_u128(0xe0e0_0000_0000_4000_8000_0000_0000_0001);
pub const TICKET: Uuid = Uuid::from_u128(0xb001);
pub const CAMPAIGN: Uuid = Uuid::from_u128(0xc001);

/// Where Eve's subscription began.
pub const MOVEMENTS: &str = "/console/revenue/movements?currency=usd&month=2026-01&kind=new";
const ACTS: &str = "/console/events/acts";

/// Leaves elements, attributes and texts.
const SCRIPT: &str = r#""></textarea></title></svg><script>alert(1)</script><img src=x onerror=alert(1)>"#;

/// The same, as a literal in SQL, distinguished by its field.
fn literal(field: &str) -> String {
    format!("'{field}{SCRIPT}'")
}

pub async fn eve() -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(EVE, "eve@example.com").await;
    app.name_tier("Pro", "price_pro").await;
    app.execute(&format!(
        "insert into public.user_profiles (user_id, first_name, last_name, phone, is_active, is_draft)
         values ('{EVE}', {}, 'Eve', {}, true, false)",
        literal("first_name"),
        literal("phone")
    ))
    .await;
    app.execute(&format!("update auth.users set email = {}", literal("email"))).await;
    let mut subscription = subscription("sub_1", "cus_1", "active");
    subscription["metadata"] = json!({"user_id": EVE, "plan": SCRIPT});
    subscription["cancellation_details"] = json!({"comment": SCRIPT, "feedback": SCRIPT, "reason": SCRIPT});
    let mut customer = customer("cus_1", SCRIPT);
    customer["metadata"] = json!({"user_id": EVE, "note": SCRIPT});
    app.apply([
        stripe("evt_1", "customer.created", 0, customer),
        stripe("evt_2", "customer.subscription.created", 1, subscription),
    ])
    .await;
    app.execute(&format!(
        "insert into public.support_tickets (id, user_id, subject, description, category, created_at, updated_at)
         values ('{TICKET}', '{EVE}', {}, {}, {}, now(), now())",
        literal("subject"),
        literal("description"),
        literal("category")
    ))
    .await;
    app.execute(&format!(
        "insert into public.support_tickets (subject, description, guest_email, created_at, updated_at)
         values ({}, 'x', {}, now(), now())",
        literal("subject"),
        literal("guest")
    ))
    .await;
    app.execute(&format!(
        "insert into public.support_ticket_replies (ticket_id, user_id, message, is_staff) values ('{TICKET}', '{EVE}', {}, false)",
        literal("message")
    ))
    .await;
    app.execute(&format!(
        "insert into public.sms_messages (user_id, direction, from_number, to_number, body, status)
         values ('{EVE}', 'inbound', '+15550100001', '+15550100002', {}, 'received')",
        literal("sms")
    ))
    .await;
    app.execute(&format!(
        "insert into public.marketing_campaigns (id, name, slug, status, utm_campaign) values ('{CAMPAIGN}', {}, {}, 'active', {})",
        literal("name"),
        literal("slug"),
        literal("utm")
    ))
    .await;
    app.execute(&format!(
        "insert into public.leads (email, campaign_id, created_at) values ({}, '{CAMPAIGN}', '2026-02-01')",
        literal("lead")
    ))
    .await;
    app.execute(&format!(
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state, reason, dead_at)
         values ('stripe', {}, {}, now(), now(), '{{}}', 'dead', {}, now())",
        literal("event"),
        literal("type"),
        literal("reason")
    ))
    .await;
    app.execute(&format!(
        "update public.user_activity_metrics set admin_notes = {}, custom_tags = array[{}]",
        literal("notes"),
        literal("tag")
    ))
    .await;
    app.execute(&format!(
        "insert into ingest.parked values ({}, {}, {}, now())",
        literal("object"),
        literal("parked"),
        literal("missing")
    ))
    .await;
    for actor in ["console", "ada"] {
        app.execute(&format!(
            "insert into ingest.saved_views (actor, list, name, query, saved_at)
             select '{actor}', list, {}, 'x={}', now() from unnest(array['members', 'events']) list",
            literal("view"),
            SCRIPT
        ))
        .await;
    }
    acts_and_prices(&app).await;
    app
}

/// What operators and Stripe name, too.
async fn acts_and_prices(app: &TestApp) {
    app.execute(&format!(
        "insert into ingest.jobs (operation, is_fix, state, requested_by, requested_at, part, result, error)
         values ('rebuild', false, 'failed', {}, now(), {}, jsonb_build_object({}, {}), {})",
        literal("who"),
        literal("part"),
        literal("table"),
        literal("rows"),
        literal("error")
    ))
    .await;
    app.execute(&format!(
        "insert into ingest.audit_log (actor, act, arguments, outcome, at)
         values ({}, {}, jsonb_build_object('filter', {}), '{{}}', now())",
        literal("actor"),
        literal("act"),
        literal("filter")
    ))
    .await;
    app.execute(&format!("update public.customer_subscriptions set stripe_price_id = {}", literal("price")))
        .await;
}

/// Checks that the page came, and that `fields` stand in it as text.
#[track_caller]
fn assert_is_text(page: &Page, path: &str, fields: &[&str]) {
    page.assert_shows(&[]);
    for field in fields {
        page.assert_says(&[&format!("{field}&#34;&#62;&#60;/textarea&#62;")]);
    }
    for raw in ["<script>", "<img", "</textarea></title>"] {
        assert!(!page.body.contains(raw), "{path} has {raw}");
    }
}

#[tokio::test]
async fn stored_scripts_are_text_where_acts_are_shown_and_done() {
    let app = eve().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let letter = format!("stripe/event{SCRIPT}");
    let redrive = [("act", "redrive"), ("event", letter.as_str())];
    let preview = browser.post(ACTS, &redrive).await;
    assert_is_text(&preview, "what redriving does", &["event", "reason", "type"]);
    let sure = [redrive[0], redrive[1], ("sure", "yes")];
    assert_is_text(&browser.post(ACTS, &sure).await, "what redriving did", &[]);

    let replay = [("act", "replay"), ("event", "stripe/evt_2")];
    let preview = browser.post(ACTS, &replay).await;
    assert_is_text(&preview, "what applying again does", &["price"]);
    let sure = [replay[0], replay[1], ("sure", "yes")];
    assert_is_text(&browser.post(ACTS, &sure).await, "what applying again did", &["price"]);
    assert_is_text(&browser.get("/console/audit").await, "the audit log", &["actor", "act"]);
}

#[tokio::test]
async fn stored_scripts_are_shown_and_never_run() {
    let app = eve().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for (path, fields) in [
        ("/console/members".to_owned(), &["first_name", "email", "view"][..]),
        (
            format!("/console/members/{EVE}"),
            &["first_name", "phone", "subject", "message", "sms", "notes", "tag"],
        ),
        ("/console/tickets".to_owned(), &["subject", "guest", "category"]),
        (format!("/console/tickets/{TICKET}"), &["subject", "description", "message", "category", "email"]),
        ("/console/messages".to_owned(), &["sms"]),
        ("/console/messages/%2B15550100001".to_owned(), &["sms"]),
        ("/console/campaigns".to_owned(), &["name"]),
        (format!("/console/campaigns/{CAMPAIGN}"), &["name", "slug", "utm", "lead"]),
        ("/console".to_owned(), &[]),
        ("/console/revenue".to_owned(), &[]),
        (MOVEMENTS.to_owned(), &["email"]),
        ("/console/events?state=dead".to_owned(), &["event", "type", "view"]),
        ("/console/events/stripe/evt_1?body=true".to_owned(), &[]),
        ("/console/events/stripe/evt_2".to_owned(), &[]),
        ("/console/events/stripe/evt_2/fixture".to_owned(), &[]),
        ("/console/events?columns=member,reason,latency,attempts".to_owned(), &["reason"]),
        ("/console/attention".to_owned(), &["reason", "type"]),
        ("/console/parked".to_owned(), &["object", "parked", "missing"]),
        ("/console/jobs".to_owned(), &["who"]),
        ("/console/jobs/1".to_owned(), &["who", "part", "table", "rows", "error"]),
        ("/console/audit".to_owned(), &["actor", "act"]),
    ] {
        assert_is_text(&browser.get(&path).await, &path, fields);
    }
}

#[tokio::test]
async fn what_an_address_says_is_text_too() {
    let app = TestApp::begin().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let script: String = form_urlencoded::byte_serialize(SCRIPT.as_bytes()).collect();
    for path in [
        "/console?period=",
        "/console?source=",
        "/console/members?text=",
        "/console/members?tier=",
        "/console/members?status=",
        "/console/members?sort=",
        "/console/members?cursor=",
        "/console/tickets?category=",
        "/console/tickets?status=",
        "/console/tickets?assignee=",
        "/console/tickets?member=",
        "/console/tickets/",
        "/console/revenue?from=",
        "/console/revenue?known_at=",
        "/console/campaigns?status=",
        "/console/campaigns?cursor=",
        "/console/campaigns/",
        "/console/events?type=",
        "/console/events?object=",
        "/console/events?state=",
        "/console/events?since=",
        "/console/events?q=",
        "/console/events?member=",
        "/console/events?related=",
        "/console/events/stripe/",
        "/console/messages?number=",
        "/console/messages?member=",
        "/console/messages/",
        "/console/jobs?cursor=",
        "/console/jobs/",
        "/console/revenue/movements?currency=",
        "/console/revenue/movements?month=",
        "/console/parked?reason=",
        "/console/parked?object=",
        "/console/parked?since=",
        "/console/audit?actor=",
        "/console/audit?until=",
        "/console/sign-in?next=",
        "/console/sign-in/link?code=",
    ] {
        let page = browser.get(&format!("{path}{}", script.replace('+', "%20"))).await;
        for raw in ["<script>", "<img", "</textarea></title>"] {
            assert!(!page.body.contains(raw), "{path} has {raw}");
        }
    }
}
