//! Requests without the right token: counted, logged within limits, and answered ever more slowly.

use std::time::Instant;

use crate::receive::pace::{Pace, Rate};
use crate::receive::refusals::LogLimit;
use crate::telemetry::API_REJECTS;

/// What was turned away lately.
pub(crate) struct Rejects {
    pace: Pace,
    log: LogLimit,
}

impl Default for Rejects {
    fn default() -> Self {
        Self { pace: Pace::new(Rate::REJECTED_TOKENS), log: LogLimit::default() }
    }
}

impl Rejects {
    /// Notes a request that is turned away for `reason`, and resolves when it is the turn of its answer.
    pub(crate) async fn add(&self, reason: &'static str) {
        metrics::counter!(API_REJECTS, "reason" => reason).increment(1);
        if let Some(suppressed) = self.log.turn(Instant::now()) {
            tracing::warn!(reason, suppressed, "api request rejected");
        }
        self.pace.turn(1).await;
    }
}
