//! Events that were set aside: tried again one by one, less and less often, and dead letters in the end.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::isolate::{self, Fault, attempt, fault_text};
use crate::database::within_reason;
use crate::lifecycle::Lifecycle;
use crate::store::failing::{ATTEMPTS, Due};
use crate::store::{Store, StoreError};

/// How often it is looked for what is due.
const PERIOD: Duration = Duration::from_secs(1);

/// Tries again until the process stops.
pub async fn run(store: &Store, lifecycle: &Lifecycle) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while lifecycle.until_stopping(ticks.tick()).await.is_some() {
        if let Err(error) = round(store, lifecycle).await {
            tracing::debug!(%error, "failing events wait for the database");
        }
    }
}

async fn round(store: &Store, lifecycle: &Lifecycle) -> Result<(), StoreError> {
    while !lifecycle.stopping.is_cancelled() {
        let Some(due) = within_reason(store.next_failing()).await? else { return Ok(()) };
        within_reason(again(store, due)).await?;
    }
    Ok(())
}

/// The attempt is counted already: should it end the process, the count stands.
async fn again(store: &Store, due: Due) -> Result<(), StoreError> {
    let Due { envelope, attempts, last_error } = due;
    if attempts > ATTEMPTS {
        let before = last_error.unwrap_or_else(|| "no error was told".to_owned());
        return give_up(
            store,
            envelope,
            format!("{ATTEMPTS} attempts ended with the process; before: {before}"),
        )
        .await;
    }
    match attempt(store, vec![envelope.clone()], true).await {
        Ok(applied) => {
            isolate::count(applied);
            store.no_longer_failing(&envelope).await
        }
        Err(Fault::Away(error)) => {
            store.failed_again(&envelope, None).await?;
            Err(error)
        }
        Err(fault) if attempts == ATTEMPTS || matches!(fault, Fault::Hopeless(_)) => {
            give_up(store, envelope, format!("failed {attempts} times: {}", fault_text(&fault))).await
        }
        Err(fault) => store.failed_again(&envelope, Some(fault_text(&fault))).await,
    }
}

async fn give_up(store: &Store, event: crate::envelope::Envelope, reason: String) -> Result<(), StoreError> {
    tracing::error!(source = %event.source, event_id = event.event_id, reason, "a dead letter");
    store.give_up(event, reason).await?;
    isolate::count_dead();
    Ok(())
}
