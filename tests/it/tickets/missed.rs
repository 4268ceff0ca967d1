//! What people decided while the triggers were off is noted later, and never taken back.

use serde_json::json;

use super::{derived, differences, open, reply, set_status};
use crate::support::told::Told;

async fn switch_triggers(told: &Told, how: &str) {
    for table in ["support_tickets", "support_ticket_replies"] {
        told.execute(&format!("alter table public.{table} {how} trigger user")).await;
    }
}

#[tokio::test]
async fn status_given_unnoticed_stays_and_a_later_reply_moves_it() {
    let told = Told::begin().await;
    let ticket = open(&told, 1).await;
    reply(&told, ticket, 10, true).await;
    switch_triggers(&told, "disable").await;
    set_status(&told, ticket, 60, "resolved").await;
    switch_triggers(&told, "enable").await;

    assert_eq!(differences(&told, true).await.len(), 1);
    let here = derived(&told, ticket).await;
    assert_eq!([&here["status"], &here["resolved_at"]], [&json!("resolved"), &json!(60)]);
    assert_eq!(differences(&told, false).await, [""; 0]);

    reply(&told, ticket, 70, false).await;
    let here = derived(&told, ticket).await;
    assert_eq!([&here["status"], &here["reopened_count"]], [&json!("open"), &json!(1)]);
}

#[tokio::test]
async fn reply_after_an_unnoticed_status_notes_it_first() {
    let told = Told::begin().await;
    let ticket = open(&told, 1).await;
    switch_triggers(&told, "disable").await;
    set_status(&told, ticket, 60, "closed").await;
    switch_triggers(&told, "enable").await;
    reply(&told, ticket, 70, false).await;
    let here = derived(&told, ticket).await;
    assert_eq!([&here["status"], &here["reply_count"]], [&json!("closed"), &json!(1)]);
    assert_eq!(differences(&told, false).await, [""; 0]);
}
