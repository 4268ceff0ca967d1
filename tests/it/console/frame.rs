//! What holds for every page: headers, assets, forged requests, addresses that nothing has.

use axum::body::Body;
use axum::http::header::COOKIE;
use axum::http::{Method, Request, StatusCode};
use tower::ServiceExt as _;

use super::pages::{ADA, CAMPAIGN, TICKET, ada};
use super::{Browser, config};
use crate::support::app::NOW;
use crate::support::database::TestDatabase;

#[tokio::test]
async fn every_answer_forbids_what_no_page_needs() {
    let database = TestDatabase::migrated().await;
    let mut browser = Browser::signed_in(&database.pool).await;
    for path in [
        "/console",
        "/console/sign-in",
        "/console/nothing",
        "/console/sign-in/link?code=x",
        "/console/members",
    ] {
        let page = browser.get(path).await;
        assert_eq!(
            page.header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "no-referrer", "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        let inline = page
            .body
            .match_indices("<script")
            .filter(|(at, _)| !page.body[*at..].starts_with("<script src="));
        assert_eq!(inline.count(), 0, "{path}");
        for forbidden in ["<style", " style=", " onclick=", "javascript:"] {
            assert!(!page.body.contains(forbidden), "{path} has {forbidden}");
        }
    }
}

/// Where the addresses of the console are.
const ROUTES: &str = include_str!("../../../src/console/mod.rs");

/// Each address of [`ROUTES`], about Ada; the downloads, which are not written out there; and the one that ends sessions last.
fn addresses() -> Vec<String> {
    let (ada, ticket, campaign) = (ADA.to_string(), TICKET.to_string(), CAMPAIGN.to_string());
    let about = [
        ("{user_id}", ada.as_str()),
        ("{ticket}", &ticket),
        ("{campaign}", &campaign),
        ("{job}", "1"),
        ("{number}", "%2B15550100001"),
        ("{source}/{event_id}/body", "stripe/evt_2/body"),
        ("{source}/{event_id}/fixture", "stripe/evt_2/fixture"),
        ("{source}/{event_id}", "stripe/evt_2?body=true"),
        ("{*rest}", "nothing"),
        ("/console/live", "/console/live?tables=support_tickets"),
        ("/revenue/movements", "/revenue/movements?currency=usd&month=2026-01&kind=new"),
    ];
    let routes = ROUTES.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let pages = routes.filter(|route| !route.ends_with("/{name}")).map(|route| {
        about.iter().fold(route.to_owned(), |address, (name, value)| address.replace(name, value))
    });
    let downloads = ["members.csv", "events.json", "tickets.csv", "audit.json"];
    let mut addresses: Vec<String> = pages.chain(downloads.map(|file| format!("/console/{file}"))).collect();
    addresses.sort_by_key(|address| address.contains("sign-out"));
    addresses
}

#[tokio::test]
async fn no_cache_may_store_an_answer_of_any_route() {
    let app = ada().await;
    let browser = Browser::signed_in(&app.database.pool).await;
    let addresses = addresses();
    assert!(addresses.len() > 30 && !addresses.iter().any(|it| it.contains('{')), "{addresses:#?}");
    let mut read = 0;
    for method in [Method::GET, Method::POST] {
        for address in &addresses {
            let request = Request::builder()
                .method(&method)
                .uri(address)
                .header(COOKIE, browser.cookie.as_deref().unwrap())
                .header("content-type", "application/x-www-form-urlencoded")
                .header("sec-fetch-site", "same-origin");
            // The headers alone: a stream does not end.
            let answer = browser.pages.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.headers()["cache-control"], "no-store", "{method} {address}");
            read += usize::from(method == Method::GET && answer.status() == StatusCode::OK);
        }
    }
    assert!(read >= 22, "only {read} pages were read, the others refused");
}

#[tokio::test]
async fn assets_are_kept_for_ever_under_names_that_change_with_them() {
    let database = TestDatabase::migrated().await;
    let mut browser = Browser::at(&database.pool, &config(), NOW);
    let page = browser.get("/console/sign-in").await;
    let assets: Vec<&str> =
        page.body.split('"').filter(|text| text.starts_with("/console/assets/")).collect();
    assert_eq!(assets.len(), 4, "{assets:?}");
    for path in assets {
        let asset = browser.get(path).await;
        assert_eq!(asset.status, StatusCode::OK, "{path}");
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
        let kind = match path.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            _ => "text/javascript; charset=utf-8",
        };
        assert_eq!(asset.header("content-type"), kind);
        assert!(!asset.body.is_empty());
    }
    browser
        .get("/console/assets/console-0000.css")
        .await
        .assert_is(StatusCode::NOT_FOUND, "nothing at this address");
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let database = TestDatabase::migrated().await;
    let mut browser = Browser::signed_in(&database.pool).await;
    for site in ["cross-site", "same-site", "none"] {
        let answer = browser.post_from(site, "/console/sign-out", &[]).await;
        answer.assert_is(StatusCode::FORBIDDEN, "did not come from a page of the console");
    }
    let old_browser = |origin: &str| {
        let request =
            Request::builder().method(Method::POST).uri("/console/sign-out").header("host", "crm.example");
        request.header("origin", origin)
    };
    for origin in ["https://evil.example", "null", ""] {
        let answer = browser.send(old_browser(origin), Body::empty()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{origin}");
    }
    assert_eq!(browser.get("/console").await.status, StatusCode::OK, "still signed in");
    let own = browser.send(old_browser("https://crm.example"), Body::empty()).await;
    assert_eq!(own.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_unknown_address_is_a_page_for_those_signed_in_and_a_way_to_sign_in_for_others() {
    let database = TestDatabase::migrated().await;
    let mut browser = Browser::signed_in(&database.pool).await;
    browser.get("/console/nothing/here").await.assert_is(StatusCode::NOT_FOUND, "nothing at this address");
    browser.cookie = None;
    assert_eq!(browser.get("/console/nothing/here").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn script_with_ended_session_is_sent_to_sign_in() {
    let database = TestDatabase::migrated().await;
    let mut browser = Browser::at(&database.pool, &config(), NOW);
    let request = Request::builder().uri("/console/members?tier=Pro").header("hx-request", "true");
    let answer = browser.send(request, Body::empty()).await;
    assert_eq!(answer.header("hx-redirect"), "/console/sign-in?next=%2Fconsole%2Fmembers%3Ftier%3DPro");
    assert_eq!(answer.body, "");
}
