//! Isolates a poison event from its batch, and distinguishes a bad event from an unavailable database.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::database::with_time_limit;
use crate::envelope::Envelope;
use crate::queue::Batch;
use crate::store::events::retries;
use crate::store::{Applied, Store, StoreError};

/// Why events were not applied.
#[derive(Debug)]
pub(super) enum ApplyError {
    /// The database is down or too busy: nothing is wrong with the events.
    Unavailable(StoreError),
    /// The event fails, but may succeed later.
    Transient(String),
    /// The event can never be applied.
    Permanent(String),
}

impl ApplyError {
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Unavailable(_) => "the database is unavailable",
            Self::Transient(reason) | Self::Permanent(reason) => reason,
        }
    }
}

/// Applies `batch`; if that fails because of an event, applies its halves, down to the single event at fault.
/// That one is retried alone later, or dead-lettered at once if no retry can help. `may_be_poison`: this batch has
/// failed repeatedly with errors that an event may cause. If the database can be reached, such an error is then blamed
/// on an event.
///
/// # Errors
/// [`StoreError`] where no event of the batch is to blame: apply the same batch again later.
pub async fn apply(store: &Store, batch: &mut Batch, may_be_poison: bool) -> Result<(), StoreError> {
    with_time_limit(store.store_suspects(&batch.suspects)).await?;
    with_time_limit(batch.begin_attempt()).await?;
    if batch.envelopes.is_empty() {
        // All were suspects, or another process has taken them.
        return Ok(());
    }
    let (mut transaction, is_pending) = (batch.take_transaction(), batch.is_pending());
    let mut parts = vec![&batch.envelopes[..]];
    while let Some(part) = parts.pop() {
        let applying = async {
            if is_pending {
                store.apply_pending(transaction.take(), part).await
            } else {
                store.apply(part).await
            }
        };
        match attempt(store, applying, may_be_poison).await {
            Ok(applied) => record_metrics(applied),
            Err(ApplyError::Unavailable(error)) => return Err(error),
            Err(error) => match part {
                [event] => with_time_limit(retry_later_or_dead_letter(store, event, error)).await?,
                _ => {
                    let (first, rest) = part.split_at(part.len() / 2);
                    parts.extend([rest, first]);
                }
            },
        }
    }
    Ok(())
}

/// Dead-letters the event, or schedules its retry.
async fn retry_later_or_dead_letter(
    store: &Store,
    event: &Envelope,
    error: ApplyError,
) -> Result<(), StoreError> {
    match error {
        ApplyError::Permanent(reason) => dead_letter_event(store, event, reason).await,
        error => {
            let reason = error.reason();
            tracing::warn!(source = %event.source, event_id = event.event_id, reason, "event failed, will retry");
            store.schedule_retry(event, reason).await
        }
    }
}

/// Dead-letters an event.
pub(super) async fn dead_letter_event(
    store: &Store,
    event: &Envelope,
    reason: String,
) -> Result<(), StoreError> {
    let dead = [(event, reason)];
    store.dead_letter(&dead).await?;
    retries::log_dead_letter(event, &dead[0].1);
    metrics::counter!(APPLIED, "outcome" => "dead").increment(1);
    Ok(())
}

/// One attempt to apply events; a panic is caught.
pub(super) async fn attempt(
    store: &Store,
    applying: impl Future<Output = Result<Applied, StoreError>>,
    may_be_poison: bool,
) -> Result<Applied, ApplyError> {
    match AssertUnwindSafe(with_time_limit(applying)).catch_unwind().await {
        Ok(Ok(applied)) => Ok(applied),
        Ok(Err(error))
            if may_be_poison && error.may_be_caused_by_an_event() && store.is_reachable().await =>
        {
            let reason = if error.is_lost_connection() { "applying it loses the connection: " } else { "" };
            Err(ApplyError::Transient(format!("{reason}{error}")))
        }
        Ok(Err(error @ StoreError::Unavailable(_))) => Err(ApplyError::Unavailable(error)),
        Ok(Err(StoreError::Rejected(error))) if StoreError::is_permanent(&error) => {
            Err(ApplyError::Permanent(error.to_string()))
        }
        Ok(Err(StoreError::Rejected(error))) => Err(ApplyError::Transient(error.to_string())),
        Err(panic) => {
            Err(ApplyError::Transient(format!("applying it panics: {}", panic_message(panic.as_ref()))))
        }
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

pub(super) fn record_metrics(applied: Applied) {
    tracing::debug!(applied.new, applied.repeated, applied.dead, "applied a batch");
    metrics::counter!(APPLIED, "outcome" => "new").increment(applied.new as u64);
    metrics::counter!(APPLIED, "outcome" => "repeated").increment(applied.repeated as u64);
    metrics::counter!(APPLIED, "outcome" => "dead").increment(applied.dead as u64);
}

/// Applied events, by outcome.
pub const APPLIED: &str = "memberflow_events_applied_total";
