//! Text messages over HTTP.

use axum::http::StatusCode;

use super::{get, pages, read};
use crate::support::api::assert_problem;
use crate::support::app::TestApp;

#[tokio::test]
async fn messages_are_listed_newest_first_by_page_and_filter() {
    let app = TestApp::begin().await;
    app.execute(
        "insert into public.sms_messages (direction, from_number, to_number, body, status, created_at)
         select case when n % 2 = 0 then 'inbound' else 'outbound' end, '+1555010000' || n % 2, '+15550100009', n::text,
                case when n % 2 = 0 then 'received' else 'sent' end, '2026-11-01'::timestamptz + n / 2 * interval '1 day'
         from generate_series(1, 5) n",
    )
    .await;
    let all = pages(&app, "/api/messages", 2, "messages", "body").await.concat();
    assert_eq!((all.len(), all[4].as_str()), (5, "1"));
    for (query, expected) in [
        ("status=received", vec!["4", "2"]),
        ("direction=outbound&since=2026-11-02", vec!["5", "3"]),
        ("number=%2B15550100000", vec!["4", "2"]),
        ("number=%2B15550100009", vec!["5", "3", "1"]),
        ("until=2026-11-02", vec!["1"]),
        ("member=00000000-0000-0000-0000-000000000001", vec![]),
    ] {
        assert_eq!(
            pages(&app, &format!("/api/messages?{query}"), 9, "messages", "body").await,
            [expected],
            "{query}"
        );
    }
    assert_eq!(
        read(&app, "/api/messages?limit=1&number=%2B15550100000").await["messages"][0]["our_number"],
        "+15550100009"
    );
    assert_problem(&get(&app, "/api/messages?status=lost").await, StatusCode::BAD_REQUEST, "delivered");
    assert_problem(&get(&app, "/api/messages?cursor=x").await, StatusCode::BAD_REQUEST, "invalid cursor");
}
