//! Makes an event durable in its own task, so that a client that hangs up does not cancel it.

use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::Endpoints;
use super::read::DeliveryPermit;
use crate::envelope::{Envelope, Source};
use crate::http::problem::Problem;
use crate::project::stripe::NotCounted;
use crate::telemetry::HOOKS_DROPPED;

/// How long a sender waits for its event to be durable, shorter than the provider's timeout. The event may still
/// become durable later: a repeat is deduplicated.
const ENQUEUE_TIMEOUT: Duration = Duration::from_millis(2500);

impl Endpoints {
    /// Makes the event durable and acknowledges it.
    pub(super) async fn enqueue_and_ack(
        &self,
        envelope: Envelope,
        permit: DeliveryPermit,
    ) -> Result<Response, Problem> {
        let id = self.enqueue(envelope, permit).await?;
        Ok(json_response(json!({"received": true, "id": id}).to_string()))
    }

    /// Stores an event that is not counted and answers 2xx with the reason: with an error the provider would
    /// retry it for days.
    pub(super) async fn enqueue_not_counted(
        &self,
        envelope: Envelope,
        permit: DeliveryPermit,
        reason: &NotCounted,
    ) -> Result<Response, Problem> {
        let source = envelope.source;
        let id = self.enqueue(envelope, permit).await?;
        self.log_not_counted(source, &id, reason);
        let reason_text = format!(
            "events of {reason} are not counted: the event was stored and changes nothing. To count them, {}",
            reason.setting()
        );
        let answer = json!({"received": true, "id": id, "counted": false, "reason": reason_text});
        Ok(json_response(answer.to_string()))
    }

    /// Logs that an event was stored but is not counted.
    pub(super) fn log_not_counted(&self, source: Source, event_id: &str, reason: &NotCounted) {
        if let Ok(limits) = self.limits(source) {
            limits.delivery_log.log_not_counted(source, event_id, reason);
        }
    }

    /// Returns the event's id once it is durable.
    pub(super) async fn enqueue(
        &self,
        envelope: Envelope,
        permit: DeliveryPermit,
    ) -> Result<String, Problem> {
        let (source, id) = (envelope.source, envelope.event_id.clone());
        let deadline = Instant::now() + ENQUEUE_TIMEOUT;
        let endpoints = self.clone();
        let enqueued = self.0.dependencies.lifecycle.requests.spawn(async move {
            let _permit = permit;
            endpoints.enqueue_and_log(envelope, deadline).await
        });
        match timeout_at(deadline, enqueued).await {
            Ok(Ok(true)) => return Ok(id),
            Ok(Err(panic)) => {
                if let Ok(limits) = self.limits(source) {
                    limits.delivery_log.log_not_durable(source, &id, &panic.to_string());
                }
            }
            // The task logs why, unless it panics later.
            Ok(Ok(false)) | Err(_) => {}
        }
        Err(Problem::not_durable())
    }

    /// Whether the event has become durable. Logs why not, or that it was after `deadline`: the cause is often only known
    /// after the sender has had its 503.
    async fn enqueue_and_log(&self, envelope: Envelope, deadline: Instant) -> bool {
        let (source, id) = (envelope.source, envelope.event_id.clone());
        let outcome = self.0.dependencies.queue.enqueue(envelope).await;
        if let Ok(limits) = self.limits(source) {
            match &outcome {
                Err(error) => limits.delivery_log.log_not_durable(source, &id, &error.reason),
                Ok(()) if Instant::now() >= deadline => limits.delivery_log.log_durable_late(source, &id),
                Ok(()) => {}
            }
        }
        outcome.is_ok()
    }

    /// Tries to make a hook's event durable until `deadline`. A dropped event is counted; the answer does not
    /// depend on it.
    pub(super) async fn enqueue_hook(&self, envelope: Envelope, deadline: Instant) {
        let Ok(permit) = self.0.hook_permits.clone().try_acquire_owned() else {
            return self.drop_hook(&envelope.event_id, "too many hooks are waiting already");
        };
        let endpoints = self.clone();
        let enqueued = self.0.dependencies.lifecycle.requests.spawn(async move {
            let _permit = permit;
            let id = envelope.event_id.clone();
            if let Err(error) = endpoints.0.dependencies.queue.enqueue(envelope).await {
                endpoints.drop_hook(&id, &error.reason);
            }
        });
        if timeout_at(deadline, enqueued).await.is_err() {
            // If it fails, the task logs that.
            tracing::debug!("hook answered while its event is still on the way to the queue");
        }
    }

    /// Counts and logs a hook that was answered although its event could not be stored.
    pub(super) fn drop_hook(&self, event_id: &str, reason: &str) {
        metrics::counter!(HOOKS_DROPPED).increment(1);
        if let Ok(limits) = self.limits(Source::SupabaseAuth) {
            limits.delivery_log.log_hook_dropped(Source::SupabaseAuth, event_id, reason);
        }
    }
}

/// 200 with a JSON body.
pub(super) fn json_response(body: impl Into<axum::body::Body>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.into()).into_response()
}
