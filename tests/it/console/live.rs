//! The stream of an open page notifies it of changes to its own tables, and resumes after a reconnection.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::header::COOKIE;
use axum::http::{Request, StatusCode};
use futures_util::StreamExt as _;
use memberflow::ops::realtime;
use tokio::time::timeout;
use tower::ServiceExt as _;
use uuid::Uuid;

use super::Browser;
use crate::support::app::TestApp;

const ADA: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);

/// An open stream.
struct Stream(BodyDataStream);

impl Stream {
    async fn open(browser: &Browser, tables: &str, last_id: Option<&str>) -> Self {
        let request = Request::builder().uri(format!("/console/live?tables={tables}"));
        let request = request.header(COOKIE, browser.cookie.as_deref().unwrap_or_default());
        let request = last_id.into_iter().fold(request, |request, id| request.header("last-event-id", id));
        let response = browser.pages.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self(response.into_body().into_data_stream())
    }

    /// The next event's name and id.
    async fn next(&mut self) -> (String, String) {
        let bytes = self.0.next().await.unwrap().unwrap();
        let text = String::from_utf8(bytes.into()).unwrap();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in {text:?}")).trim().to_owned()
        };
        // Browsers drop an event without data.
        assert_ne!(field("data:"), "");
        (field("event:"), field("id:"))
    }
}

#[tokio::test]
async fn a_change_is_notified_once_and_again_after_a_reconnection() {
    let app = TestApp::begin().await;
    realtime::install(&app.database.pool).await.unwrap();
    app.sign_up(ADA, "ada@example.com").await;
    let browser = Browser::signed_in(&app.database.pool).await;
    let mut tickets = Stream::open(&browser, "support_tickets", None).await;
    let mut payments = Stream::open(&browser, "payment_history", None).await;
    let (name, begun) = tickets.next().await;
    assert_eq!(name, "at");
    assert_eq!(payments.next().await.0, "at");

    // The process may begin to listen only now: changes are made until one is notified.
    let (name, changed) = loop {
        app.execute(&format!(
            "insert into public.support_tickets (user_id, subject, description, created_at, updated_at)
             values ('{ADA}', 'Help', 'x', now(), now())"
        ))
        .await;
        if let Ok(app) = timeout(Duration::from_millis(200), tickets.next()).await {
            break app;
        }
    };
    assert_eq!(name, "changed");
    assert_ne!(changed, begun);
    assert!(timeout(Duration::from_millis(200), payments.next()).await.is_err(), "nobody paid");

    let mut again = Stream::open(&browser, "support_tickets", Some(&begun)).await;
    assert_eq!(again.next().await.0, "changed");
    let mut of_another_process = Stream::open(&browser, "support_tickets", Some("x.7")).await;
    assert_eq!(of_another_process.next().await.0, "changed");
}

#[tokio::test]
async fn events_are_notified_without_a_trigger() {
    let app = TestApp::begin().await;
    let browser = Browser::signed_in(&app.database.pool).await;
    let mut events = Stream::open(&browser, "events", None).await;
    assert_eq!(events.next().await.0, "at");
    // The process may begin to poll only now: events are added until one is notified.
    for number in 0.. {
        app.execute(&format!(
            "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state, reason, dead_at)
             values ('stripe', 'evt_{number}', 'x', now(), now(), '{{}}', 'dead', 'x', clock_timestamp())"
        ))
        .await;
        if let Ok((name, _)) = timeout(Duration::from_millis(500), events.next()).await {
            assert_eq!(name, "changed");
            break;
        }
    }
}

#[tokio::test]
async fn table_without_triggers_is_notified_by_its_counters() {
    let app = TestApp::begin().await;
    let browser = Browser::signed_in(&app.database.pool).await;
    let mut campaigns = Stream::open(&browser, "marketing_campaigns", None).await;
    let mut tickets = Stream::open(&browser, "support_tickets", None).await;
    assert_eq!(campaigns.next().await.0, "at");
    assert_eq!(tickets.next().await.0, "at");
    // The process may begin to poll only now, and Postgres counts with delay: campaigns are begun until one is notified.
    for number in 0.. {
        app.execute(&format!(
            "insert into public.marketing_campaigns (name, slug) values ('Spring', 'spring-{number}')"
        ))
        .await;
        if let Ok((name, _)) = timeout(Duration::from_millis(500), campaigns.next()).await {
            assert_eq!(name, "changed");
            break;
        }
    }
    assert!(timeout(Duration::from_millis(200), tickets.next()).await.is_err(), "nobody asked for help");
}

#[tokio::test]
async fn a_stream_without_a_session_is_rejected() {
    let app = TestApp::begin().await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    browser.cookie = None;
    assert_eq!(browser.get("/console/live?tables=support_tickets").await.status, StatusCode::SEE_OTHER);
}
