//! Logs rejected deliveries, events that are not counted, and events that could not be stored, at a bounded rate.

use std::time::Instant;

use crate::envelope::Source;
use crate::http::log_limit::LogLimit;
use crate::http::problem::Problem;
use crate::project::stripe::NotCounted;

/// The log of one source. The metrics include what is suppressed here.
#[derive(Default)]
pub(super) struct DeliveryLog {
    deliveries: LogLimit,
    /// Of its own: a flood of bad deliveries must not hide why good ones fail.
    failures: LogLimit,
}

impl DeliveryLog {
    /// Logs a rejected delivery, within the limit.
    pub fn log_rejected(&self, source: Source, problem: &Problem) {
        if admits(&self.deliveries, source) {
            tracing::info!(%source, kind = problem.kind(), detail = problem.detail(), "delivery rejected");
        }
    }

    /// Logs an event that was stored but is not counted, within the limit.
    pub fn log_not_counted(&self, source: Source, event_id: &str, reason: &NotCounted) {
        if admits(&self.deliveries, source) {
            tracing::info!(%source, event_id, %reason, fix = reason.setting(), "event stored, not counted");
        }
    }

    /// Logs why an event could not be made durable, within the limit.
    pub fn log_not_durable(&self, source: Source, event_id: &str, error: &str) {
        if admits(&self.failures, source) {
            tracing::warn!(%source, event_id, error, "enqueue failed");
        }
    }

    /// Logs an event that became durable only after its sender's deadline, within the limit.
    pub fn log_durable_late(&self, source: Source, event_id: &str) {
        if admits(&self.failures, source) {
            tracing::warn!(%source, event_id, "event stored late, its delivery may have been answered 503");
        }
    }

    /// Logs a hook that was answered although its event could not be stored, within the limit.
    pub fn log_hook_dropped(&self, source: Source, event_id: &str, reason: &str) {
        if admits(&self.failures, source) {
            tracing::warn!(%source, event_id, reason, "hook answered, event dropped");
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
