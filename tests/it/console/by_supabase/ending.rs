//! How a session ends that was begun by Supabase.

use axum::http::StatusCode;
use serde_json::json;

use super::{ADA, Browser, NOW, Project, config};

#[tokio::test]
async fn whatever_ends_the_right_to_the_console_ends_the_session_with_the_next_request() {
    for end in [
        r#"update auth.users set raw_app_meta_data = '{"provider": "email"}'"#,
        r#"update auth.users set raw_app_meta_data = '{"role": "member"}'"#,
        "update auth.users set raw_app_meta_data = null",
        "update auth.users set banned_until = '2027-01-01'",
        "update auth.users set deleted_at = now()",
        "update auth.users set is_anonymous = true",
        "delete from auth.users",
        "delete from auth.sessions",
        "update auth.sessions set not_after = '2026-11-20 11:59Z'",
    ] {
        let project = Project::open().await;
        let mut browser = project.browser();
        browser.enter_as(ADA).await;
        assert_eq!(browser.get("/console/members").await.status, StatusCode::OK);
        project.execute(end).await;
        assert_eq!(browser.get("/console/members").await.status, StatusCode::SEE_OTHER, "{end}");
        assert_eq!(project.sessions().await, 0, "{end}");
    }
}

#[tokio::test]
async fn another_role_holds_from_the_next_request_on() {
    let project = Project::open().await;
    let mut browser = project.browser();
    browser.enter_as(ADA).await;
    for role in ["admin", "viewer", "operator"] {
        project
            .execute(&format!("update auth.users set raw_app_meta_data = '{{\"role\": \"{role}\"}}'"))
            .await;
        let expected = if role == "admin" { StatusCode::OK } else { StatusCode::FORBIDDEN };
        assert_eq!(browser.get("/console/audit").await.status, expected, "{role}");
        browser.get("/console").await.assert_shows(&[&format!("<small>({role})</small>")]);
    }
}

#[tokio::test]
async fn signing_out_everywhere_ends_the_users_sessions_and_nobody_elses() {
    let project = Project::open().await;
    project.auth.sign_up("omar@example.com", json!({"role": "viewer"})).await;
    let (mut here, mut there, mut other) = (project.browser(), project.browser(), project.browser());
    here.enter_as(ADA).await;
    there.enter_as(ADA).await;
    other.enter_as("omar@example.com").await;
    here.post("/console/sign-out/everywhere", &[]).await;
    for (browser, expected) in [
        (&mut here, StatusCode::SEE_OTHER),
        (&mut there, StatusCode::SEE_OTHER),
        (&mut other, StatusCode::OK),
    ] {
        assert_eq!(browser.get("/console").await.status, expected);
    }
}

#[tokio::test]
async fn a_process_without_the_project_or_with_another_key_knows_no_session_of_its_users() {
    let project = Project::open().await;
    let mut browser = project.browser();
    browser.enter_as(ADA).await;
    let mut without = Browser::at(&project.database.pool, &config(), NOW);
    without.cookie = browser.cookie.clone();
    assert_eq!(without.get("/console").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn nothing_that_signs_in_is_stored() {
    let project = Project::open().await;
    let mut browser = project.browser();
    browser.enter_as(ADA).await;
    let stored: String = sqlx::query_scalar("select s::text from ingest.console_sessions s")
        .fetch_one(&project.database.pool)
        .await
        .unwrap();
    let id = browser.cookie.unwrap().split_once('=').unwrap().1.to_owned();
    for secret in [id.as_str(), "eyJ", "v1-refresh", super::PASSWORD] {
        assert!(!stored.contains(secret), "{stored}");
    }
    assert!(
        stored.contains("viewer"),
        "a version that does not look roles up lets such a user read alone: {stored}"
    );
}
