//! Eviction: what waits for its client, the longest waiting first. If there is no room for a new one, the one
//! that has waited longest is evicted: an honest client is soon done, one that only holds a connection never is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// All entries. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct EvictionQueue(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    next_position: u64,
    by_position: BTreeMap<u64, CancellationToken>,
}

impl Entries {
    fn push(&mut self, evicted: CancellationToken) -> u64 {
        let position = self.next_position;
        self.next_position += 1;
        self.by_position.insert(position, evicted);
        position
    }
}

impl EvictionQueue {
    /// Adds an entry at the back, until the handle is dropped.
    pub(crate) fn push(&self) -> EvictionHandle {
        let evicted = CancellationToken::new();
        let position = Mutex::new(self.entries().push(evicted.clone()));
        EvictionHandle { queue: self.clone(), position, evicted }
    }

    /// Evicts the entry that has waited longest; false if there is none.
    pub(crate) fn evict_oldest(&self) -> bool {
        let oldest = self.entries().by_position.pop_first();
        oldest.is_some_and(|(_, evicted)| {
            evicted.cancel();
            true
        })
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One entry.
pub(crate) struct EvictionHandle {
    queue: EvictionQueue,
    position: Mutex<u64>,
    evicted: CancellationToken,
}

impl EvictionHandle {
    /// Moves to the back, because the client has made progress. An evicted entry stays evicted.
    pub(crate) fn move_to_back(&self) {
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = self.queue.entries();
        if entries.by_position.remove(&position).is_some() {
            *position = entries.push(self.evicted.clone());
        }
    }

    /// Resolves once this entry is evicted.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for EvictionHandle {
    fn drop(&mut self) {
        let position = self.position.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.queue.entries().by_position.remove(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_evicted(handles: &[&EvictionHandle]) -> Vec<bool> {
        handles.iter().map(|handle| handle.evicted.is_cancelled()).collect()
    }

    #[test]
    fn oldest_is_evicted_progress_moves_to_back() {
        let queue = EvictionQueue::default();
        let (first, second, third) = (queue.push(), queue.push(), queue.push());
        first.move_to_back();
        assert!(queue.evict_oldest());
        assert_eq!(are_evicted(&[&first, &second, &third]), [false, true, false]);
        drop(third);
        assert!(queue.evict_oldest());
        assert_eq!(are_evicted(&[&first, &second]), [true, true]);
        first.move_to_back();
        assert!(!queue.evict_oldest(), "an evicted entry does not come back");
    }
}
