//! By password: who gets in, as what, and what the others are answered.

use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use memberflow::telemetry;
use serde_json::{Value, json};

use super::{ADA, Browser, EVE, NOW, Project, config};
use crate::support::auth_server::{APP_CODE, PASSWORD};

#[tokio::test]
async fn a_password_opens_the_console_with_the_users_role_and_acts_bear_the_users_name() {
    let project = Project::open().await;
    for (email, metadata, role) in [
        ("vera@example.com", json!({"role": "viewer"}), "viewer"),
        ("omar@example.com", json!({"roles": ["viewer", "operator"]}), "operator"),
        ("anna@example.com", json!({"role": "admin"}), "admin"),
    ] {
        let id = project.auth.sign_up(email, metadata).await;
        let mut browser = project.browser();
        browser.enter_as(&format!(" {} ", email.to_uppercase())).await;
        let actor = format!("{email} ({id})");
        browser.get("/console").await.assert_shows(&[&format!("{actor} <small>({role})</small>")]);
        browser.get("/console/members.csv").await;
        let noted: Vec<String> =
            sqlx::query_scalar("select actor from ingest.audit_log order by id desc limit 1")
                .fetch_all(&project.database.pool)
                .await
                .unwrap();
        assert_eq!(noted, [actor]);
    }
}

#[tokio::test]
async fn wrong_passwords_strangers_and_members_get_one_answer() {
    let project = Project::open().await;
    let mut answers = Vec::new();
    for (email, password) in [
        (ADA, "a guess"),
        (EVE, PASSWORD),
        (EVE, "a guess"),
        ("nobody@example.com", PASSWORD),
        ("nonsense", "x"),
    ] {
        let mut browser = project.browser();
        let page = browser.sign_in_as(email, password).await;
        page.assert_is(
            StatusCode::UNAUTHORIZED,
            "That is not right, or not somebody who may use the console.",
        );
        assert_eq!(page.header(SET_COOKIE), "", "{email}");
        project.assert_nobody_is_in(&mut browser, email).await;
        answers.push(page.body);
    }
    assert!(answers.iter().all(|body| *body == answers[0]), "{answers:#?}");
    assert_eq!(project.auth.asked("/token"), 1, "the console is no place to try members' passwords at");
}

