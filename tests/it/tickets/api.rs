//! Support tickets over HTTP, and on the member's page.

use axum::http::{Method, StatusCode};
use memberflow::cli::members::detail;
use memberflow::ops::members;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ADA, GRACE, open, reply, say};
use crate::support::api::{Reply, TOKEN, api_at, assert_problem, request, send};
use crate::support::app::{BEGIN, NOW, TestApp};

async fn ask(app: &TestApp, method: Method, path: &str, body: Value) -> Reply {
    let api = api_at(&app.database.pool, Some(TOKEN), NOW);
    send(&api, request(method, path, &body.to_string())).await
}

async fn get(app: &TestApp, path: &str) -> Reply {
    ask(app, Method::GET, path, Value::Null).await
}

#[tokio::test]
async fn list_filters_and_continues_with_its_cursor() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    for number in 1..=3 {
        open(&app, number).await;
    }
    reply(&app, Uuid::from_u128(0xb002), 10, true).await;
    let page = get(&app, "/api/tickets?waiting_for=staff&limit=1").await;
    assert_eq!((page.status, &page.body["tickets"][0]["subject"]), (StatusCode::OK, &json!("Help 1")));
    let cursor = page.body["next_cursor"].as_str().unwrap();
    let page = get(&app, &format!("/api/tickets?waiting_for=staff&limit=1&cursor={cursor}")).await;
    assert_eq!(
        (&page.body["tickets"][0]["subject"], &page.body["next_cursor"]),
        (&json!("Help 3"), &Value::Null)
    );
    let cursor = page.body["prev_cursor"].as_str().unwrap();
    let back = get(&app, &format!("/api/tickets?waiting_for=staff&limit=1&cursor={cursor}")).await;
    assert_eq!(
        (&back.body["tickets"][0]["subject"], &back.body["prev_cursor"]),
        (&json!("Help 1"), &Value::Null)
    );
    for (query, count) in [
        ("since=2099-01-01".to_owned(), 0),
        ("until=2099-01-01".to_owned(), 3),
        (format!("member={ADA}"), 3),
        (format!("member={GRACE}"), 0),
        ("assignee=nobody&text=help".to_owned(), 3),
        ("waiting_before=2000-01-01T00:00:00Z".to_owned(), 0),
    ] {
        let page = get(&app, &format!("/api/tickets?{query}")).await;
        assert_eq!(page.body["tickets"].as_array().unwrap().len(), count, "{query}: {}", page.body);
    }
}

#[tokio::test]
async fn reply_assignment_and_status_answer_with_the_ticket() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.sign_up(GRACE, "grace@example.com").await;
    open(&app, 1).await;
    let path = "/api/tickets/SUPP-0001";
    let said = json!({"message": "It is fixed.", "user_id": GRACE});
    let replied = ask(&app, Method::POST, &format!("{path}/replies"), said).await;
    assert_eq!((replied.status, &replied.body["status"]), (StatusCode::CREATED, &json!("waiting_reply")));
    let note = json!({"message": "Third time.", "is_internal": true});
    let noted = ask(&app, Method::POST, &format!("{path}/replies"), note).await;
    assert_eq!((noted.status, &noted.body["reply_count"]), (StatusCode::CREATED, &json!(1)));
    let both = json!({"status": "resolved", "assigned_to": GRACE});
    let changed = ask(&app, Method::PATCH, path, both).await;
    assert_eq!((&changed.body["status"], &changed.body["assigned_to"]), (&json!("resolved"), &json!(GRACE)));
    let freed = ask(&app, Method::PATCH, path, json!({"assigned_to": null})).await;
    assert_eq!((&freed.body["status"], &freed.body["assigned_to"]), (&json!("resolved"), &Value::Null));
    assert_eq!(freed.body, get(&app, path).await.body);
    let acts = app.rows("select actor, act from ingest.audit_log order by id").await;
    let acts: Vec<_> =
        acts.iter().map(|it| (it["actor"].as_str().unwrap(), it["act"].as_str().unwrap())).collect();
    let expected = ["tickets reply", "tickets reply", "tickets status", "tickets assign", "tickets assign"];
    assert_eq!(acts, expected.map(|act| ("api", act)));
}

