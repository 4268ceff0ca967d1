//! Decisions made while the triggers were disabled are recorded later, and kept.

use serde_json::json;

use super::{derived, differences, open, reply, set_status};
use crate::support::app::TestApp;

async fn switch_triggers(app: &TestApp, how: &str) {
    for table in ["support_tickets", "support_ticket_replies"] {
        app.execute(&format!("alter table public.{table} {how} trigger user")).await;
    }
}

#[tokio::test]
async fn unnoticed_status_stays_until_a_reply() {
    let app = TestApp::begin().await;
    let ticket = open(&app, 1).await;
    reply(&app, ticket, 10, true).await;
    switch_triggers(&app, "disable").await;
    set_status(&app, ticket, 60, "resolved").await;
    switch_triggers(&app, "enable").await;

    assert_eq!(differences(&app, true).await.len(), 1);
    let here = derived(&app, ticket).await;
    assert_eq!([&here["status"], &here["resolved_at"]], [&json!("resolved"), &json!(60)]);
    assert_eq!(differences(&app, false).await, [""; 0]);

    reply(&app, ticket, 70, false).await;
    let here = derived(&app, ticket).await;
    assert_eq!([&here["status"], &here["reopened_count"]], [&json!("open"), &json!(1)]);
}

#[tokio::test]
async fn reply_records_unnoticed_status_first() {
    let app = TestApp::begin().await;
    let ticket = open(&app, 1).await;
    switch_triggers(&app, "disable").await;
    set_status(&app, ticket, 60, "closed").await;
    switch_triggers(&app, "enable").await;
    reply(&app, ticket, 70, false).await;
    let here = derived(&app, ticket).await;
    assert_eq!([&here["status"], &here["reply_count"]], [&json!("closed"), &json!(1)]);
    assert_eq!(differences(&app, false).await, [""; 0]);
}
