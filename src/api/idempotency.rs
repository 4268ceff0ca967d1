//! `Idempotency-Key`: a request that is retried with the same key is executed once.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::access::caller;
use super::{ApiState, BODY_LIMIT_BYTES, problem};
use crate::http::problem::Problem;
use crate::ops::idempotency::{self, Answer, Key, KeyState};

/// The request header.
const NAME: &str = "idempotency-key";
/// The header of a replayed response.
const REPLAYED: &str = "idempotent-replayed";
/// The longest key, in characters.
pub(super) const KEY_MAX_CHARS: usize = 255;
/// The largest response that is stored, in bytes.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The header as the API's description shows it.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "read from the headers, before the handler")]
pub(super) struct KeyHeader {
    /// Names the act: sent again within 24 hours it is done once, and answered alike
    #[param(rename = "Idempotency-Key")]
    key: Option<String>,
}

/// Executes a request with a key once; retries get the stored response.
pub(super) async fn require_once(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST || !request.headers().contains_key(NAME) {
        return next.run(request).await;
    }
    match act_once(&state, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn act_once(state: &ApiState, request: Request, next: Next) -> Result<Response, Problem> {
    let name = key(request.headers())?;
    let actor = caller::actor(&request);
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT_BYTES).await.map_err(|_| problem::too_large())?;
    let request_hash = hash(&parts.method, parts.uri.path(), &body);
    let key = Key { actor, name, request_hash };
    let pool = state.store.pool();
    match idempotency::reserve(pool, &key, state.clock.now()).await? {
        KeyState::Reserved => {}
        KeyState::InProgress => return Err(in_use()),
        KeyState::Reused => return Err(reused()),
        KeyState::Answered(answer) => return Ok(again(answer)),
    }
    let request = Request::from_parts(parts, Body::from(body));
    let pool = pool.clone();
    // A client that disconnects retries with the same key, and must get this result.
    #[expect(clippy::disallowed_methods, reason = "ends by itself, and the request awaits it")]
    let acting = tokio::spawn(async move {
        let response = next.run(request).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, ANSWER_MAX_BYTES).await.unwrap_or_default();
        let answer = Answer {
            status: i16::try_from(parts.status.as_u16()).unwrap_or_default(),
            content_type: text(&parts.headers, header::CONTENT_TYPE.as_str()).unwrap_or_default().to_owned(),
            body: body.to_vec(),
        };
        // After a server error the client may retry with the same key.
        let stored = if parts.status.is_server_error() {
            idempotency::release(&pool, &key).await
        } else {
            idempotency::answer(&pool, &key, &answer).await
        };
        if let Err(error) = stored {
            tracing::warn!(%error, "response not stored for its idempotency key");
        }
        Response::from_parts(parts, Body::from(body))
    });
    acting.await.map_err(|_| Problem::internal())
}

fn key(headers: &HeaderMap) -> Result<String, Problem> {
    let key = text(headers, NAME).filter(|key| (1..=KEY_MAX_CHARS).contains(&key.len()));
    key.map(str::to_owned).ok_or_else(|| {
        problem::bad_request(format!("Idempotency-Key holds 1 to {KEY_MAX_CHARS} visible ASCII characters"))
    })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn hash(method: &Method, path: &str, body: &Bytes) -> Vec<u8> {
    Sha256::new().chain_update(format!("{method} {path}\n")).chain_update(body).finalize().to_vec()
}

fn again(answer: Answer) -> Response {
    let status = u16::try_from(answer.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let mut response = (status.unwrap_or(StatusCode::OK), answer.body).into_response();
    if let Ok(content_type) = HeaderValue::from_str(&answer.content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

fn in_use() -> Problem {
    let detail =
        "the same request is under way: wait some seconds and send it again with the same Idempotency-Key";
    Problem::new(StatusCode::CONFLICT, "idempotency-key-in-use", "Under way", detail)
}

fn reused() -> Problem {
    let detail =
        "another request was made with this Idempotency-Key within 24 hours: give each act a key of its own";
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "idempotency-key-reused",
        "Idempotency-Key of another request",
        detail,
    )
}
