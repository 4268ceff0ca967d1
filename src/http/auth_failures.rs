//! Requests without the right token: counted, logged and answered at a bounded rate.

use std::time::Instant;

use crate::http::log_limit::LogLimit;
use crate::http::throttle::{Rate, Throttle};
use crate::telemetry::API_REJECTS;

/// Throttles and logs requests without a valid token.
pub(crate) struct AuthFailures {
    throttle: Throttle,
    log: LogLimit,
}

impl Default for AuthFailures {
    fn default() -> Self {
        Self { throttle: Throttle::new(Rate::REJECTED_TOKENS), log: LogLimit::default() }
    }
}

impl AuthFailures {
    /// Records a request that is rejected for `reason`, and resolves once the response may be sent.
    pub(crate) async fn record_and_throttle(&self, reason: &'static str) {
        metrics::counter!(API_REJECTS, "reason" => reason).increment(1);
        if let Some(suppressed) = self.log.admit(Instant::now()) {
            tracing::warn!(reason, suppressed, "api request rejected");
        }
        self.throttle.until_ready(1).await;
    }
}
