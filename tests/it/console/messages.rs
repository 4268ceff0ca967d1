//! Text messages: listed by filter, and those with one number together.

use axum::http::StatusCode;
use uuid::Uuid;

use super::Browser;
use crate::support::app::TestApp;

const ADA: Uuid = Uuid::from_u128(0xada0_0000_0000_4000_8000_0000_0000_0001);

#[tokio::test]
async fn messages_are_filtered_and_read_as_conversations() {
    let app = TestApp::begin().await;
    app.sign_up(ADA, "ada@example.com").await;
    app.execute(&format!(
        "insert into public.sms_messages (user_id, direction, from_number, to_number, body, status, error_message, created_at)
         values ('{ADA}', 'inbound', '+15550100001', '+15550109999', 'Is it on?', 'received', null, '2026-11-20 10:00Z'),
                ('{ADA}', 'outbound', '+15550109999', '+15550100001', 'It is.', 'failed', 'no route', '2026-11-20 11:00Z'),
                (null, 'inbound', '+15550100002', '+15550109999', 'Who is it?', 'received', null, '2026-11-20 12:00Z')"
    ))
    .await;
    let mut browser = Browser::signed_in(&app.database.pool).await;
    let all = browser.get("/console/messages").await;
    all.assert_shows(&["Is it on?", "It is.", "no route", "Who is it?", "nobody known", "ada@example.com"]);
    for (query, texts) in [
        ("number=%2B1 (555) 010-0001", vec!["It is.", "Is it on?"]),
        ("status=failed", vec!["It is."]),
        ("direction=inbound", vec!["Who is it?", "Is it on?"]),
        ("since=2026-11-20T10:30:00Z&until=2026-11-20T11:30:00Z", vec!["It is."]),
        ("member=ada0_0000", vec![]),
    ] {
        let page = browser.get(&format!("/console/messages?{}", query.replace(' ', "%20"))).await;
        let shown: Vec<&str> = ["Who is it?", "It is.", "Is it on?"]
            .into_iter()
            .filter(|text| page.body.contains(text))
            .collect();
        assert_eq!(shown, texts, "{query}");
    }
    browser.get("/console/messages?status=lost").await.assert_is(StatusCode::BAD_REQUEST, "expected one of");
    let conversation = browser.get("/console/messages/%2B15550100001").await;
    conversation.assert_shows(&["From +15550100001", "To +15550100001", "Is it on?", "It is."]);
    assert!(!conversation.body.contains("Who is it?"));
    let nobody = browser.get("/console/messages/%2B1").await;
    nobody.assert_is(StatusCode::NOT_FOUND, "no text message");
}
