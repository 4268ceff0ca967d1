//! `Idempotency-Key`: an act that is sent again, because nobody knows whether it was done, is done once.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::access::caller;
use super::{ApiState, BODY_LIMIT_BYTES, problem};
use crate::http::problem::Problem;
use crate::ops::idempotency::{self, Answer, Claim, Key};

/// What a request that may come again is named by.
const NAME: &str = "idempotency-key";
/// Says that an answer is one that was given before.
const REPLAYED: &str = "idempotent-replayed";
/// The longest key, in characters.
pub(super) const KEY_MAX_CHARS: usize = 255;
/// The largest answer that is kept, in bytes.
const ANSWER_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Lets an act with a key through once; repeats get the answer of the first.
pub(super) async fn keep(State(state): State<ApiState>, request: Request, next: Next) -> Response {
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
    match idempotency::claim(pool, &key, state.clock.now()).await? {
        Claim::Ours => {}
        Claim::Under => return Err(in_use()),
        Claim::Other => return Err(reused()),
        Claim::Answered(answer) => return Ok(again(answer)),
    }
    let request = Request::from_parts(parts, Body::from(body));
    let pool = pool.clone();
    // Who hangs up asks again, and wants to learn what became of it.
    #[expect(clippy::disallowed_methods, reason = "ends by itself, and whoever asked waits for it")]
    let acting = tokio::spawn(async move {
        let response = next.run(request).await;
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, ANSWER_MAX_BYTES).await.unwrap_or_default();
        let answer = Answer {
            status: i16::try_from(parts.status.as_u16()).unwrap_or_default(),
            content_type: text(&parts.headers, header::CONTENT_TYPE.as_str()).unwrap_or_default().to_owned(),
            body: body.to_vec(),
        };
        // What went wrong on our side may go well the next time.
        let kept = if parts.status.is_server_error() {
            idempotency::forget(&pool, &key).await
        } else {
            idempotency::answer(&pool, &key, &answer).await
        };
        if let Err(error) = kept {
            tracing::warn!(%error, "answer of an act not kept");
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
