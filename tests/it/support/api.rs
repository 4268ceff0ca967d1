//! The API without a socket: requests to its routes, and what they answer.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use memberflow::api::{ApiState, routes};
use memberflow::clock::Clock;
use memberflow::ops::doctor::Doctor;
use memberflow::store::{Store, StoreSettings};
use secrecy::SecretString;
use serde_json::Value;
use sqlx::PgPool;
use time::OffsetDateTime;
use tower::ServiceExt as _;

/// What the API wants to see.
pub const TOKEN: &str = "a-long-random-token";

/// The API on `pool` with the clock at `now`; off without a token.
pub fn api_at(pool: &PgPool, token: Option<&str>, now: OffsetDateTime) -> Router {
    let admin_token = token.map(|token| SecretString::from(token.to_owned()));
    let config = super::config(String::new());
    let store = Store::new(pool.clone(), Clock::fixed(now), StoreSettings::new(&config));
    routes(ApiState { store, clock: Clock::fixed(now), admin_token, doctor: Arc::new(Doctor::new(&config)) })
}

pub struct Reply {
    pub status: StatusCode,
    pub content_type: String,
    pub challenge: Option<String>,
    pub cache_control: Option<String>,
    pub body: Value,
}

pub async fn send(api: &Router, request: Request<Body>) -> Reply {
    let response = api.clone().oneshot(request).await.unwrap();
    let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let content_type = header(header::CONTENT_TYPE).unwrap_or_default();
    let challenge = header(header::WWW_AUTHENTICATE);
    let cache_control = header(header::CACHE_CONTROL);
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Reply { status, content_type, challenge, cache_control, body }
}

pub fn request(method: Method, path: &str, body: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

pub fn assert_problem(reply: &Reply, status: StatusCode, says: &str) {
    assert_eq!(reply.status, status, "{}", reply.body);
    assert_eq!(reply.content_type, "application/problem+json");
    assert_eq!(reply.body["status"], status.as_u16());
    assert!(reply.body["type"].as_str().is_some_and(|kind| !kind.is_empty()), "{}", reply.body);
    let help = reply.body["help"].as_str().unwrap();
    assert_eq!(reply.body["type"], help.replace("/problems/", "urn:memberflow:problem:"));
    let detail = reply.body["detail"].as_str().unwrap();
    assert!(detail.contains(says), "{detail:?} does not say {says:?}");
}