#[tokio::test]
async fn roles_come_from_the_applications_table_where_the_settings_say_so() {
    let project = Project::open().await;
    let eve = project.auth.sign_up("chief@example.com", json!({})).await;
    project.execute("create table public.user_accounts (user_id uuid primary key, role text)").await;
    project.execute(&format!("insert into public.user_accounts values ('{eve}', 'super_admin')")).await;
    let mut config = project.auth.config(config());
    config.console_roles = "public.user_accounts:user_id:role:super_admin=admin".parse().unwrap();
    let browser = || Browser::at(&project.database.pool, &config, NOW);

    let mut chief = browser();
    chief.enter_as("chief@example.com").await;
    chief.get("/console/audit").await.assert_shows(&["<small>(admin)</small>"]);
    let ada = browser().sign_in_as(ADA, PASSWORD).await;
    assert_eq!(ada.status, StatusCode::UNAUTHORIZED, "app_metadata is not asked then");

    project.execute("update public.user_accounts set role = 'member'").await;
    assert_eq!(chief.get("/console").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn who_has_an_authenticator_app_needs_its_code() {
    let project = Project::open().await;
    project.auth.has_factor(ADA, "totp", "verified");
    let mut browser = project.browser();
    let without = browser.sign_in_as(ADA, PASSWORD).await;
    without.assert_is(StatusCode::UNAUTHORIZED, "with the code of your authenticator app");
    let with = |code: &'static str| [("email", ADA), ("password", PASSWORD), ("code", code)];
    let wrong = browser.post("/console/sign-in/password", &with("000000")).await;
    wrong.assert_is(StatusCode::UNAUTHORIZED, "That is not right");
    project.assert_nobody_is_in(&mut browser, "a wrong code").await;
    let right = browser.post("/console/sign-in/password", &with(APP_CODE)).await;
    assert_eq!(right.status, StatusCode::SEE_OTHER, "{}", right.body);
}

#[tokio::test]
async fn a_second_factor_that_cannot_be_used_here_lets_nobody_past_it() {
    let project = Project::open().await;
    project.auth.has_factor(ADA, "webauthn", "verified");
    let mut browser = project.browser();
    browser.sign_in_as(ADA, PASSWORD).await.assert_is(StatusCode::UNAUTHORIZED, "That is not right");
    project.assert_nobody_is_in(&mut browser, "webauthn").await;

    let other = Project::open().await;
    other.auth.has_factor(ADA, "totp", "unverified");
    other.browser().enter_as(ADA).await;
}

#[tokio::test]
async fn a_password_can_be_tried_ten_times_and_each_try_is_counted() {
    let metrics = telemetry::metrics().unwrap();
    let project = Project::open().await;
    project.auth.sign_up("omar@example.com", json!({"role": "viewer"})).await;
    let mut browser = project.browser();
    for _ in 0..10 {
        browser.sign_in_as(ADA, "a guess").await.assert_is(StatusCode::UNAUTHORIZED, "That is not right");
    }
    for password in ["a guess", PASSWORD] {
        let page = browser.sign_in_as(&ADA.to_uppercase(), password).await;
        page.assert_is(StatusCode::UNAUTHORIZED, "After ten attempts at an address, wait");
    }
    assert_eq!(project.auth.asked("/token"), 10);
    project.assert_nobody_is_in(&mut browser, "after ten tries").await;
    browser.enter_as("omar@example.com").await;
    for reason in ["console-password-wrong", "console-attempts"] {
        let counted = format!("memberflow_api_rejected_total{{reason=\"{reason}\"}}");
        assert!(metrics.render().contains(&counted), "{counted}");
    }
}

#[tokio::test]
async fn silent_auth_api_differs_from_a_wrong_password() {
    let project = Project::open().await;
    for (status, body, expected, says) in [
        (
            500,
            json!({"code": 500, "msg": "Database error"}),
            StatusCode::SERVICE_UNAVAILABLE,
            "Supabase does not answer",
        ),
        (
            401,
            json!({"message": "Invalid API key"}),
            StatusCode::SERVICE_UNAVAILABLE,
            "Supabase does not answer",
        ),
        (200, json!({"hello": "world"}), StatusCode::SERVICE_UNAVAILABLE, "Supabase does not answer"),
        (200, json!("x".repeat(300_000)), StatusCode::SERVICE_UNAVAILABLE, "Supabase does not answer"),
        (
            429,
            json!({"code": 429, "error_code": "over_request_rate_limit", "msg": "slow down"}),
            StatusCode::TOO_MANY_REQUESTS,
            "takes no more attempts",
        ),
        (302, Value::Null, StatusCode::SERVICE_UNAVAILABLE, "Supabase does not answer"),
    ] {
        project.auth.answers(status, body);
        let mut browser = project.browser();
        browser.sign_in_as(ADA, PASSWORD).await.assert_is(expected, says);
        project.assert_nobody_is_in(&mut browser, says).await;
    }
}

#[tokio::test]
async fn signing_in_takes_the_place_of_a_planted_session_and_leads_to_no_other_site() {
    let project = Project::open().await;
    let mut browser = project.browser();
    let planted = "memberflow_console=planted-by-somebody-else";
    browser.cookie = Some(planted.to_owned());
    browser.enter_as(ADA).await;
    assert_ne!(browser.cookie.as_deref(), Some(planted));
    for (next, expected) in [
        ("/console/members?text=a%20b", "/console/members?text=a%20b"),
        ("https://evil.example", "/console"),
        ("//evil.example/console", "/console"),
        ("/console/x\r\nSet-Cookie: a=b", "/console"),
        ("/console\\@evil.example", "/console"),
    ] {
        let mut browser = project.browser();
        let fields = [("email", ADA), ("password", PASSWORD), ("next", next)];
        let page = browser.post("/console/sign-in/password", &fields).await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, expected), "{next:?}");
        assert_eq!(page.headers.get_all(SET_COOKIE).iter().count(), 1, "{next:?}");
    }
}

#[tokio::test]
async fn another_site_signs_nobody_in() {
    let project = Project::open().await;
    let mut browser = project.browser();
    for path in ["password", "email", "email/link", "email/code"] {
        let fields = [("email", ADA), ("password", PASSWORD), ("link", "x"), ("email_code", "x")];
        let page = browser.post_from("cross-site", &format!("/console/sign-in/{path}"), &fields).await;
        page.assert_is(StatusCode::FORBIDDEN, "did not come from a page of the console");
    }
    project.assert_nobody_is_in(&mut browser, "from another site").await;
    assert_eq!(project.auth.asked("/token") + project.auth.asked("/otp"), 0);
}

#[tokio::test]
async fn what_is_typed_reaches_no_header_and_no_page_as_markup() {
    let project = Project::open().await;
    let mut browser = project.browser();
    for text in ["a@b\r\nSet-Cookie: memberflow_console=x", "<script>alert(1)</script>@b", "a@b\0c"] {
        for (path, fields) in [
            ("/console/sign-in/password", [("email", text), ("password", text)]),
            ("/console/sign-in/email", [("email", text), ("next", text)]),
            ("/console/sign-in/email/code", [("email", text), ("email_code", text)]),
        ] {
            let page = browser.post(path, &fields).await;
            assert!(
                matches!(page.status, StatusCode::UNAUTHORIZED | StatusCode::OK),
                "{path}: {}",
                page.body
            );
            assert!(!page.body.contains("<script>alert"), "{}", page.body);
            assert_eq!(browser.cookie, None);
            assert_eq!(page.header("cache-control"), "no-store");
        }
    }
}
