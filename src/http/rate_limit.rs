//! Rate limits per caller in fixed windows, and the headers that say what is left.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName};

/// Callers that are remembered at once. Beyond that nobody new is let in until a window ends.
const KEYS_MAX: usize = 20_000;

/// Counts the requests of each caller.
pub(crate) struct RateLimiter<K> {
    limit: u32,
    period: Duration,
    windows: Mutex<HashMap<K, Window>>,
}

struct Window {
    begun: Instant,
    used: u32,
}

/// What a caller has left after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Whether this request is one too many.
    pub(crate) is_exceeded: bool,
    /// Whether that is for want of room to remember another caller.
    pub(crate) is_full: bool,
    limit: u32,
    remaining: u32,
    reset_s: u64,
}

impl<K: Eq + Hash> RateLimiter<K> {
    /// At most `limit` requests of each caller in every `period`.
    pub(crate) fn new(limit: u32, period: Duration) -> Self {
        Self { limit, period, windows: Mutex::default() }
    }

    /// Counts a request of the caller `key`.
    pub(crate) fn check(&self, key: K, now: Instant) -> Quota {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= KEYS_MAX && !windows.contains_key(&key) {
            windows.retain(|_, window| now.duration_since(window.begun) < self.period);
            if windows.len() >= KEYS_MAX {
                return Quota {
                    is_exceeded: true,
                    is_full: true,
                    limit: self.limit,
                    remaining: 0,
                    reset_s: self.period.as_secs(),
                };
            }
        }
        let window = windows.entry(key).or_insert(Window { begun: now, used: 0 });
        if now.duration_since(window.begun) >= self.period {
            *window = Window { begun: now, used: 0 };
        }
        let is_exceeded = window.used >= self.limit;
        window.used = (window.used + 1).min(self.limit);
        let reset = self.period.saturating_sub(now.duration_since(window.begun));
        let (limit, remaining) = (self.limit, self.limit - window.used);
        Quota { is_exceeded, is_full: false, limit, remaining, reset_s: reset.as_secs().max(1) }
    }
}

impl Quota {
    /// How many requests there are in a whole window.
    pub(crate) const fn limit(self) -> u32 {
        self.limit
    }

    /// Seconds until the window ends.
    pub(crate) const fn reset_s(self) -> u64 {
        self.reset_s
    }

    /// Writes it into the headers of a response.
    pub(crate) fn write_headers(self, headers: &mut HeaderMap) {
        headers.insert(HeaderName::from_static("ratelimit-limit"), self.limit.into());
        headers.insert(HeaderName::from_static("ratelimit-remaining"), self.remaining.into());
        headers.insert(HeaderName::from_static("ratelimit-reset"), self.reset_s.into());
        if self.is_exceeded {
            headers.insert(axum::http::header::RETRY_AFTER, self.reset_s.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 600;
    const PERIOD: Duration = Duration::from_secs(60);

    #[test]
    fn each_token_has_its_own_requests_again_every_minute() {
        let (limiter, begun) = (RateLimiter::new(LIMIT, PERIOD), Instant::now());
        let last = (0..LIMIT).fold(None, |_, _| Some(limiter.check(1, begun))).unwrap();
        assert_eq!(
            last,
            Quota { is_exceeded: false, is_full: false, limit: LIMIT, remaining: 0, reset_s: 60 }
        );
        let half = begun + PERIOD / 2;
        assert_eq!(
            limiter.check(1, half),
            Quota { is_exceeded: true, is_full: false, limit: LIMIT, remaining: 0, reset_s: 30 }
        );
        assert!(!limiter.check(2, half).is_exceeded, "of another token");
        assert!(!limiter.check(1, begun + PERIOD).is_exceeded);
    }

    #[test]
    fn whoever_invents_keys_fills_no_memory_and_lets_nobody_known_down() {
        let (limiter, begun) = (RateLimiter::new(2, PERIOD), Instant::now());
        for key in 0..KEYS_MAX {
            assert!(!limiter.check(key, begun).is_exceeded);
        }
        assert!(limiter.check(usize::MAX, begun).is_full);
        assert!(!limiter.check(0, begun).is_exceeded);
        assert!(!limiter.check(usize::MAX, begun + PERIOD).is_exceeded);
        assert_eq!(limiter.windows.lock().unwrap().len(), 1);
    }
}
