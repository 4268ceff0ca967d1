//! Retries failed events one by one, with growing delays, and finally dead-letters them.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::isolate::{self, ApplyError, attempt, dead_letter_event};
use crate::database::with_time_limit;
use crate::lifecycle::Lifecycle;
use crate::store::events::retries::{ATTEMPTS, DueRetry};
use crate::store::{Store, StoreError};

/// How often due events are looked up.
const PERIOD: Duration = Duration::from_secs(1);

/// Runs until the process stops.
pub async fn run(store: &Store, lifecycle: &Lifecycle) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while lifecycle.until_stopping(ticks.tick()).await.is_some() {
        if let Err(error) = retry_due(store, lifecycle).await {
            tracing::debug!(%error, "retrying failed events was interrupted, will run again");
        }
    }
}

async fn retry_due(store: &Store, lifecycle: &Lifecycle) -> Result<(), StoreError> {
    while !lifecycle.stopping.is_cancelled() {
        let Some(due) = with_time_limit(store.begin_retry()).await? else { return Ok(()) };
        with_time_limit(retry(store, due)).await?;
    }
    Ok(())
}

/// The attempt was already counted: the count holds even if it crashes the process.
async fn retry(store: &Store, due: DueRetry) -> Result<(), StoreError> {
    let DueRetry { envelope, attempts, reason } = due;
    if attempts > ATTEMPTS {
        let before = reason.unwrap_or_else(|| "no error was recorded".to_owned());
        let reason = format!("the process ended during attempt {ATTEMPTS}; last recorded error: {before}");
        return dead_letter_event(store, &envelope, reason).await;
    }
    match attempt(store, store.apply_alone(&envelope), true).await {
        Ok(applied) => {
            isolate::record_metrics(applied);
            Ok(())
        }
        Err(ApplyError::Unavailable(error)) => {
            store.revert_attempt(&envelope).await?;
            Err(error)
        }
        Err(error) if attempts == ATTEMPTS || matches!(error, ApplyError::Permanent(_)) => {
            let reason = format!("failed {attempts} times: {}", error.reason());
            dead_letter_event(store, &envelope, reason).await
        }
        Err(error) => store.record_failure(&envelope, error.reason()).await,
    }
}
