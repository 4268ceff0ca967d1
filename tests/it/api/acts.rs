//! The audit log over HTTP.

use axum::http::StatusCode;
use serde_json::json;

use super::{get, pages, read};
use crate::support::api::assert_problem;
use crate::support::app::TestApp;

#[tokio::test]
async fn acts_are_listed_newest_first_by_page_and_filter() {
    let app = TestApp::begin().await;
    app.execute(
        "insert into ingest.audit_log (at, actor, act, arguments, outcome)
         select '2026-11-01'::timestamptz + n / 2 * interval '1 day', case when n < 3 then 'ada@crm-1' else 'api' end,
                case when n % 2 = 0 then 'rebuild' else 'prune' end, '{\"n\": 1}', '{}'
         from generate_series(1, 5) n",
    )
    .await;
    let all = pages(&app, "/api/audit", 2, "acts", "id").await;
    assert_eq!(all, [vec!["5", "4"], vec!["3", "2"], vec!["1"]]);
    for (query, expected) in [
        ("actor=api", vec!["5", "4", "3"]),
        ("act=rebuild", vec!["4", "2"]),
        ("actor=api&act=rebuild", vec!["4"]),
        ("since=2026-11-03", vec!["5", "4"]),
        ("until=2026-11-02", vec!["1"]),
        ("actor=ada", vec![]),
    ] {
        assert_eq!(pages(&app, &format!("/api/audit?{query}"), 9, "acts", "id").await, [expected], "{query}");
    }
    let acts = read(&app, "/api/audit?limit=1").await;
    assert_eq!(acts.get("count"), None, "counted only where that is asked for");
    let counted = read(&app, "/api/audit?limit=1&count=true&actor=api").await;
    assert_eq!(counted["count"], json!({"rows": 3, "is_capped": false}));
    app.execute(
        "insert into ingest.audit_log (at, actor, act, arguments, outcome)
         select now(), 'many', 'x', '{}', '{}' from generate_series(1, 10001) n",
    )
    .await;
    let counted = read(&app, "/api/audit?limit=1&count=true&actor=many").await;
    assert_eq!(counted["count"], json!({"rows": 10_000, "is_capped": true}));
    assert_eq!(acts["acts"][0]["arguments"], json!({"n": 1}));
    assert_problem(&get(&app, "/api/audit?who=x").await, StatusCode::BAD_REQUEST, "who");
    assert_problem(&get(&app, "/api/audit?cursor=x").await, StatusCode::BAD_REQUEST, "invalid cursor");
}
