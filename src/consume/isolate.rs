//! Cutting a poison event out of its batch, and telling what fails for its own sake from what waits.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::database::within_reason;
use crate::envelope::Envelope;
use crate::queue::Batch;
use crate::store::{Applied, Store, StoreError};

/// Why a part of a batch was not applied.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database is away or too busy: nothing is wrong with the events.
    Unavailable(StoreError),
    /// Some event fails, and may not do so later.
    Passing(String),
    /// Some event can never be applied.
    Permanent(String),
}

/// Applies `batch`; where that fails for its own sake, applies its halves, down to the single event at fault. That one
/// is to be tried again alone, or is a dead letter at once where no attempt can help. `is_suspicious`: the connection
/// was lost again and again over this batch, and while the database answers others, that is its fault, too.
///
/// # Errors
/// [`StoreError::Unavailable`] alone: nothing is lost by applying the same batch again later.
pub async fn apply(store: &Store, batch: &mut Batch, is_suspicious: bool) -> Result<(), StoreError> {
    within_reason(store.set_aside(&batch.suspects)).await?;
    within_reason(batch.begin()).await?;
    let (mut held, is_pending) = (batch.take_held(), batch.is_pending());
    let mut parts = vec![&batch.envelopes[..]];
    while let Some(part) = parts.pop() {
        let applying = async {
            match part {
                part if is_pending => store.apply_pending(held.take(), part).await,
                [] => Ok(Applied::default()),
                part => store.apply(part).await,
            }
        };
        match attempt(store, applying, is_suspicious).await {
            Ok(applied) => count(applied),
            Err(Fault::Unavailable(error)) => return Err(error),
            Err(fault) => match part {
                [event] => end(store, event, fault).await?,
                _ => {
                    let (first, rest) = part.split_at(part.len() / 2);
                    parts.extend([rest, first]);
                }
            },
        }
    }
    Ok(())
}

async fn end(store: &Store, event: &Envelope, fault: Fault) -> Result<(), StoreError> {
    match fault {
        Fault::Permanent(reason) => give_up(store, event, reason).await,
        fault => {
            let reason = fault_text(&fault);
            tracing::warn!(source = %event.source, event_id = event.event_id, reason, "event failed, will retry");
            store.schedule_retry(event, reason).await
        }
    }
}

/// Makes an event a dead letter.
pub(super) async fn give_up(store: &Store, event: &Envelope, reason: String) -> Result<(), StoreError> {
    tracing::error!(source = %event.source, event_id = event.event_id, reason, "event dead-lettered");
    store.dead_letter(&[(event, reason)]).await?;
    metrics::counter!(APPLIED, "outcome" => "dead").increment(1);
    Ok(())
}

/// One attempt, which may break down without taking the process with it.
pub(super) async fn attempt(
    store: &Store,
    applying: impl Future<Output = Result<Applied, StoreError>>,
    is_suspicious: bool,
) -> Result<Applied, Fault> {
    match AssertUnwindSafe(within_reason(applying)).catch_unwind().await {
        Ok(Ok(applied)) => Ok(applied),
        Ok(Err(error)) if is_suspicious && error.is_lost_connection() && store.answers().await => {
            Err(Fault::Passing(format!("it ends the connection to the database: {error}")))
        }
        Ok(Err(error @ StoreError::Unavailable(_))) => Err(Fault::Unavailable(error)),
        Ok(Err(StoreError::Refused(error))) if StoreError::is_hopeless(&error) => {
            Err(Fault::Permanent(error.to_string()))
        }
        Ok(Err(StoreError::Refused(error))) => Err(Fault::Passing(error.to_string())),
        Err(panic) => Err(Fault::Passing(format!("it breaks the program: {}", said(panic.as_ref())))),
    }
}

pub(super) fn fault_text(fault: &Fault) -> &str {
    match fault {
        Fault::Unavailable(_) => "the database is away",
        Fault::Passing(reason) | Fault::Permanent(reason) => reason,
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

pub(super) fn count(applied: Applied) {
    tracing::debug!(applied.new, applied.repeated, applied.dead, "applied a batch");
    metrics::counter!(APPLIED, "outcome" => "new").increment(applied.new as u64);
    metrics::counter!(APPLIED, "outcome" => "repeated").increment(applied.repeated as u64);
    metrics::counter!(APPLIED, "outcome" => "dead").increment(applied.dead as u64);
}

/// Events by what became of them.
pub const APPLIED: &str = "memberflow_events_applied_total";
