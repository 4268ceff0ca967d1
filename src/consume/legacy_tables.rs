//! Drains the tables that processes and triggers of earlier versions still write to.

use tokio::time::sleep;

use super::{FIRST_DELAY, LONGEST_DELAY};
use crate::database::with_time_limit;
use crate::lifecycle::Lifecycle;
use crate::queue::Queue;
use crate::queue::metric_names::RELAYED;
use crate::retry::Backoff;
use crate::store::Store;

/// Runs until the process stops: at start, on each notification, and once a minute.
pub async fn run(queue: &Queue, store: &Store, lifecycle: &Lifecycle) {
    lifecycle.until_stopping(keep_draining(queue, store)).await;
}

async fn keep_draining(queue: &Queue, store: &Store) {
    let mut notifications = queue.outbox_notifications();
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    loop {
        notifications.before_poll();
        match with_time_limit(store.drain_legacy_tables()).await {
            Ok(events) => {
                metrics::counter!(RELAYED).increment(events);
                backoff.reset();
                notifications.wait().await;
            }
            Err(error) => {
                tracing::warn!(%error, "draining legacy tables failed, will retry");
                sleep(backoff.next_delay()).await;
            }
        }
    }
}
