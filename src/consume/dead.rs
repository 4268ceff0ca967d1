//! Stores the broker's dead letters in Postgres, where operators can see and redrive them.

use sha2::{Digest as _, Sha256};

use super::isolate::APPLIED;
use super::{FIRST_DELAY, LONGEST_DELAY, wait};
use crate::envelope::{Envelope, Source, UNDECODABLE_PREFIX};
use crate::lifecycle::Lifecycle;
use crate::queue::{DeadContent, DeadMessage, Queue};
use crate::retry::Backoff;
use crate::store::{Store, StoreError};

/// The event type of an undecodable message, as stored.
const UNDECODABLE_TYPE: &str = "unreadable";

/// Stores dead messages until the process stops.
pub async fn run(queue: &Queue, store: &Store, lifecycle: &Lifecycle) {
    let Some(mut messages) = queue.dead_messages() else { return };
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    while let Some(Some(message)) = lifecycle.until_stopping(messages.recv()).await {
        while let Err(error) = dead_letter(store, &message).await {
            tracing::warn!(%error, "storing a dead letter failed, will retry");
            wait(backoff.next_delay(), lifecycle).await;
            if lifecycle.stopping.is_cancelled() {
                return;
            }
        }
        backoff.reset();
        message.ack().await;
    }
}

async fn dead_letter(store: &Store, message: &DeadMessage) -> Result<(), StoreError> {
    let envelopes = match &message.content {
        DeadContent::Events(envelopes) => envelopes.clone(),
        DeadContent::Undecodable(source, body) => vec![undecodable(store, *source, body)],
    };
    let count = envelopes.len();
    tracing::error!(events = count, reason = message.reason, "broker dead letter received");
    let dead: Vec<_> = envelopes.iter().map(|envelope| (envelope, message.reason.clone())).collect();
    store.dead_letter(&dead).await?;
    metrics::counter!(APPLIED, "outcome" => "dead").increment(count as u64);
    Ok(())
}

/// An undecodable message as an event, whose id is a hash of its bytes: the same bytes are stored once.
fn undecodable(store: &Store, source: Option<Source>, body: &bytes::Bytes) -> Envelope {
    let now = store.now();
    Envelope {
        source: source.unwrap_or(Source::Internal),
        event_id: format!("{UNDECODABLE_PREFIX}{}", hex::encode(Sha256::digest(body))),
        event_type: UNDECODABLE_TYPE.to_owned(),
        occurred_at: now,
        received_at: now,
        body: body.clone(),
    }
}
