//! Cutting a poison event out of its batch.

use crate::envelope::Envelope;
use crate::store::{Store, StoreError};

/// Applies `batch`; where the database refuses it, applies its halves, down to the single event at fault,
/// which is kept as a dead letter with what the database said.
///
/// # Errors
/// [`StoreError::Unavailable`] alone: nothing is lost by applying the same batch again later.
pub async fn apply(store: &Store, batch: Vec<Envelope>) -> Result<(), StoreError> {
    let mut pending = vec![batch];
    while let Some(mut part) = pending.pop() {
        match store.apply(part.clone()).await {
            Ok(applied) => {
                tracing::debug!(applied.new, applied.repeated, applied.dead, "applied a batch");
                metrics::counter!(APPLIED, "outcome" => "new").increment(applied.new as u64);
                metrics::counter!(APPLIED, "outcome" => "repeated").increment(applied.repeated as u64);
                metrics::counter!(APPLIED, "outcome" => "dead").increment(applied.dead as u64);
            }
            Err(error @ StoreError::Unavailable(_)) => return Err(error),
            Err(StoreError::Refused(error)) if part.len() == 1 => {
                let reason = error.to_string();
                for envelope in &part {
                    tracing::error!(source = %envelope.source, event_id = envelope.event_id, reason, "a dead letter");
                }
                store.bury(part.into_iter().map(|envelope| (envelope, reason.clone())).collect()).await?;
                metrics::counter!(APPLIED, "outcome" => "dead").increment(1);
            }
            Err(StoreError::Refused(_)) => {
                let rest = part.split_off(part.len() / 2);
                pending.push(rest);
                pending.push(part);
            }
        }
    }
    Ok(())
}

/// Events by what became of them.
pub const APPLIED: &str = "memberflow_events_applied_total";
