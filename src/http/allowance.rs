//! Rate limits per caller, and the headers with the number of requests that are left.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName};

/// So many are remembered at once. Beyond that nobody new is let in until a span ends.
const REMEMBERED_MAX: usize = 20_000;

/// What each has used of its present span.
pub(crate) struct Allowances<K> {
    most: u32,
    span: Duration,
    spans: Mutex<HashMap<K, Span>>,
}

struct Span {
    begun: Instant,
    used: u32,
}

/// What is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// Whether this one is one too many.
    pub(crate) is_over: bool,
    /// Whether that is for want of room to remember another caller.
    pub(crate) is_full: bool,
    most: u32,
    remaining: u32,
    reset_s: u64,
}

impl<K: Eq + Hash> Allowances<K> {
    /// `most` for each in every `span`.
    pub(crate) fn new(most: u32, span: Duration) -> Self {
        Self { most, span, spans: Mutex::default() }
    }

    /// Takes one off what `key` has.
    pub(crate) fn take(&self, key: K, now: Instant) -> Left {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() >= REMEMBERED_MAX && !spans.contains_key(&key) {
            spans.retain(|_, span| now.duration_since(span.begun) < self.span);
            if spans.len() >= REMEMBERED_MAX {
                return Left {
                    is_over: true,
                    is_full: true,
                    most: self.most,
                    remaining: 0,
                    reset_s: self.span.as_secs(),
                };
            }
        }
        let span = spans.entry(key).or_insert(Span { begun: now, used: 0 });
        if now.duration_since(span.begun) >= self.span {
            *span = Span { begun: now, used: 0 };
        }
        let is_over = span.used >= self.most;
        span.used = (span.used + 1).min(self.most);
        let reset = self.span.saturating_sub(now.duration_since(span.begun));
        let (most, remaining) = (self.most, self.most - span.used);
        Left { is_over, is_full: false, most, remaining, reset_s: reset.as_secs().max(1) }
    }
}

impl Left {
    /// How many there are in a whole span.
    pub(crate) const fn most(self) -> u32 {
        self.most
    }

    /// Seconds until the span ends.
    pub(crate) const fn reset_s(self) -> u64 {
        self.reset_s
    }

    /// Says it in the headers of an answer.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static("ratelimit-limit"), self.most.into());
        headers.insert(HeaderName::from_static("ratelimit-remaining"), self.remaining.into());
        headers.insert(HeaderName::from_static("ratelimit-reset"), self.reset_s.into());
        if self.is_over {
            headers.insert(axum::http::header::RETRY_AFTER, self.reset_s.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = 600;
    const SPAN: Duration = Duration::from_secs(60);

    #[test]
    fn each_token_has_its_own_requests_again_every_minute() {
        let (allowances, begun) = (Allowances::new(MOST, SPAN), Instant::now());
        let last = (0..MOST).fold(None, |_, _| Some(allowances.take(1, begun))).unwrap();
        assert_eq!(last, Left { is_over: false, is_full: false, most: MOST, remaining: 0, reset_s: 60 });
        let half = begun + SPAN / 2;
        assert_eq!(
            allowances.take(1, half),
            Left { is_over: true, is_full: false, most: MOST, remaining: 0, reset_s: 30 }
        );
        assert!(!allowances.take(2, half).is_over, "of another token");
        assert!(!allowances.take(1, begun + SPAN).is_over);
    }

    #[test]
    fn whoever_invents_keys_fills_no_memory_and_lets_nobody_known_down() {
        let (allowances, begun) = (Allowances::new(2, SPAN), Instant::now());
        for key in 0..REMEMBERED_MAX {
            assert!(!allowances.take(key, begun).is_over);
        }
        assert!(allowances.take(usize::MAX, begun).is_full);
        assert!(!allowances.take(0, begun).is_over);
        assert!(!allowances.take(usize::MAX, begun + SPAN).is_over);
        assert_eq!(allowances.spans.lock().unwrap().len(), 1);
    }
}
