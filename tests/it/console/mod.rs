//! The console as a browser without scripts sees it: requests to its routes, and the pages that come back.

mod acts;
mod by_supabase;
pub mod escaping;
mod event;
mod event_search;
pub mod events;
mod frame;
mod jobs;
mod lists;
mod live;
pub mod member;
mod messages;
mod overview;
pub mod pages;
mod paging;
mod parked;
mod revenue;
mod roles;
mod signing_in;
mod throughput;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use axum::http::request::Builder;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::config::console_roles::ConsoleRole;
use memberflow::console;
use memberflow::console::session::Session;
use memberflow::console::signing_in::links;
use memberflow::lifecycle::Lifecycle;
use memberflow::store::{Store, StoreSettings};
use sqlx::PgPool;
use time::OffsetDateTime;
use tower::ServiceExt as _;

use crate::support::app::NOW;

const TOKEN: &str = "a-long-random-token";

/// Somebody in front of the console.
struct Browser {
    pages: Router,
    cookie: Option<String>,
    /// What links in e-mails work together with.
    link_cookie: Option<String>,
}

/// What came back.
struct Page {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Page {
    fn header(&self, name: impl axum::http::header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn location(&self) -> &str {
        self.header(LOCATION)
    }

    /// Where the link with this text leads.
    fn link(&self, text: &str) -> String {
        let before = self.body.split(&format!(">{text}</a>")).next().unwrap();
        let href = before.rsplit("href=\"").next().unwrap().split('"').next().unwrap();
        href.replace("&#38;", "&")
    }

    /// The names of the list's rows.
    fn rows(&self) -> Vec<&str> {
        self.body.split("data-row=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
    }

    /// Checks that the page came and says all of `texts`.
    #[track_caller]
    fn assert_shows(&self, texts: &[&str]) {
        assert_eq!(self.status, StatusCode::OK, "{}", self.body);
        self.assert_says(texts);
    }

    #[track_caller]
    fn assert_says(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.body.contains(text), "{text:?} is missing:\n{}", self.body);
        }
    }

    #[track_caller]
    fn assert_is(&self, status: StatusCode, text: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        self.assert_says(&[text]);
    }
}

fn config() -> Config {
    let mut config = crate::support::config(String::new());
    config.admin_token = Some(TOKEN.into());
    config
}

/// The page at `path`, as an admin reads it.
pub async fn read(pool: &PgPool, path: &str) -> String {
    let page = Browser::signed_in(pool).await.get(path).await;
    assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
    page.body
}

impl Browser {
    /// Not signed in, at `now`.
    fn at(pool: &PgPool, config: &Config, now: OffsetDateTime) -> Self {
        let store = Store::new(pool.clone(), Clock::fixed(now), StoreSettings::new(config));
        Self::of(console::routes(store, Clock::fixed(now), config, &Lifecycle::default()))
    }

    /// Without a cookie.
    fn of(pages: Router) -> Self {
        Self { pages, cookie: None, link_cookie: None }
    }

    /// Signed in with this role, by a link.
    async fn with_role(pool: &PgPool, actor: &str, role: ConsoleRole) -> Self {
        let session = Session { actor: actor.to_owned(), role };
        let code = links::make(pool, &TOKEN.into(), &session, NOW).await.unwrap();
        let mut browser = Self::at(pool, &config(), NOW);
        let answer = browser.post("/console/sign-in/link", &[("code", &code)]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        browser
    }

    /// Signed in.
    async fn signed_in(pool: &PgPool) -> Self {
        let mut browser = Self::at(pool, &config(), NOW);
        let answer = browser.sign_in(TOKEN, None).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        browser
    }

    async fn sign_in(&mut self, token: &str, next: Option<&str>) -> Page {
        let next = next.map(|next| ("next", next));
        let fields: Vec<(&str, &str)> = [("token", token)].into_iter().chain(next).collect();
        self.post("/console/sign-in", &fields).await
    }

    async fn get(&mut self, path: &str) -> Page {
        self.send(Request::builder().uri(path), Body::empty()).await
    }

    /// Submits a form of a page of the console.
    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_from("same-origin", path, fields).await
    }

    /// Submits a form of a page that is elsewhere.
    async fn post_from(&mut self, site: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", site);
        self.send(request, Body::from(body)).await
    }

    /// Sends the cookies that it has, and keeps those that it is given.
    async fn send(&mut self, request: Builder, body: Body) -> Page {
        let cookies = [Some("a=b"), self.cookie.as_deref(), self.link_cookie.as_deref()];
        let cookies: Vec<&str> = cookies.into_iter().flatten().collect();
        let request = request.header(COOKIE, cookies.join("; "));
        let response = self.pages.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), 4 << 20).await.unwrap();
        for cookie in headers.get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let kept = (!pair.ends_with('=')).then(|| pair.to_owned());
            let place = if pair.starts_with("memberflow_console_link=") {
                &mut self.link_cookie
            } else {
                &mut self.cookie
            };
            *place = kept;
        }
        Page { status, headers, body: String::from_utf8(bytes.into()).unwrap() }
    }
}
