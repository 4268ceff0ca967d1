//! A circuit breaker for publishing one source's events, tripped when the broker failed to take them.
//!
//! One queue can be in trouble (without quorum, deleted) while the others work. Its events then go to Postgres
//! at once instead of waiting for a confirm that will not come; now and then one group tries again. (A full queue
//! nacks at once: that needs no breaker.)

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::queue::error::EnqueueError;
use crate::retry::Backoff;

/// How long it stays open.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Shared by the publish workers of one source and their callers.
pub(super) struct CircuitBreaker(Mutex<Inner>);

struct Inner {
    backoff: Backoff,
    open_until: Option<Instant>,
}

impl CircuitBreaker {
    pub fn new() -> Self {
        Self(Mutex::new(Inner { backoff: Backoff::new(FIRST_DELAY, LONGEST_DELAY), open_until: None }))
    }

    /// An error while it is open.
    pub fn check(&self) -> Result<(), EnqueueError> {
        match self.inner().open_until {
            Some(until) if Instant::now() < until => {
                Err(EnqueueError::new("circuit breaker open: the broker failed recently"))
            }
            _ => Ok(()),
        }
    }

    /// The broker failed: opens the circuit, each further time for longer.
    pub fn trip(&self) {
        let mut inner = self.inner();
        inner.open_until = Some(Instant::now() + inner.backoff.next_delay());
    }

    /// The broker took something: closes the circuit.
    pub fn reset(&self) {
        let mut inner = self.inner();
        if inner.open_until.take().is_some() {
            inner.backoff.reset();
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
