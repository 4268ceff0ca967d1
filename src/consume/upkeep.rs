//! Work that no event triggers. Once a minute it deletes expired API idempotency answers, recomputes what has become due
//! and the rows of members that were derived more than a day ago or never, and sets the gauges. At start and once a day it
//! prunes bodies older than the retention.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::gauges::Gauges;
use super::in_flight::InFlight;
use crate::database::with_time_limit;
use crate::lifecycle::Lifecycle;
use crate::ops::{idempotency, prune};
use crate::store::{Store, StoreError};

/// How often parked items are retried and time-dependent values recomputed.
const PERIOD: Duration = Duration::from_secs(60);

/// How often bodies older than the retention are pruned.
const PRUNING_PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs until the process stops.
pub async fn run(store: &Store, in_flight: &InFlight, lifecycle: &Lifecycle) {
    let mut pruned: Option<Instant> = None;
    let mut gauges = Gauges::described();
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while lifecycle.until_stopping(ticks.tick()).await.is_some() {
        match lifecycle.until_stopping(run_due_work(store)).await {
            None | Some(Ok(0)) => {}
            Some(Ok(count)) => tracing::info!(count, "recomputed customers and members"),
            Some(Err(error)) => tracing::warn!(%error, "recompute failed, will retry"),
        }
        let measured = with_time_limit(gauges.measure(store, in_flight));
        if let Some(Err(error)) = lifecycle.until_stopping(measured).await {
            tracing::warn!(%error, "updating the gauges failed, will retry");
        }
        if pruned.is_none_or(|at| at.elapsed() >= PRUNING_PERIOD) {
            match lifecycle.until_stopping(prune(store)).await {
                Some(Ok(true)) => pruned = Some(Instant::now()),
                None => {}
                Some(Ok(false)) => {
                    tracing::info!("pruning skipped: a rebuild or another process is running");
                }
                Some(Err(error)) => tracing::warn!(%error, "pruning failed, will retry"),
            }
        }
    }
}

/// Does what is due, page by page, so that events are applied in between.
async fn run_due_work(store: &Store) -> Result<usize, StoreError> {
    with_time_limit(idempotency::expire(store.pool(), store.now())).await?;
    let mut total = with_time_limit(store.recompute_due()).await?;
    loop {
        match with_time_limit(store.refresh_members()).await? {
            0 => return Ok(total),
            count => total += count,
        }
    }
}

/// Prunes bodies older than the retention; returns whether that succeeded.
async fn prune(store: &Store) -> Result<bool, StoreError> {
    let Some(retention) = store.settings().retention else { return Ok(true) };
    let pruned = prune::run(store, store.now() - retention).await?;
    if let Some(pruned) = pruned.filter(|pruned| pruned.events > 0) {
        tracing::info!(pruned.events, pruned.bytes, "bodies of old events removed");
    }
    Ok(pruned.is_some())
}
