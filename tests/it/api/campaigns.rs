//! Campaigns over HTTP.

use axum::http::StatusCode;
use serde_json::json;

use super::{get, pages, read};
use crate::support::api::assert_problem;
use crate::support::app::TestApp;

#[tokio::test]
async fn campaigns_are_listed_by_page_and_shown_with_their_leads() {
    let app = TestApp::begin().await;
    app.execute(
        "insert into public.marketing_campaigns (name, slug, status)
         values ('A', 'a', 'active'), ('B', 'b', 'draft'), ('C', 'c', 'active')",
    )
    .await;
    app.execute("insert into public.leads (email, utm_campaign) values ('ada@example.com', 'a')").await;
    assert_eq!(pages(&app, "/api/campaigns", 2, "campaigns", "slug").await, [vec!["a", "b"], vec!["c"]]);
    let active = pages(&app, "/api/campaigns?status=active", 9, "campaigns", "slug").await;
    assert_eq!(active, [["a", "c"]]);
    let counted = read(&app, "/api/campaigns?status=active&limit=1&count=true").await;
    assert_eq!(counted["count"], json!({"rows": 2, "is_capped": false}));
    let shown = read(&app, "/api/campaigns/a").await;
    assert_eq!(
        (&shown["name"], &shown["leads"], &shown["newest_leads"][0]["email"]),
        (&json!("A"), &json!(1), &json!("ada@example.com"))
    );
    let id = shown["id"].as_str().unwrap();
    assert_eq!(read(&app, &format!("/api/campaigns/{id}")).await["slug"], "a");

    assert_problem(&get(&app, "/api/campaigns?status=gone").await, StatusCode::BAD_REQUEST, "archived");
    assert_problem(&get(&app, "/api/campaigns?limit=0").await, StatusCode::BAD_REQUEST, "1 to 200");
    for nobody in ["z", "%00"] {
        let reply = get(&app, &format!("/api/campaigns/{nobody}")).await;
        assert_problem(&reply, StatusCode::NOT_FOUND, "no campaign");
    }
}
