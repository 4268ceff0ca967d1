//! Cutting a poison event out of its batch, and telling what fails for its own sake from what waits.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use crate::database::within_reason;
use crate::envelope::Envelope;
use crate::store::{Applied, Store, StoreError};

/// Why a part of a batch was not applied.
#[derive(Debug)]
pub(super) enum Fault {
    /// The database is away or too busy: nothing is wrong with the events.
    Away(StoreError),
    /// Some event fails, and may not do so later.
    Fails(String),
    /// Some event can never be applied.
    Hopeless(String),
}

/// Applies `batch`; where that fails for its own sake, applies its halves, down to the single event at fault. That one
/// is set aside to be tried again alone, or is a dead letter at once where no attempt can help. `is_suspicious`: the
/// connection was lost again and again over this batch, and while the database answers others, that is its fault, too.
///
/// # Errors
/// [`StoreError::Unavailable`] alone: nothing is lost by applying the same batch again later.
pub async fn apply(store: &Store, batch: Vec<Envelope>, is_suspicious: bool) -> Result<(), StoreError> {
    let mut pending = vec![batch];
    while let Some(mut part) = pending.pop() {
        match attempt(store, part.clone(), is_suspicious).await {
            Ok(applied) => count(applied),
            Err(Fault::Away(error)) => return Err(error),
            Err(fault) if part.len() == 1 => {
                for envelope in part {
                    end(store, envelope, fault_text(&fault), matches!(fault, Fault::Hopeless(_))).await?;
                }
            }
            Err(_) => {
                let rest = part.split_off(part.len() / 2);
                pending.push(rest);
                pending.push(part);
            }
        }
    }
    Ok(())
}

async fn end(store: &Store, event: Envelope, reason: &str, is_hopeless: bool) -> Result<(), StoreError> {
    let (source, event_id) = (event.source, event.event_id.clone());
    if !is_hopeless {
        tracing::warn!(%source, event_id, reason, "an event fails and is set aside");
        return store.set_aside(event, reason).await;
    }
    tracing::error!(%source, event_id, reason, "a dead letter");
    store.bury(vec![(event, reason.to_owned())]).await?;
    count_dead();
    Ok(())
}

/// One attempt, which may break down without taking the process with it.
pub(super) async fn attempt(
    store: &Store,
    part: Vec<Envelope>,
    is_suspicious: bool,
) -> Result<Applied, Fault> {
    match AssertUnwindSafe(within_reason(store.apply(part))).catch_unwind().await {
        Ok(Ok(applied)) => Ok(applied),
        Ok(Err(error)) if is_suspicious && error.is_lost_connection() && store.answers().await => {
            Err(Fault::Fails(format!("it ends the connection to the database: {error}")))
        }
        Ok(Err(error @ StoreError::Unavailable(_))) => Err(Fault::Away(error)),
        Ok(Err(StoreError::Refused(error))) if StoreError::is_hopeless(&error) => {
            Err(Fault::Hopeless(error.to_string()))
        }
        Ok(Err(StoreError::Refused(error))) => Err(Fault::Fails(error.to_string())),
        Err(panic) => Err(Fault::Fails(format!("it breaks the program: {}", said(panic.as_ref())))),
    }
}

pub(super) fn fault_text(fault: &Fault) -> &str {
    match fault {
        Fault::Away(_) => "the database is away",
        Fault::Fails(reason) | Fault::Hopeless(reason) => reason,
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

pub(super) fn count_dead() {
    metrics::counter!(APPLIED, "outcome" => "dead").increment(1);
}

/// Events by what became of them.
pub const APPLIED: &str = "memberflow_events_applied_total";
