//! Waiting between attempts: the only module that knows the `backoff` crate.
//!
//! That crate is no longer maintained; keeping it behind these few lines makes its replacement a
//! change of one file.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;

/// Delays that double from `first` up to `longest`, each spread by half so that several processes
/// do not come back in step. Never ends by itself; [`Delays::reset`] starts it again after a success.
#[derive(Debug)]
pub struct Delays(ExponentialBackoff);

impl Delays {
    /// A ladder of delays from `first` to `longest`.
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
