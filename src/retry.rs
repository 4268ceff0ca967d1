//! Delays between attempts: the only module that uses the `backoff` crate.
//!
//! That crate is no longer maintained; with this wrapper it can be replaced in one file.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// Exponential backoff: delays that double from `first` up to `longest`, each with jitter of one half, so that
/// several processes do not retry in step. Never ends by itself; [`Backoff::reset`] starts it again after a success.
#[derive(Debug)]
pub struct Backoff(ExponentialBackoff);

impl Backoff {
    /// Delays from `first` to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self(ExponentialBackoff {
            current_interval: first,
            initial_interval: first,
            randomization_factor: 0.5,
            multiplier: 2.0,
            max_interval: longest,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        })
    }

    /// The next delay to wait.
    pub fn next_delay(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(self.0.max_interval)
    }

    /// Starts again with the shortest delay.
    pub fn reset(&mut self) {
        self.0.reset();
    }
}
