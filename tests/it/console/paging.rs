//! Lists are read by page, both ways, and rows that come meanwhile move none.

use super::Browser;
use crate::support::app::TestApp;

/// What fills each list with 120 rows, its address, and what adds one more that stands first.
const LISTS: [(&str, &str); 5] = [
    (
        "/console/events",
        "insert into ingest.events (source, event_id, event_type, occurred_at, received_at, body, state, reason, dead_at)
         select 'stripe', 'evt_' || n, 'x', now(), now(), '{}', 'dead', 'x', '2026-01-01'::timestamptz + n * interval '1 s'
         from generate_series($from, $to) n",
    ),
    (
        "/console/audit",
        "insert into ingest.audit_log (at, actor, act, arguments, outcome)
         select '2026-01-01'::timestamptz + n * interval '1 s', 'ada', 'x', '{}', '{}' from generate_series($from, $to) n",
    ),
    (
        "/console/members",
        "insert into auth.users (id, email, created_at)
         select md5(n::text)::uuid, n || '@example.com', '2026-01-01'::timestamptz + n * interval '1 s'
         from generate_series($from, $to) n",
    ),
    (
        "/console/campaigns",
        "insert into public.marketing_campaigns (name, slug) select 'x', lpad(n::text, 4, '0')
         from generate_series(1000 - $to, 1000 - $from) n",
    ),
    (
        "/console/messages",
        "insert into public.sms_messages (direction, from_number, to_number, body, created_at)
         select 'inbound', '+1555010' || lpad(n::text, 4, '0'), '+1', 'x', '2026-01-01'::timestamptz + n * interval '1 s'
         from generate_series($from, $to) n",
    ),
];

async fn fill(app: &TestApp, statement: &str, from: u32, to: u32) {
    app.execute(&statement.replace("$from", &from.to_string()).replace("$to", &to.to_string())).await;
}

#[tokio::test]
async fn lists_are_read_both_ways_while_rows_come() {
    for (path, statement) in LISTS {
        let app = TestApp::begin().await;
        fill(&app, statement, 1, 120).await;
        let mut browser = Browser::signed_in(&app.database.pool).await;
        let first = browser.get(path).await;
        assert!(!first.body.contains("Previous page") && !first.body.contains("First page"), "{path}");
        let second = browser.get(&first.link("Next page")).await;
        fill(&app, statement, 121, 125).await;
        let again = browser.get(&second.link("Previous page")).await;
        assert_eq!(again.rows(), first.rows(), "{path}");
        let newer = browser.get(&again.link("Previous page")).await;
        assert_eq!(newer.rows().len(), 5, "{path}: those that came meanwhile");
        assert!(!newer.body.contains("Previous page"), "{path}");
        let third = browser.get(&second.link("Next page")).await;
        assert_eq!((third.rows().len(), third.body.contains("Next page")), (20, false), "{path}");
        let back = browser.get(&third.link("Previous page")).await;
        assert_eq!(back.rows(), second.rows(), "{path}");
        let latest = browser.get(&third.link("First page")).await;
        assert_eq!(latest.rows()[..5], newer.rows()[..], "{path}");
    }
}
