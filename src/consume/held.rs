//! The broker's events that this process has taken and not applied yet. A queue is read in order, so the oldest of them is
//! about as old as the oldest in the queue, which AMQP does not report.

use std::sync::{Arc, Mutex, PoisonError};

use time::OffsetDateTime;

use crate::queue::Batch;

/// When the oldest event of each batch was received. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Arc<Mutex<Vec<OffsetDateTime>>>);

/// A batch is held until this is dropped.
#[derive(Debug)]
pub(super) struct Holding {
    held: Held,
    oldest: Option<OffsetDateTime>,
}

impl Held {
    /// Holds `batch`. Pending events are not counted: Postgres knows of them.
    pub(super) fn hold(&self, batch: &Batch) -> Holding {
        let received = batch.envelopes.iter().map(|event| event.received_at);
        self.hold_from(if batch.is_pending() { None } else { received.min() })
    }

    fn hold_from(&self, oldest: Option<OffsetDateTime>) -> Holding {
        self.change(|batches| batches.extend(oldest));
        Holding { held: self.clone(), oldest }
    }

    /// When the oldest of them was received.
    pub(super) fn oldest(&self) -> Option<OffsetDateTime> {
        self.change(|batches| batches.iter().copied().min())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<OffsetDateTime>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let Some(oldest) = self.oldest else { return };
        self.held.change(|batches| {
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
    fn oldest_event_is_that_of_the_batches_under_way() {
        let (earlier, later) = (datetime!(2026-11-20 12:00 UTC), datetime!(2026-11-20 12:01 UTC));
        let held = Held::default();
        let first = held.hold_from(Some(earlier));
        let again = held.hold_from(Some(earlier));
        let second = held.hold_from(Some(later));
        assert_eq!(held.oldest(), Some(earlier));
        drop(first);
        assert_eq!(held.oldest(), Some(earlier));
        drop(again);
        assert_eq!(held.oldest(), Some(later));
        drop(second);
        drop(held.hold_from(None));
        assert_eq!(held.oldest(), None);
    }
}
