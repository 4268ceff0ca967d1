//! What the consumer does beside events: once a minute it looks for what has become due, and at start and once
//! a day for each member it computes what the calendar has changed.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::lifecycle::Lifecycle;
use crate::store::{Store, StoreError};

/// How often parked things are tried again and values that the clock changes are computed anew.
const PERIOD: Duration = Duration::from_secs(60);

/// Keeps up until the process stops.
pub async fn run(store: &Store, lifecycle: &Lifecycle) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while lifecycle.until_stopping(ticks.tick()).await.is_some() {
        match lifecycle.until_stopping(round(store)).await {
            None | Some(Ok(0)) => {}
            Some(Ok(count)) => tracing::info!(count, "customers and members computed anew"),
            Some(Err(error)) => tracing::warn!(%error, "what is due waits for the next round"),
        }
    }
}

/// What is due, page by page, so that events are applied in between.
async fn round(store: &Store) -> Result<usize, StoreError> {
    let mut total = store.recompute_due().await?;
    loop {
        match store.refresh_members().await? {
            0 => return Ok(total),
            count => total += count,
        }
    }
}
