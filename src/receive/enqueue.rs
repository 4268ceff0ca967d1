//! Makes an event durable in its own task, so that a client that hangs up does not cancel it.

use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};

use super::Endpoints;
use super::read::DeliveryPermit;
use crate::envelope::Envelope;
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
        let id = self.enqueue_and_log(envelope, permit, Some(reason)).await?;
        let reason_text = format!(
            "events of {reason} are not counted: the event was stored and changes nothing. To count them, {}",
            reason.setting()
        );
        let answer = json!({"received": true, "id": id, "counted": false, "reason": reason_text});
        Ok(json_response(answer.to_string()))
    }

    /// Makes an event durable and returns its id; logs it if it is not counted.
    pub(super) async fn enqueue_and_log(
        &self,
        envelope: Envelope,
        permit: DeliveryPermit,
        not_counted: Option<&NotCounted>,
    ) -> Result<String, Problem> {
        let source = envelope.source;
        let id = self.enqueue(envelope, permit).await?;
        if let Some(reason) = not_counted {
            self.limits(source)?.delivery_log.log_not_counted(source, &id, reason);
        }
        Ok(id)
    }

    /// Returns the event's id once it is durable.
    async fn enqueue(&self, envelope: Envelope, permit: DeliveryPermit) -> Result<String, Problem> {
        let id = envelope.event_id.clone();
        let source = envelope.source;
        let queue = self.0.dependencies.queue.clone();
        let enqueued = self.0.dependencies.lifecycle.requests.spawn(async move {
            let _permit = permit;
            queue.enqueue(envelope).await
        });
        match timeout(ENQUEUE_TIMEOUT, enqueued).await {
            Ok(Ok(Ok(()))) => return Ok(id),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%source, event_id = id, %error, "enqueue failed");
            }
            Ok(Err(error)) => tracing::error!(%source, event_id = id, %error, "enqueue failed"),
            Err(_) => tracing::warn!(%source, event_id = id, "enqueue timed out"),
        }
        Err(Problem::not_durable())
    }

    /// Tries to make a hook's event durable until `deadline`. A dropped event is counted; the answer does not
    /// depend on it.
    pub(super) async fn enqueue_hook(&self, envelope: Envelope, deadline: Instant) {
        let Ok(permit) = self.0.hook_permits.clone().try_acquire_owned() else {
            return dropped(&envelope.event_id, "too many hooks are waiting already");
        };
        let queue = self.0.dependencies.queue.clone();
        let enqueued = self.0.dependencies.lifecycle.requests.spawn(async move {
            let _permit = permit;
            let id = envelope.event_id.clone();
            if let Err(error) = queue.enqueue(envelope).await {
                dropped(&id, &error.reason);
            }
        });
        if timeout_at(deadline, enqueued).await.is_err() {
            tracing::warn!("hook answered while its event is still on the way to the queue");
        }
    }
}

/// Counts a hook that was answered although its event could not be stored.
pub(super) fn dropped(event_id: &str, reason: &str) {
    metrics::counter!(HOOKS_DROPPED).increment(1);
    tracing::warn!(event_id, reason, "hook answered, event dropped");
}

/// 200 with a JSON body.
pub(super) fn json_response(body: impl Into<axum::body::Body>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.into()).into_response()
}
