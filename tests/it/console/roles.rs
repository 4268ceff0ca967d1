//! What each role is shown and may do.

use axum::http::StatusCode;
use memberflow::config::console_roles::ConsoleRole;
use uuid::Uuid;

use super::Browser;
use crate::support::app::TestApp;

const MEMBER: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);
const TICKET: Uuid = Uuid::from_u128(0xb001);

async fn app() -> TestApp {
    let app = TestApp::begin().await;
    app.sign_up(MEMBER, "ada@example.com").await;
    app.execute(&format!(
        "insert into public.support_tickets (id, user_id, subject, description, created_at, updated_at)
         values ('{TICKET}', '{MEMBER}', 'No engine', 'It does not turn.', now(), now())"
    ))
    .await;
    app.execute(
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state, reason, dead_at)
         values ('stripe', 'evt_1', 'invoice.paid', now(), now(), '{}', 'dead', 'broken', now())",
    )
    .await;
    app
}

#[tokio::test]
async fn each_role_is_shown_what_it_may_do_and_nothing_else() {
    let app = app().await;
    for role in [ConsoleRole::Viewer, ConsoleRole::Operator, ConsoleRole::Admin] {
        let mut browser = Browser::with_role(&app.database.pool, "somebody", role).await;
        let (member, ticket) = (format!("/console/members/{MEMBER}"), format!("/console/tickets/{TICKET}"));
        for path in [member.as_str(), &ticket, "/console/attention"] {
            let page = browser.get(path).await;
            assert_eq!(page.status, StatusCode::OK);
            // One signs out; the others change something.
            let changing = page.body.matches("method=\"post\"").count() - 1;
            assert_eq!(changing > 0, role >= ConsoleRole::Operator, "{role:?} {path}: {}", page.body);
        }
    }
}

#[tokio::test]
async fn the_audit_log_is_for_admins() {
    let app = app().await;
    for (role, expected) in [
        (ConsoleRole::Viewer, StatusCode::FORBIDDEN),
        (ConsoleRole::Operator, StatusCode::FORBIDDEN),
        (ConsoleRole::Admin, StatusCode::OK),
    ] {
        let mut browser = Browser::with_role(&app.database.pool, "somebody", role).await;
        for path in ["/console/audit", "/console/audit?actor=x", "/console/audit?cursor=nonsense&misspelt=x"]
        {
            let page = browser.get(path).await;
            let is_expected = page.status == expected
                || (role == ConsoleRole::Admin && page.status == StatusCode::BAD_REQUEST);
            assert!(is_expected, "{role:?} {path}: {}", page.status);
        }
        let linked = browser.get("/console").await.body.contains("href=\"/console/audit\"");
        assert_eq!(linked, role == ConsoleRole::Admin);
    }
}

#[tokio::test]
async fn a_viewers_forms_change_nothing_and_an_operators_do() {
    let app = app().await;
    let cause =
        [("source", "stripe"), ("event_type", "invoice.paid"), ("reason", "broken"), ("act", "redrive")];
    let ticket = format!("/console/tickets/{TICKET}");
    for (role, expected) in
        [(ConsoleRole::Viewer, StatusCode::FORBIDDEN), (ConsoleRole::Operator, StatusCode::SEE_OTHER)]
    {
        let mut browser = Browser::with_role(&app.database.pool, "somebody", role).await;
        for (path, fields) in [
            (format!("{ticket}/reply"), &[("message", "hello")][..]),
            (format!("{ticket}/assign"), &[("assigned_to", "")]),
            (format!("{ticket}/status"), &[("status", "closed")]),
            ("/console/attention".to_owned(), &cause),
        ] {
            assert_eq!(browser.post(&path, fields).await.status, expected, "{role:?} {path}");
        }
        let acts = app.rows("select distinct actor from ingest.audit_log").await;
        assert_eq!(acts.is_empty(), role == ConsoleRole::Viewer, "{acts:?}");
    }
}
