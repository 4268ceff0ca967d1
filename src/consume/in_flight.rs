//! The broker's events that this process has taken and not applied yet. A queue is read in order, so the oldest of them is
//! about as old as the oldest in the queue, which AMQP does not report.

use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;

use crate::queue::Batch;

/// When the oldest event of each batch was received. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<Mutex<Vec<OffsetDateTime>>>);

/// A batch is in flight until this is dropped.
#[derive(Debug)]
pub(super) struct InFlightGuard {
    in_flight: InFlight,
    oldest: Option<OffsetDateTime>,
}

impl InFlight {
    /// Tracks `batch`. Pending events are not counted: Postgres knows of them.
    pub(super) fn track(&self, batch: &Batch) -> InFlightGuard {
        let received = batch.envelopes.iter().map(|event| event.received_at);
        self.track_from(if batch.is_pending() { None } else { received.min() })
    }

    fn track_from(&self, oldest: Option<OffsetDateTime>) -> InFlightGuard {
        self.change(|batches| batches.extend(oldest));
        InFlightGuard { in_flight: self.clone(), oldest }
    }

    /// When the oldest of them was received.
    pub(super) fn oldest(&self) -> Option<OffsetDateTime> {
        self.change(|batches| batches.iter().copied().min())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<OffsetDateTime>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let Some(oldest) = self.oldest else { return };
        self.in_flight.change(|batches| {
            if let Some(at) = batches.iter().position(|one| *one == oldest) {
                batches.swap_remove(at);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn oldest_event_is_that_of_the_batches_in_flight() {
        let (earlier, later) = (datetime!(2026-11-20 12:00 UTC), datetime!(2026-11-20 12:01 UTC));
        let in_flight = InFlight::default();
        let first = in_flight.track_from(Some(earlier));
        let again = in_flight.track_from(Some(earlier));
        let second = in_flight.track_from(Some(later));
        assert_eq!(in_flight.oldest(), Some(earlier));
        drop(first);
        assert_eq!(in_flight.oldest(), Some(earlier));
        drop(again);
        assert_eq!(in_flight.oldest(), Some(later));
        drop(second);
        drop(in_flight.track_from(None));
        assert_eq!(in_flight.oldest(), None);
    }
}
