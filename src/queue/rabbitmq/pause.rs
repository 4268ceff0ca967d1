//! Pauses publishing of one source after the broker failed to take its events.
//!
//! One queue can be in trouble (without quorum, deleted, full) while the others work. Its events then go to
//! Postgres at once instead of waiting for a confirm that will not come; now and then one group tries again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::queue::error::Refused;
use crate::retry::Delays;

/// How long a pause lasts.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Shared by the lanes of one source and their callers.
pub(super) struct Pause(Mutex<Inner>);

struct Inner {
    delays: Delays,
    until: Option<Instant>,
}

impl Pause {
    pub fn new() -> Self {
        Self(Mutex::new(Inner { delays: Delays::new(FIRST_DELAY, LONGEST_DELAY), until: None }))
    }

    /// Refuses during a pause.
    pub fn check(&self) -> Result<(), Refused> {
        match self.inner().until {
            Some(until) if Instant::now() < until => {
                Err(Refused::new("the broker did not take the last ones"))
            }
            _ => Ok(()),
        }
    }

    /// The broker failed. Each further time the pause is longer.
    pub fn begin(&self) {
        let mut inner = self.inner();
        inner.until = Some(Instant::now() + inner.delays.next_delay());
    }

    /// The broker took something.
    pub fn end(&self) {
        let mut inner = self.inner();
        if inner.until.take().is_some() {
            inner.delays.reset();
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
