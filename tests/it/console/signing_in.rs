//! Signing in and out: by token, by link, and by nothing else.

use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use memberflow::config::console_roles::ConsoleRole;
use memberflow::console::session::Session;
use memberflow::console::signing_in::links;
use memberflow::telemetry;
use secrecy::SecretString;
use time::Duration;

use super::{Browser, TOKEN, config};
use crate::support::app::NOW;
use crate::support::database::TestDatabase;

#[tokio::test]
async fn the_token_opens_the_console_and_signing_out_closes_it() {
    let database = TestDatabase::migrated().await;
    let mut browser = Browser::at(&database.pool, &config(), NOW);
    let closed = browser.get("/console/members?status=active&text=a%20b").await;
    assert_eq!(closed.status, StatusCode::SEE_OTHER);
    let next = "/console/sign-in?next=%2Fconsole%2Fmembers%3Fstatus%3Dactive%26text%3Da%2520b";
    assert_eq!(closed.location(), next);
    browser.get(next).await.assert_shows(&["value=\"/console/members?status=active&#38;text=a%20b\""]);

    let opened = browser.sign_in(TOKEN, Some("/console/members?status=active")).await;
    assert_eq!((opened.status, opened.location()), (StatusCode::SEE_OTHER, "/console/members?status=active"));
    browser.get("/console").await.assert_shows(&["Overview", "console <small>(admin)</small>"]);

    let stolen = browser.cookie.clone();
    let out = browser.post("/console/sign-out", &[]).await;
    assert_eq!((out.status, out.location()), (StatusCode::SEE_OTHER, "/console/sign-in"));
    assert_eq!(browser.cookie, None);
    browser.cookie = stolen;
    assert_eq!(browser.get("/console").await.status, StatusCode::SEE_OTHER, "ended everywhere");
}

