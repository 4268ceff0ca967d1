//! With one way to sign in and without the other.

use axum::http::StatusCode;

use super::{ADA, Browser, NOW, Project, config};
use crate::support::database::TestDatabase;

#[tokio::test]
async fn the_console_is_there_without_an_admin_token() {
    let project = Project::open().await;
    let mut config = project.auth.config(config());
    config.admin_token = None;
    let mut browser = Browser::at(&project.database.pool, &config, NOW);
    let page = browser.get("/console/sign-in").await;
    page.assert_shows(&["E-mail address", "Send me a link"]);
    assert!(!page.body.contains("Admin token"), "{}", page.body);
    for guess in ["", "sb_publishable_for-tests", super::super::TOKEN] {
        let page = browser.sign_in(guess, None).await;
        page.assert_is(StatusCode::UNAUTHORIZED, "This is not the admin token");
    }
    browser.enter_as(ADA).await;
    browser.get("/console").await.assert_shows(&[ADA]);
}

#[tokio::test]
async fn links_are_offered_only_where_the_consoles_address_is_known() {
    let project = Project::open().await;
    let mut config = project.auth.config(config());
    config.console_url = None;
    let mut browser = Browser::at(&project.database.pool, &config, NOW);
    let page = browser.get("/console/sign-in").await;
    page.assert_shows(&["Password"]);
    assert!(!page.body.contains("Send me a link"));
    let page = browser.post("/console/sign-in/email", &[("email", ADA)]).await;
    assert_eq!((page.status, project.auth.mail().len()), (StatusCode::NOT_FOUND, 0));
}

#[tokio::test]
async fn without_the_project_its_pages_are_not_there() {
    let database = TestDatabase::migrated().await;
    let mut incomplete = config();
    incomplete.supabase_url = Some("https://x.supabase.co".to_owned());
    for config in [config(), incomplete] {
        let mut browser = Browser::at(&database.pool, &config, NOW);
        let page = browser.get("/console/sign-in").await;
        page.assert_shows(&["Admin token"]);
        assert!(!page.body.contains("E-mail address"));
        let fields = [("email", ADA), ("password", "x"), ("link", "x"), ("email_code", "x")];
        for path in ["password", "email", "email/link", "email/code"] {
            let page = browser.post(&format!("/console/sign-in/{path}"), &fields).await;
            assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
