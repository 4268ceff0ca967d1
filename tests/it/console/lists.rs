//! Lists: had whole as files, with the columns that are wanted, and under names of one's own.

use axum::http::StatusCode;
use memberflow::config::console_roles::ConsoleRole;
use memberflow::console::session::Session;
use memberflow::console::signing_in::links;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Browser, TOKEN, config, pages};
use crate::support::app::{NOW, TestApp, customer, stripe};

const ADA: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);

async fn somebody() -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.apply([stripe("evt_1", "customer.created", 0, customer("cus_1", "ada@example.com"))]).await;
    app.execute(
        "insert into public.support_tickets (subject, description, guest_email, created_at, updated_at)
         values ('=Help', 'x', 'eve@example.com', now(), now())",
    )
    .await;
    app
}

#[tokio::test]
async fn each_list_is_had_whole_as_csv_and_json_and_each_time_audited() {
    let app = somebody().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for (list, text) in [
        ("members", "ada@example.com"),
        ("events", "evt_1"),
        ("tickets", "=Help"),
        ("audit", "members export"),
    ] {
        let csv = browser.get(&format!("/console/{list}.csv")).await;
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(csv.header("content-disposition"), format!("attachment; filename=\"{list}.csv\""));
        assert_eq!(csv.header("cache-control"), "no-store");
        csv.assert_shows(&[text]);
        assert!(!csv.body.contains(",=Help"), "a spreadsheet would take it for a formula");
        let file = browser.get(&format!("/console/{list}.json")).await;
        assert_eq!(file.header("content-type"), "application/json");
        let rows: Vec<Value> = serde_json::from_str(&file.body).unwrap();
        assert!(!rows.is_empty() && file.body.contains(text), "{list}");
        let page = browser.get(&format!("/console/{list}")).await;
        page.assert_shows(&["Download as CSV", &format!("/console/{list}.json")]);
    }
    let acts = app.rows("select act, outcome from ingest.audit_log order by id limit 3").await;
    let line = |act: &str, format: &str| json!({"act": act, "outcome": {"format": format}});
    assert_eq!(
        acts,
        [line("members export", "csv"), line("members export", "json"), line("events export", "csv")]
    );
    browser.get("/console/settings.csv").await.assert_is(StatusCode::NOT_FOUND, "nothing at this address");
}

#[tokio::test]
async fn every_list_is_had_whole_and_counted() {
    let app = pages::ada().await;
    let dead = stripe("evt_dead", "customer.created", 0, customer("cus_9", "b@example.com"));
    app.store.dead_letter(&[(dead, "too often".to_owned())]).await.unwrap();
    for statement in [
        "insert into ingest.parked values ('cus_9', 'unknown_user', 'nobody has this address', now())",
        "insert into public.sms_messages (direction, from_number, to_number, body, status)
         values ('inbound', '+15550100001', '+15550100002', '=Call me', 'received')",
    ] {
        app.execute(statement).await;
    }
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let month = "currency=usd&month=2026-01";
    for (list, query, text, count) in [
        ("members", "tier=Pro".to_owned(), "ada@example.com", "1 match"),
        ("events", "type=invoice.*".to_owned(), "evt_3", "1 match"),
        ("dead-letters", "source=stripe&type=customer.*".to_owned(), "too often", "1 match"),
        ("parked", "reason=unknown_user".to_owned(), "nobody has this address", "1 match"),
        ("tickets", "text=engine".to_owned(), "No engine", "1 match"),
        ("messages", "direction=inbound".to_owned(), "Call me", "1 match"),
        ("campaigns", "status=active".to_owned(), "spring", "1 match"),
        ("revenue/movements", format!("{month}&kind=new"), "cus_1", "1 match, of 1 customers"),
        ("revenue/cohort", format!("{month}&began=2026-01"), "cus_1", "1 match"),
    ] {
        let csv = browser.get(&format!("/console/{list}.csv?{query}")).await;
        csv.assert_shows(&[text]);
        assert_eq!(csv.body.lines().count(), 2, "{list}: {}", csv.body);
        assert!(!csv.body.contains(",=Call"), "a spreadsheet would take it for a formula");
        let file = browser.get(&format!("/console/{list}.json?{query}")).await;
        let rows: Vec<Value> = serde_json::from_str(&file.body).unwrap();
        assert_eq!(rows.len(), 1, "{list}");
        let header = csv.body.lines().next().unwrap();
        let unknown = header.split(',').find(|column| rows[0].get(column).is_none());
        assert_eq!(unknown, None, "{list}: {}", rows[0]);
        browser.get(&format!("/console/{list}.count?{query}")).await.assert_shows(&[&format!(">{count}<")]);
        let page = if list == "dead-letters" { "attention".to_owned() } else { format!("{list}?{query}") };
        let page = browser.get(&format!("/console/{page}")).await;
        page.assert_shows(&["How many?", &format!("/console/{list}.csv"), &format!("/console/{list}.count")]);
    }
    let mut viewer = Browser::with_role(&app.database.pool, "vera", ConsoleRole::Viewer).await;
    for ending in ["count", "csv"] {
        assert_eq!(viewer.get(&format!("/console/audit.{ending}")).await.status, StatusCode::FORBIDDEN);
    }
    browser.get("/console/parked.count?colour=red").await.assert_is(StatusCode::BAD_REQUEST, "colour");
}

