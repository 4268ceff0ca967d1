//! Changes that mind others' changes (`If-Match`), and acts that are done once (`Idempotency-Key`).

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use memberflow::ops::tickets;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

use super::with_letters;
use crate::support::api::{TOKEN, api_at};
use crate::support::app::{NOW, TestApp};

const USER: Uuid = Uuid::from_u128(7);

async fn send(
    app: &TestApp,
    method: Method,
    path: &str,
    extra: Option<(&str, &str)>,
    body: &Value,
) -> (StatusCode, HeaderMap, Value) {
    send_at(app, NOW, method, path, extra, body).await
}

async fn send_at(
    app: &TestApp,
    now: time::OffsetDateTime,
    method: Method,
    path: &str,
    extra: Option<(&str, &str)>,
    body: &Value,
) -> (StatusCode, HeaderMap, Value) {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json");
    if let Some((name, value)) = extra {
        request = request.header(name, value);
    }
    let request = request.body(Body::from(body.to_string())).unwrap();
    let response = api_at(&app.database.pool, Some(TOKEN), now).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    (parts.status, parts.headers, serde_json::from_slice(&bytes).unwrap_or_default())
}

async fn etag(app: &TestApp, path: &str) -> String {
    let (status, headers, _) = send(app, Method::GET, path, None, &Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    headers["etag"].to_str().unwrap().to_owned()
}

/// The first change goes through, one that was meant for what stood before does not.
async fn assert_guarded(app: &TestApp, path: &str, changes: [Value; 3]) {
    let [first, second, third] = &changes;
    let read = etag(app, path).await;
    let if_match = |tag: &str| tag.to_owned();
    let (status, headers, _) =
        send(app, Method::PATCH, path, Some(("if-match", &if_match(&read))), first).await;
    assert_eq!(status, StatusCode::OK);
    let now = headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(now, read);
    assert_eq!(etag(app, path).await, now, "the answer has the version that is there");

    let (status, _, problem) = send(app, Method::PATCH, path, Some(("if-match", &read)), second).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::PRECONDITION_FAILED, &json!("urn:memberflow:problem:precondition-failed"))
    );
    assert_eq!(etag(app, path).await, now, "nothing is changed");
    for header in ["*".to_owned(), format!("\"x\", {now}")] {
        let (status, ..) = send(app, Method::PATCH, path, Some(("if-match", &header)), first).await;
        assert_eq!(status, StatusCode::OK, "{header}");
    }
    let (status, ..) = send(app, Method::PATCH, path, None, third).await;
    assert_eq!(status, StatusCode::OK, "without the header as ever");
}

#[tokio::test]
async fn members_changed_meanwhile_are_not_overwritten() {
    let app = TestApp::begin().await;
    app.sign_up(USER, "ada@example.com").await;
    let path = format!("/api/members/{USER}");
    let before = etag(&app, &path).await;
    assert_guarded(
        &app,
        &path,
        [json!({"custom_tags": ["vip"]}), json!({"custom_tags": []}), json!({"admin_notes": "called"})],
    )
    .await;
    // What members do themselves is no reason to refuse.
    let set = etag(&app, &path).await;
    app.execute("update public.user_activity_metrics set total_logins = 9, last_login_at = now()").await;
    assert_eq!(etag(&app, &path).await, set);
    assert_ne!(set, before);
}

async fn ticket(app: &TestApp) {
    app.sign_up(USER, "ada@example.com").await;
    app.execute(&format!(
        "insert into public.support_tickets (user_id, subject, description, ticket_number)
         values ('{USER}', 'Help', 'It is broken.', 'T-1')"
    ))
    .await;
}