#[tokio::test]
async fn invalid_ticket_requests_change_nothing() {
    let app = TestApp::begin().await;
    open(&app, 1).await;
    let path = "/api/tickets/SUPP-0001";
    let replies = "/api/tickets/SUPP-0001/replies";
    for (method, path, body, status, says) in [
        (Method::GET, "/api/tickets/SUPP-9", Value::Null, 404, "there is no ticket SUPP-9"),
        (
            Method::GET,
            "/api/tickets?status=done",
            Value::Null,
            400,
            "invalid status \"done\": expected one of open, in_progress",
        ),
        (
            Method::GET,
            "/api/tickets?waiting_for=me",
            Value::Null,
            400,
            "invalid waiting_for \"me\": expected one of staff, member",
        ),
        (
            Method::GET,
            "/api/tickets?priority=huge",
            Value::Null,
            400,
            "invalid priority \"huge\": expected one of low",
        ),
        (Method::GET, "/api/tickets?assignee=bob", Value::Null, 400, "a user id or \"nobody\""),
        (Method::GET, "/api/tickets?limit=0", Value::Null, 400, "invalid limit: expected 1 to 200"),
        (Method::GET, "/api/tickets?category=%00", Value::Null, 400, "NUL"),
        (Method::GET, "/api/tickets/%00", Value::Null, 404, "there is no ticket"),
        (Method::GET, "/api/tickets?colour=red", Value::Null, 400, "unknown field `colour`"),
        (Method::GET, "/api/tickets?cursor=x", Value::Null, 400, "invalid cursor: use next_cursor"),
        (Method::PATCH, path, json!([]), 400, "expected a map"),
        (Method::PATCH, path, json!({"priority": "low"}), 400, "unknown field `priority`"),
        (
            Method::PATCH,
            path,
            json!({"status": "done"}),
            400,
            "invalid status \"done\": expected one of open",
        ),
        (Method::PATCH, path, json!({"status": "closed", "assigned_to": ADA}), 400, "no such account"),
        (Method::PATCH, "/api/tickets/SUPP-9", json!({"status": "open"}), 404, "there is no ticket SUPP-9"),
        (Method::POST, replies, json!({"message": " "}), 400, "a reply holds 1 to 20000 characters"),
        (Method::POST, replies, json!({}), 400, "missing field `message`"),
        (Method::POST, replies, json!({"message": "x", "user_id": ADA}), 400, "no such account"),
    ] {
        let reply = ask(&app, method, path, body).await;
        assert_problem(&reply, StatusCode::from_u16(status).unwrap(), says);
    }
    let ticket = get(&app, path).await.body;
    assert_eq!((&ticket["status"], &ticket["timeline"]), (&json!("open"), &json!([])));
    assert_eq!(app.rows("select 1 from ingest.audit_log").await, [] as [Value; 0]);
}

#[tokio::test]
async fn member_shows_tickets_and_messages_in_one_timeline() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    let ticket = open(&app, 1).await;
    say(&app, ticket, 10, true, false).await;
    say(&app, ticket, 20, false, false).await;
    say(&app, ticket, 30, true, true).await;
    app.execute(&format!(
        "insert into public.sms_messages (direction, from_number, to_number, body, user_id, created_at)
         values ('inbound', '+15550100', '+15550199', 'Any news?', '{ADA}', to_timestamp({}))",
        BEGIN + 25
    ))
    .await;
    let shown = get(&app, &format!("/api/members/{ADA}")).await.body;
    let kinds: Vec<_> =
        shown["timeline"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["note", "sms", "reply", "reply", "ticket"]);
    assert_eq!(shown["timeline"][4]["text"], "Help 1");
    let moment = |second: i64| {
        let moment = time::OffsetDateTime::from_unix_timestamp(BEGIN + second).unwrap();
        json!(moment.format(&time::format_description::well_known::Rfc3339).unwrap())
    };
    let support = json!({"open_tickets": 1, "waiting_since": moment(20), "last_contact_at": moment(25)});
    assert_eq!(shown["support"], support);

    let member = members::show(&app.database.pool, ADA, "1", NOW).await.unwrap().unwrap();
    let text = detail(&member);
    for part in ["Waits for staff since", "SUPP-0001", "Any news?"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
