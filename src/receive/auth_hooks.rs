//! `POST /webhooks/supabase/auth`: Auth Hooks.
//!
//! A hook blocks a login, which fails unless the hook is answered correctly and in time. So a verified hook
//! always gets the neutral answer of its kind, even if its event cannot be stored or the call has no
//! `metadata` to make an event of; reconciliation finds such logins later.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;
use tokio::time::Instant;

use super::enqueue::json_response;
use super::{Arrival, Endpoints, header};
use crate::envelope::hook::{SENDING_HOOKS, TOKEN_HOOK, USER_HOOKS, VERIFICATION_HOOKS};
use crate::envelope::parse::HookKind;
use crate::envelope::{Malformed, Source, parse};
use crate::http::problem::Problem;
use crate::verify::standard_webhooks;

/// From the arrival of the headers to the answer; well below 1.5 s.
const ANSWER_WITHIN: Duration = Duration::from_millis(1200);

pub(super) async fn post(State(endpoints): State<Endpoints>, request: Request) -> Response {
    let arrival = Arrival::of(Source::SupabaseAuth, &request);
    let deadline = arrival.at + ANSWER_WITHIN;
    endpoints.answer(arrival, handle(&endpoints, request, deadline).await).await
}

async fn handle(endpoints: &Endpoints, request: Request, deadline: Instant) -> Result<Response, Problem> {
    let secrets = endpoints.hook_secrets()?;
    let delivery = endpoints.read(Source::SupabaseAuth, request).await?;
    let window = endpoints.window();
    standard_webhooks::verify(secrets, signed_headers(&delivery.headers), &delivery.body, window)?;
    let answer = Answer::to(&parse::hook_kind(&delivery.body)?)?;
    if let Answer::Neutral(_) = answer {
        match parse::auth_hook(delivery.body, window.now) {
            Ok(hook) => endpoints.enqueue_hook(hook.envelope, deadline).await,
            Err(error) => endpoints.drop_hook("", &error.to_string()),
        }
    }
    Ok(answer.into_response())
}

/// The answer to a hook.
enum Answer {
    /// Lets Supabase continue unchanged.
    Neutral(Bytes),
    /// The hook asks us to send a message, which memberflow cannot. Its body holds a one-time code and is not
    /// stored.
    Refused,
}

impl Answer {
    fn to(hook: &HookKind) -> Result<Self, Malformed> {
        let neutral = match hook.name.as_str() {
            name if SENDING_HOOKS.contains(&name) => return Ok(Self::Refused),
            TOKEN_HOOK => {
                let claims = hook.claims.as_ref().ok_or(Malformed::Missing("claims"))?;
                [&b"{\"claims\":"[..], claims, b"}"].concat().into()
            }
            name if VERIFICATION_HOOKS.contains(&name) => Bytes::from_static(br#"{"decision":"continue"}"#),
            // A future hook may also want a code sent.
            name if hook.carries_code && !USER_HOOKS.contains(&name) => return Ok(Self::Refused),
            _ => Bytes::from_static(b"{}"),
        };
        Ok(Self::Neutral(neutral))
    }

    /// Always 200: with any other status Supabase ignores the body.
    fn into_response(self) -> Response {
        match self {
            Self::Neutral(body) => json_response(body),
            Self::Refused => {
                let message = "memberflow only observes and cannot send messages: point the Send SMS and Send Email hooks at a sender, or switch them off";
                let http_code = StatusCode::UNPROCESSABLE_ENTITY.as_u16();
                json_response(json!({"error": {"http_code": http_code, "message": message}}).to_string())
            }
        }
    }
}

/// The Standard Webhooks headers of a request.
pub(super) fn signed_headers(headers: &HeaderMap) -> standard_webhooks::Headers<'_> {
    standard_webhooks::Headers {
        id: header(headers, standard_webhooks::ID),
        timestamp: header(headers, standard_webhooks::TIMESTAMP),
        signature: header(headers, standard_webhooks::SIGNATURE),
    }
}