#[tokio::test]
async fn tickets_changed_or_replied_to_meanwhile_are_not_overwritten() {
    let app = TestApp::begin().await;
    ticket(&app).await;
    let changes =
        [json!({"status": "in_progress"}), json!({"status": "closed"}), json!({"assigned_to": USER})];
    assert_guarded(&app, "/api/tickets/T-1", changes).await;
    let read = etag(&app, "/api/tickets/T-1").await;
    let reply = tickets::Change::Reply { message: "More.".to_owned(), is_internal: false, user_id: None };
    tickets::change(&app.database.pool, "T-1", &[reply], "ada", NOW).await.unwrap();
    let (status, ..) = send(
        &app,
        Method::PATCH,
        "/api/tickets/T-1",
        Some(("if-match", &read)),
        &json!({"status": "closed"}),
    )
    .await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn an_act_with_a_key_is_done_once_and_answered_alike() {
    let app = TestApp::begin().await;
    ticket(&app).await;
    let path = "/api/tickets/T-1/replies";
    let key = Some(("idempotency-key", "a-1"));
    let said = json!({"message": "It is fixed."});
    let (first, headers, answer) = send(&app, Method::POST, path, key, &said).await;
    assert_eq!((first, headers.get("idempotent-replayed")), (StatusCode::CREATED, None));
    let (again, headers, same) = send(&app, Method::POST, path, key, &said).await;
    assert_eq!((again, same), (first, answer));
    assert_eq!(
        (&headers["idempotent-replayed"], &headers["content-type"]),
        (&"true".parse().unwrap(), &"application/json".parse().unwrap())
    );
    let replies = async || app.rows("select 1 from public.support_ticket_replies").await.len();
    assert_eq!(replies().await, 1);

    let (status, _, problem) = send(&app, Method::POST, path, key, &json!({"message": "Another."})).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("urn:memberflow:problem:idempotency-key-reused"))
    );
    for key in ["", &"x".repeat(256)] {
        let (status, ..) = send(&app, Method::POST, path, Some(("idempotency-key", key)), &said).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{key}");
    }
    assert_eq!(replies().await, 1);
    let (status, ..) = send(&app, Method::POST, path, Some(("idempotency-key", "a-2")), &said).await;
    assert_eq!((status, replies().await), (StatusCode::CREATED, 2));
    let later = NOW + time::Duration::hours(25);
    let (status, headers, _) =
        send_at(&app, later, Method::POST, path, key, &json!({"message": "A day on."})).await;
    assert_eq!((status, headers.get("idempotent-replayed")), (StatusCode::CREATED, None));
    memberflow::ops::idempotency::expire(&app.database.pool, later).await.unwrap();
    assert_eq!(
        app.rows("select 1 from ingest.idempotency_keys").await.len(),
        1,
        "keys of yesterday are gone"
    );
}

#[tokio::test]
async fn act_under_way_or_failed_differs_from_one_done() {
    let app = with_letters().await;
    let (path, key, all) =
        ("/api/dead-letters/redrive", Some(("idempotency-key", "k")), json!({"all": true}));
    let (_, _, done) = send(&app, Method::POST, path, key, &all).await;
    assert_eq!(done["letters"], 3);
    app.execute("update ingest.idempotency_keys set status = null, body = null").await;
    let (status, _, problem) = send(&app, Method::POST, path, key, &all).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::CONFLICT, &json!("urn:memberflow:problem:idempotency-key-in-use"))
    );
    // Its process ended in the middle.
    let later = NOW + time::Duration::minutes(11);
    let (status, _, done) = send_at(&app, later, Method::POST, path, key, &all).await;
    assert_eq!((status, &done["letters"]), (StatusCode::OK, &json!(0)));

    app.execute("alter table ingest.audit_log rename to elsewhere").await;
    app.execute(
        "update ingest.inbox set state = 'dead', reason = 'x', dead_at = now() where event_id = 'evt_1'",
    )
    .await;
    let other = Some(("idempotency-key", "other"));
    let (status, ..) = send(&app, Method::POST, path, other, &all).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    app.execute("alter table ingest.elsewhere rename to audit_log").await;
    let (status, _, done) = send(&app, Method::POST, path, other, &all).await;
    assert_eq!((status, &done["letters"]), (StatusCode::OK, &json!(1)), "it may be tried again");
}
