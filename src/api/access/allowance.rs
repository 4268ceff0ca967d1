//! How many requests each program may make, and the headers that tell it how many are left.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, StatusCode};

use crate::http::problem::Problem;

/// Requests that one token has for each span.
pub(in crate::api) const REQUESTS: u32 = 600;
const SPAN: Duration = Duration::from_secs(60);

/// What each token has used of its present span.
#[derive(Default)]
pub(in crate::api) struct Allowances(Mutex<HashMap<i64, Span>>);

struct Span {
    begun: Instant,
    used: u32,
}

/// What a token has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api) struct Left {
    /// Whether this request is one too many.
    pub(in crate::api) is_over: bool,
    remaining: u32,
    reset_s: u64,
}

impl Allowances {
    /// Takes one request off what `token` has.
    pub(in crate::api) fn take(&self, token: i64, now: Instant) -> Left {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let span = spans.entry(token).or_insert(Span { begun: now, used: 0 });
        if now.duration_since(span.begun) >= SPAN {
            *span = Span { begun: now, used: 0 };
        }
        let is_over = span.used >= REQUESTS;
        span.used = (span.used + 1).min(REQUESTS);
        let reset = SPAN.saturating_sub(now.duration_since(span.begun));
        Left { is_over, remaining: REQUESTS - span.used, reset_s: reset.as_secs().max(1) }
    }
}

impl Left {
    /// Tells the program.
    pub(in crate::api) fn write(self, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static("ratelimit-limit"), REQUESTS.into());
        headers.insert(HeaderName::from_static("ratelimit-remaining"), self.remaining.into());
        headers.insert(HeaderName::from_static("ratelimit-reset"), self.reset_s.into());
        if self.is_over {
            headers.insert(axum::http::header::RETRY_AFTER, self.reset_s.into());
        }
    }

    /// Tells it that it must wait.
    pub(in crate::api) fn problem(self) -> Problem {
        let detail =
            format!("a token has {REQUESTS} requests a minute: wait {} s, as Retry-After says", self.reset_s);
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "Too many requests", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_has_its_own_requests_again_every_minute() {
        let (allowances, begun) = (Allowances::default(), Instant::now());
        let last = (0..REQUESTS).fold(None, |_, _| Some(allowances.take(1, begun))).unwrap();
        assert_eq!(last, Left { is_over: false, remaining: 0, reset_s: 60 });
        let half = begun + SPAN / 2;
        assert_eq!(allowances.take(1, half), Left { is_over: true, remaining: 0, reset_s: 30 });
        assert!(!allowances.take(2, half).is_over, "of another token");
        assert!(!allowances.take(1, begun + SPAN).is_over);
    }
}
