//! Logs rejected deliveries and events that are not counted, at a bounded rate.

use std::time::Instant;

use super::log_limit::LogLimit;
use super::problem::Problem;
use crate::envelope::Source;
use crate::project::stripe::NotCounted;

/// The log of one source. The metrics include what is suppressed here.
#[derive(Default)]
pub(crate) struct DeliveryLog(LogLimit);

impl DeliveryLog {
    /// Logs a rejected delivery, within the limit.
    pub fn log_rejected(&self, source: Source, problem: &Problem) {
        if admits(&self.0, source) {
            tracing::info!(%source, kind = problem.kind(), detail = problem.detail(), "delivery rejected");
        }
    }

    /// Logs an event that was stored but is not counted, within the limit.
    pub fn log_not_counted(&self, source: Source, event_id: &str, reason: &NotCounted) {
        if admits(&self.0, source) {
            tracing::info!(%source, event_id, %reason, fix = reason.setting(), "event stored, not counted");
        }
    }
}

/// Whether `limit` admits a line. Logs how many it has suppressed before.
fn admits(limit: &LogLimit, source: Source) -> bool {
    let admitted = limit.admit(Instant::now());
    if let Some(suppressed @ 1..) = admitted {
        tracing::warn!(%source, suppressed, "suppressed delivery logs");
    }
    admitted.is_some()
}