#[tokio::test]
async fn signing_out_everywhere_ends_the_sessions_of_the_same_person_alone() {
    let database = TestDatabase::migrated().await;
    let mut here = Browser::signed_in(&database.pool).await;
    let mut there = Browser::signed_in(&database.pool).await;
    let mut other = Browser::with_role(&database.pool, "ada", ConsoleRole::Operator).await;
    here.get("/console").await.assert_shows(&["formaction=\"/console/sign-out/everywhere\""]);
    let foreign = here.post_from("cross-site", "/console/sign-out/everywhere", &[]).await;
    assert_eq!(foreign.status, StatusCode::FORBIDDEN);
    let out = here.post("/console/sign-out/everywhere", &[]).await;
    assert_eq!((out.status, out.location()), (StatusCode::SEE_OTHER, "/console/sign-in"));
    assert_eq!(here.cookie, None);
    assert_eq!(there.get("/console").await.status, StatusCode::SEE_OTHER);
    assert_eq!(other.get("/console").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
    let database = TestDatabase::migrated().await;
    for (public, console, secure) in [
        ("https://crm.example", None, "; Secure"),
        ("http://crm.example", None, ""),
        ("http://hooks.example", Some("https://crm.example"), "; Secure"),
        ("https://hooks.example", Some("http://crm.example"), ""),
    ] {
        let mut config = config();
        config.public_url = Some(public.to_owned());
        config.console_url = console.map(str::to_owned);
        let answer = Browser::at(&database.pool, &config, NOW).sign_in(TOKEN, None).await;
        let cookie = answer.header(SET_COOKIE);
        let attributes = format!("; Path=/console; HttpOnly; SameSite=Strict{secure}");
        assert!(cookie.starts_with("memberflow_console=") && cookie.ends_with(&attributes), "{cookie}");
    }
}

#[tokio::test]
async fn the_id_is_new_at_each_sign_in_and_never_stored() {
    let database = TestDatabase::migrated().await;
    let mut browser = Browser::at(&database.pool, &config(), NOW);
    browser.cookie = Some("memberflow_console=chosen-by-somebody-else".to_owned());
    browser.sign_in(TOKEN, None).await;
    let first = browser.cookie.clone().unwrap();
    assert_ne!(first, "memberflow_console=chosen-by-somebody-else");

    browser.sign_in(TOKEN, None).await;
    let second = browser.cookie.clone().unwrap();
    assert_ne!(first, second);
    for (cookie, status) in [(first, StatusCode::SEE_OTHER), (second.clone(), StatusCode::OK)] {
        browser.cookie = Some(cookie);
        assert_eq!(browser.get("/console").await.status, status);
    }
    let id = second.split_once('=').unwrap().1;
    let stored: Vec<String> = sqlx::query_scalar("select s::text from ingest.console_sessions s")
        .fetch_all(&database.pool)
        .await
        .unwrap();
    assert_eq!(stored.len(), 1);
    assert!(!stored[0].contains(id) && !stored[0].contains(&hex::encode(id)), "{stored:?}");
}

#[tokio::test]
async fn foreign_expired_and_idle_sessions_and_those_of_another_token_open_nothing() {
    let database = TestDatabase::migrated().await;
    let browser = Browser::signed_in(&database.pool).await;
    let cookie = browser.cookie.clone().unwrap();
    let later = |duration| Browser::at(&database.pool, &config(), NOW + duration);
    let mut other_token = config();
    other_token.admin_token = Some("another-long-token".into());
    for (mut browser, cookie, status) in [
        (later(Duration::minutes(119)), cookie.as_str(), StatusCode::OK),
        (later(Duration::minutes(238)), &cookie, StatusCode::OK),
        (later(Duration::minutes(359)), &cookie, StatusCode::SEE_OTHER),
        (later(Duration::hours(12)), &cookie, StatusCode::SEE_OTHER),
        (Browser::at(&database.pool, &other_token, NOW), &cookie, StatusCode::SEE_OTHER),
        (later(Duration::ZERO), "memberflow_console=", StatusCode::SEE_OTHER),
        (later(Duration::ZERO), "memberflow_console=0123456789abcdef", StatusCode::SEE_OTHER),
        (later(Duration::ZERO), "memberflow_console='; drop table x; --", StatusCode::SEE_OTHER),
    ] {
        browser.cookie = Some(cookie.to_owned());
        assert_eq!(browser.get("/console").await.status, status, "{cookie}");
    }
}

#[tokio::test]
async fn use_does_not_make_a_session_last_beyond_its_end() {
    let database = TestDatabase::migrated().await;
    let cookie = Browser::signed_in(&database.pool).await.cookie;
    for hour in 1..=12 {
        let mut browser = Browser::at(&database.pool, &config(), NOW + Duration::hours(hour));
        browser.cookie = cookie.clone();
        let expected = if hour < 12 { StatusCode::OK } else { StatusCode::SEE_OTHER };
        assert_eq!(browser.get("/console").await.status, expected, "after {hour} h");
    }
}

#[tokio::test]
async fn wrong_tokens_wait_for_their_answers_and_are_counted() {
    let metrics = telemetry::metrics().unwrap();
    let database = TestDatabase::migrated().await;
    let begun = std::time::Instant::now();
    let mut one = Browser::at(&database.pool, &config(), NOW);
    let pages = one.pages.clone();
    let attempts = (0..25).map(|_| {
        let mut browser = Browser::of(pages.clone());
        async move { browser.sign_in("a-guess", None).await }
    });
    for answer in futures_util::future::join_all(attempts).await {
        answer.assert_is(StatusCode::UNAUTHORIZED, "This is not the admin token");
        assert_eq!(answer.header(SET_COOKIE), "");
    }
    assert!(begun.elapsed().as_secs_f64() > 1.0, "{:?}", begun.elapsed());
    let counted = "memberflow_api_rejected_total{reason=\"console-token-wrong\"}";
    assert!(metrics.render().contains(counted));
    assert_eq!(
        one.sign_in(TOKEN, None).await.status,
        StatusCode::SEE_OTHER,
        "the right one waits for nobody"
    );
}

#[tokio::test]
async fn signing_in_leads_to_no_other_site() {
    let database = TestDatabase::migrated().await;
    let mut browser = Browser::at(&database.pool, &config(), NOW);
    for next in [
        "https://evil.example",
        "//evil.example",
        "/console.evil.example",
        "/api/members",
        "/console/..//evil",
    ] {
        let asked = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
        let page = browser.get(&format!("/console/sign-in?{asked}")).await;
        page.assert_shows(&["name=\"next\" value=\"/console\""]);
        assert_eq!(browser.sign_in(TOKEN, Some(next)).await.location(), "/console", "{next}");
    }
}

#[tokio::test]
async fn a_link_signs_in_once_and_looking_at_it_uses_nothing_up() {
    let database = TestDatabase::migrated().await;
    let key = SecretString::from(TOKEN);
    let person = Session { actor: "ada".to_owned(), role: ConsoleRole::Operator };
    let code = links::make(&database.pool, &key, &person, NOW).await.unwrap();
    let mut browser = Browser::at(&database.pool, &config(), NOW);
    for _ in 0..3 {
        browser.get(&links::path(&code)).await.assert_shows(&["The link works once.", &code]);
    }
    let redeemed = browser.post("/console/sign-in/link", &[("code", &code)]).await;
    assert_eq!((redeemed.status, redeemed.location()), (StatusCode::SEE_OTHER, "/console"));
    browser.get("/console").await.assert_shows(&["ada <small>(operator)</small>"]);

    let mut other = Browser::at(&database.pool, &config(), NOW);
    let again = other.post("/console/sign-in/link", &[("code", &code)]).await;
    again.assert_is(StatusCode::UNAUTHORIZED, "used already");
    assert_eq!(other.cookie, None);

    let late = links::make(&database.pool, &key, &person, NOW - links::LASTS).await.unwrap();
    let late = other.post("/console/sign-in/link", &[("code", &late)]).await;
    late.assert_is(StatusCode::UNAUTHORIZED, "older than 15 minutes");
    let stored: Vec<String> = sqlx::query_scalar("select l::text from ingest.console_links l")
        .fetch_all(&database.pool)
        .await
        .unwrap();
    assert!(stored.iter().all(|row| !row.contains(&code)), "{stored:?}");
}

#[tokio::test]
async fn without_a_token_and_without_supabase_there_is_no_console() {
    let database = TestDatabase::migrated().await;
    for token in [None, Some("")] {
        let mut config = config();
        config.admin_token = token.map(Into::into);
        let mut browser = Browser::at(&database.pool, &config, NOW);
        for path in ["/console", "/console/sign-in", "/console/members"] {
            assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
        }
    }
}
