//! Requests without the right token: counted, logged within limits, and answered ever more slowly.

use std::time::Instant;

use crate::http::rejection_log::LogLimit;
use crate::http::throttle::{Rate, Throttle};
use crate::telemetry::API_REJECTS;

/// What was turned away lately.
pub(crate) struct Rejects {
    throttle: Throttle,
    log: LogLimit,
}

impl Default for Rejects {
    fn default() -> Self {
        Self { throttle: Throttle::new(Rate::REJECTED_TOKENS), log: LogLimit::default() }
    }
}

impl Rejects {
    /// Notes a request that is turned away for `reason`, and resolves when it is the turn of its answer.
    pub(crate) async fn add(&self, reason: &'static str) {
        metrics::counter!(API_REJECTS, "reason" => reason).increment(1);
        if let Some(suppressed) = self.log.admit(Instant::now()) {
            tracing::warn!(reason, suppressed, "api request rejected");
        }
        self.throttle.until_ready(1).await;
    }
}