#[tokio::test]
async fn a_file_has_what_matches_and_is_valid_where_nothing_does() {
    let app = somebody().await;
    app.execute(
        "insert into ingest.audit_log (at, actor, act, arguments, outcome)
         select now(), 'bob', 'x', '{}', '{}' from generate_series(1, 450)",
    )
    .await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    for (path, count) in [
        ("/console/audit.json?actor=bob", 450),
        ("/console/audit.json?actor=nobody", 0),
        ("/console/events.json?type=price.*", 0),
        ("/console/events.json?type=customer.*", 1),
    ] {
        let rows: Vec<Value> = serde_json::from_str(&browser.get(path).await.body).unwrap();
        assert_eq!(rows.len(), count, "{path}");
    }
    assert_eq!(browser.get("/console/audit.csv?actor=bob").await.body.lines().count(), 451);
    browser.get("/console/events.csv?state=lost").await.assert_is(StatusCode::BAD_REQUEST, "expected one of");
    browser.get("/console/events.csv?colour=red").await.assert_is(StatusCode::BAD_REQUEST, "colour");
}

#[tokio::test]
async fn the_address_says_which_columns_are_shown() {
    let app = somebody().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let usual = browser.get("/console/members").await;
    usual.assert_shows(&[">E-mail</a>", "Health"]);
    assert!(!usual.body.contains(">Phone</th>"));
    let chosen = browser.get("/console/members?columns=phone&columns=mrr&sort=mrr").await;
    chosen.assert_shows(&[">Phone</th>"]);
    assert!(!chosen.body.contains(">E-mail</a>") && !chosen.body.contains(">Health</th>"));
    assert!(chosen.link("MRR").contains("columns=phone%2Cmrr"), "the order keeps the columns");
    let events = browser.get("/console/events?columns=reason").await;
    events.assert_shows(&[">Why</th>"]);
    assert!(!events.body.contains(">Received</th>"));
}

#[tokio::test]
async fn every_list_has_columns_and_views() {
    let app = pages::ada().await;
    for statement in [
        "insert into ingest.parked values ('cus_9', 'unknown_user', 'nobody has this address', now())",
        "insert into public.sms_messages (direction, from_number, to_number, body, status)
         values ('inbound', '+15550100001', '+15550100002', 'Call me', 'received')",
    ] {
        app.execute(statement).await;
    }
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let cell = "currency=usd&month=2026-01&kind=new";
    for (list, filter, column, title, other) in [
        ("tickets", "status=open", "subject", "Subject", "Category"),
        ("messages", "direction=inbound", "text", "Text", "Ticket"),
        ("campaigns", "status=active", "leads", "Leads", "Cost"),
        ("revenue/movements", cell, "change", "Change", "Customer"),
        ("parked", "reason=unknown_user", "missing", "What is missing", "What fixes it"),
        ("audit", "act=views", "who", "Who", "Outcome"),
    ] {
        let query = format!("{filter}&columns={column}");
        let fields = [("list", list), ("name", "Mine"), ("query", query.as_str()), ("act", "save")];
        let saved = browser.post("/console/views", &fields).await;
        let address = format!("/console/{list}?{query}");
        assert_eq!((saved.status, saved.location()), (StatusCode::SEE_OTHER, address.as_str()));
        let usual = browser.get(&format!("/console/{list}?{filter}")).await;
        usual.assert_shows(&["Mine</a>", "Save this view"]);
        assert_eq!(usual.link("Mine"), address);
        if list != "audit" {
            let heading = |page: &super::Page, title: &str| page.body.contains(&format!(">{title}</th>"));
            assert!(heading(&usual, title) && heading(&usual, other), "{list}: {}", usual.body);
            let chosen = browser.get(&address).await;
            assert!(heading(&chosen, title) && !heading(&chosen, other), "{list}: {}", chosen.body);
        }
    }
}

#[tokio::test]
async fn a_view_is_saved_for_oneself_shown_and_deleted() {
    let app = somebody().await;
    let as_person = async |name: &str| {
        let session = Session { actor: name.to_owned(), role: ConsoleRole::Viewer };
        let code = links::make(&app.database.pool, &TOKEN.into(), &session, NOW).await.unwrap();
        let mut browser = Browser::at(&app.database.pool, &config(), NOW);
        browser.post("/console/sign-in/link", &[("code", &code)]).await;
        browser
    };
    let (mut bob, mut vera) = (as_person("bob").await, as_person("vera").await);
    let view = |act: &'static str| {
        [
            ("list", "members"),
            ("name", "Payers <b>"),
            ("query", "status=active&sort=mrr&cursor=x"),
            ("act", act),
        ]
    };
    let saved = bob.post("/console/views", &view("save")).await;
    assert_eq!(
        (saved.status, saved.location()),
        (StatusCode::SEE_OTHER, "/console/members?status=active&sort=mrr")
    );
    let page = bob.get("/console/members").await;
    page.assert_shows(&["Payers &#60;b&#62;"]);
    assert_eq!(page.link("Payers &#60;b&#62;"), "/console/members?status=active&sort=mrr");
    assert!(!vera.get("/console/members").await.body.contains("Payers"));
    assert!(!bob.get("/console/events").await.body.contains("Payers"), "of another list");
    vera.post("/console/views", &view("delete")).await;
    bob.get("/console/members").await.assert_shows(&["Payers"]);
    bob.post("/console/views", &view("delete")).await;
    assert!(!bob.get("/console/members").await.body.contains("Payers"));
    for (fields, says) in [
        ([("list", "members"), ("name", " "), ("query", ""), ("act", "save")], "1 to 60 characters"),
        ([("list", "settings"), ("name", "x"), ("query", ""), ("act", "save")], "is no list that has views"),
        ([("list", "members"), ("name", "x"), ("query", "colour=red"), ("act", "save")], "colour"),
        ([("list", "members"), ("name", "x"), ("query", ""), ("act", "keep")], "act is save or delete"),
    ] {
        bob.post("/console/views", &fields).await.assert_is(StatusCode::BAD_REQUEST, says);
    }
}
