//! Who may ask: whoever knows the admin token, or a token that was made for a program.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::PgPool;

use super::caller::Caller;
use crate::api::problem;
use crate::clock::Clock;
use crate::http::auth_failures::AuthFailures;
use crate::http::problem::Problem;
use crate::http::rate_limit::{Quota, RateLimiter};
use crate::http::secret::constant_time_eq;
use crate::ops::tokens;
use crate::telemetry::API_LIMITED;

/// Requests that a program's token has for each [`PERIOD`].
const REQUESTS: u32 = 600;
/// The same for the admin token, which several programs may share.
const ADMIN_REQUESTS: u32 = 6_000;
/// The period of these limits.
const PERIOD: Duration = Duration::from_secs(60);

/// What decides about requests. Cheap to clone.
#[derive(Clone)]
pub struct Guard {
    admin_token: Option<SecretString>,
    pool: PgPool,
    clock: Clock,
    auth_failures: Arc<AuthFailures>,
    by_program: Arc<RateLimiter<i64>>,
    by_admin: Arc<RateLimiter<()>>,
}

impl Guard {
    /// Lets through who knows the admin token, or one of the database's.
    pub fn new(admin_token: Option<SecretString>, pool: PgPool, clock: Clock) -> Self {
        Self {
            admin_token,
            pool,
            clock,
            auth_failures: Arc::default(),
            by_program: Arc::new(RateLimiter::new(REQUESTS, PERIOD)),
            by_admin: Arc::new(RateLimiter::new(ADMIN_REQUESTS, PERIOD)),
        }
    }

    /// Who bears the token of this header, and what quota it has left.
    async fn admit(&self, authorization: Option<&HeaderValue>) -> Result<(Caller, Quota), Response> {
        if let Some(token) = program_token(authorization) {
            let found = tokens::present(&self.pool, token, self.clock.now()).await;
            let found = found.map_err(|error| problem::database(&error).into_response())?;
            let Some(token) = found else { return Err(self.turn_away(Refusal::Wrong).await) };
            let quota = self.by_program.check(token.id, Instant::now());
            return Ok((Caller::of(token), quota));
        }
        let Some(token) = self.admin_token.as_ref().filter(|token| !token.expose_secret().is_empty()) else {
            return Err(off().into_response());
        };
        match check(authorization, token) {
            Ok(()) => Ok((Caller::admin(), self.by_admin.check((), Instant::now()))),
            Err(refusal) => Err(self.turn_away(refusal).await),
        }
    }

    async fn turn_away(&self, refusal: Refusal) -> Response {
        self.auth_failures.record_and_throttle(refusal.kind()).await;
        refusal.into_response()
    }
}

/// Lets a request through that bears a token. The others wait for their answers, the longer the more of them come.
pub async fn require(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let (caller, quota) = match guard.admit(request.headers().get(header::AUTHORIZATION)).await {
        Ok(admitted) => admitted,
        Err(response) => return response,
    };
    let mut response = if quota.is_exceeded {
        metrics::counter!(API_LIMITED, "outcome" => if quota.is_full { "full" } else { "over" }).increment(1);
        too_many(quota).into_response()
    } else {
        request.extensions_mut().insert(caller);
        next.run(request).await
    };
    quota.write_headers(response.headers_mut());
    // Personal data: no cache may store it.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What somebody is answered who must wait.
fn too_many(quota: Quota) -> Problem {
    let (limit, wait_s) = (quota.limit(), quota.reset_s());
    let detail = format!("this token has {limit} requests a minute: wait {wait_s} s, as Retry-After says");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests", detail)
}

/// A token that can be a program's.
fn program_token(authorization: Option<&HeaderValue>) -> Option<&str> {
    let token = std::str::from_utf8(bearer(authorization?.as_bytes())?).ok()?;
    tokens::is_well_formed(token).then_some(token)
}

fn check(authorization: Option<&HeaderValue>, token: &SecretString) -> Result<(), Refusal> {
    let given = authorization.ok_or(Refusal::Missing)?;
    let presented = bearer(given.as_bytes()).ok_or(Refusal::Malformed)?;
    if constant_time_eq(presented, token.expose_secret().as_bytes()) { Ok(()) } else { Err(Refusal::Wrong) }
}

/// What follows the scheme's name, which may stand in any case.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = header.split_at_checked(7)?;
    let presented = rest.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !presented.is_empty()).then_some(presented)
}

/// What is wrong with the Authorization header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Missing,
    Malformed,
    Wrong,
}

impl Refusal {
    const fn kind(self) -> &'static str {
        match self {
            Self::Missing => "token-missing",
            Self::Malformed => "token-malformed",
            Self::Wrong => "token-wrong",
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (challenge, detail) = match self {
            Self::Missing => (
                r#"Bearer realm="memberflow""#,
                "send the admin token, or one that `memberflow tokens create` made: `Authorization: Bearer <token>`",
            ),
            Self::Malformed => (
                r#"Bearer realm="memberflow", error="invalid_request""#,
                "the header Authorization must read `Bearer <token>`",
            ),
            Self::Wrong => (
                r#"Bearer realm="memberflow", error="invalid_token""#,
                "this is not the token that the service was started with as MEMBERFLOW_ADMIN_TOKEN, nor one in use of `memberflow tokens list`",
            ),
        };
        let problem = Problem::new(StatusCode::UNAUTHORIZED, self.kind(), "A token is needed", detail);
        ([(header::WWW_AUTHENTICATE, challenge)], problem).into_response()
    }
}

fn off() -> Problem {
    let detail = "set MEMBERFLOW_ADMIN_TOKEN to a long random text (`openssl rand -hex 32`) and start the service again";
    Problem::new(StatusCode::FORBIDDEN, "api-off", "The API is switched off", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_let_through() {
        let token = SecretString::from("s3cret-token".to_owned());
        for (header, expected) in [
            (None, Err(Refusal::Missing)),
            (Some("Bearer s3cret-token"), Ok(())),
            (Some("bearer  s3cret-token "), Ok(())),
            (Some("Bearer s3cret-toke"), Err(Refusal::Wrong)),
            (Some("Bearer s3cret-token2"), Err(Refusal::Wrong)),
            (Some("Bearer S3CRET-TOKEN"), Err(Refusal::Wrong)),
            (Some("Bearer"), Err(Refusal::Malformed)),
            (Some("Bearer  "), Err(Refusal::Malformed)),
            (Some("Basic czNjcmV0"), Err(Refusal::Malformed)),
            (Some("s3cret-token"), Err(Refusal::Malformed)),
        ] {
            let header = header.map(HeaderValue::from_static);
            assert_eq!(check(header.as_ref(), &token), expected, "{header:?}");
        }
    }
}
