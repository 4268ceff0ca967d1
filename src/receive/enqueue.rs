//! Making an event durable in a task of its own: a client that hangs up does not undo it.

use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use tokio::time::{Instant, timeout, timeout_at};

use super::Receive;
use super::read::Place;
use crate::envelope::Envelope;
use crate::http::problem::Problem;
use crate::project::stripe::NotCounted;
use crate::telemetry::HOOKS_DROPPED;

/// The longest that a sender waits for its event to be durable; then it had better try again, before it
/// gives up on us. The event may still get there: the inbox absorbs the repeat.
const KEEP_WITHIN: Duration = Duration::from_millis(2500);

impl Receive {
    /// Makes the event durable and acknowledges it.
    pub(super) async fn enqueue(&self, envelope: Envelope, place: Place) -> Result<Response, Problem> {
        let id = self.make_durable(envelope, place).await?;
        Ok(json_response(json!({"received": true, "id": id}).to_string()))
    }

    /// Makes an event durable that does not count, and tells its sender so: a good event all the same, which would
    /// otherwise be sent again and again.
    pub(super) async fn keep_uncounted(
        &self,
        envelope: Envelope,
        place: Place,
        reason: &NotCounted,
    ) -> Result<Response, Problem> {
        let id = self.keep_quietly(envelope, place, Some(reason)).await?;
        let told = format!(
            "events of {reason} do not count: it is kept and changes nothing; to count them {}",
            reason.setting()
        );
        let answer = json!({"received": true, "id": id, "counted": false, "reason": told});
        Ok(json_response(answer.to_string()))
    }

    /// Makes an event durable whose sender wants to know no more; says in the log if it does not count. Returns its id.
    pub(super) async fn keep_quietly(
        &self,
        envelope: Envelope,
        place: Place,
        not_counted: Option<&NotCounted>,
    ) -> Result<String, Problem> {
        let source = envelope.source;
        let id = self.make_durable(envelope, place).await?;
        if let Some(reason) = not_counted {
            self.limits(source)?.rejection_log.say_not_counted(source, &id, reason);
        }
        Ok(id)
    }

    /// Returns the event's id once it is durable.
    async fn make_durable(&self, envelope: Envelope, place: Place) -> Result<String, Problem> {
        let id = envelope.event_id.clone();
        let source = envelope.source;
        let queue = self.0.dependencies.queue.clone();
        let kept = self.0.dependencies.lifecycle.requests.spawn(async move {
            let _place = place;
            queue.accept(envelope).await
        });
        match timeout(KEEP_WITHIN, kept).await {
            Ok(Ok(Ok(()))) => return Ok(id),
            Ok(Ok(Err(fault))) => tracing::warn!(%source, event_id = id, %fault, "event not persisted"),
            Ok(Err(fault)) => tracing::error!(%source, event_id = id, %fault, "event not persisted"),
            Err(_) => tracing::warn!(%source, event_id = id, "event not persisted in time"),
        }
        Err(Problem::not_durable())
    }

    /// Tries to make a hook's event durable, and returns when it is, or at `deadline` at the latest.
    /// What could not be kept is counted; the answer does not depend on it.
    pub(super) async fn keep_hook(&self, envelope: Envelope, deadline: Instant) {
        let Ok(place) = self.0.hooks_waiting.clone().try_acquire_owned() else {
            return dropped(&envelope.event_id, "too many hooks are waiting already");
        };
        let queue = self.0.dependencies.queue.clone();
        let kept = self.0.dependencies.lifecycle.requests.spawn(async move {
            let _place = place;
            let id = envelope.event_id.clone();
            if let Err(fault) = queue.accept(envelope).await {
                dropped(&id, &fault.reason);
            }
        });
        if timeout_at(deadline, kept).await.is_err() {
            tracing::warn!("hook answered while its event is still on the way to the queue");
        }
    }
}

/// Counts a hook that was answered though its event could not be kept.
pub(super) fn dropped(event_id: &str, reason: &str) {
    metrics::counter!(HOOKS_DROPPED).increment(1);
    tracing::warn!(event_id, reason, "hook answered, event dropped");
}

/// 200 with a JSON body that is written already.
pub(super) fn json_response(body: impl Into<axum::body::Body>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.into()).into_response()
}
