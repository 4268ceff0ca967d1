//! A queue of connections or bodies that wait for their client. If there is no room for a new one, the one that has
//! waited longest is evicted: an honest client is soon done, one that only holds a connection never is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// All entries. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct EvictionQueue(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    next_position: u64,
    by_position: BTreeMap<u64, Entry>,
}

struct Entry {
    evicted: CancellationToken,
    released: oneshot::Receiver<()>,
}

impl Entries {
    fn push(&mut self, entry: Entry) -> u64 {
        let position = self.next_position;
        self.next_position += 1;
        self.by_position.insert(position, entry);
        position
    }
}

impl EvictionQueue {
    /// Adds an entry at the back, until the handle is dropped.
    pub(crate) fn push(&self) -> EvictionHandle {
        let evicted = CancellationToken::new();
        let (holder, released) = oneshot::channel();
        let entry = Entry { evicted: evicted.clone(), released };
        let position = Mutex::new(self.entries().push(entry));
        EvictionHandle { queue: self.clone(), position, evicted, _holder: holder }
    }

    /// Evicts the entry that has waited longest; `None` if there is none.
    pub(crate) fn evict_oldest(&self) -> Option<Evicted> {
        let (_, Entry { evicted, released }) = self.entries().by_position.pop_first()?;
        evicted.cancel();
        Some(Evicted(released))
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
    _holder: oneshot::Sender<()>,
}

/// An evicted entry.
pub(crate) struct Evicted(oneshot::Receiver<()>);

impl Evicted {
    /// Resolves once its handle is dropped.
    pub(crate) async fn released(self) {
        self.0.await.ok();
    }
}

impl EvictionHandle {
    /// Moves to the back, because the client has made progress. An evicted entry stays evicted.
    pub(crate) fn move_to_back(&self) {
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = self.queue.entries();
        if let Some(entry) = entries.by_position.remove(&position) {
            *position = entries.push(entry);
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
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    fn are_evicted(handles: &[&EvictionHandle]) -> Vec<bool> {
        handles.iter().map(|handle| handle.evicted.is_cancelled()).collect()
    }

    #[test]
    fn oldest_is_evicted_progress_moves_to_back() {
        let queue = EvictionQueue::default();
        let (first, second, third) = (queue.push(), queue.push(), queue.push());
        first.move_to_back();
        assert!(queue.evict_oldest().is_some());
        assert_eq!(are_evicted(&[&first, &second, &third]), [false, true, false]);
        drop(third);
        assert!(queue.evict_oldest().is_some());
        assert_eq!(are_evicted(&[&first, &second]), [true, true]);
        first.move_to_back();
        assert!(queue.evict_oldest().is_none(), "an evicted entry does not come back");
    }

    #[tokio::test]
    async fn evicted_entry_is_released_once_its_handle_is_dropped() {
        let queue = EvictionQueue::default();
        let handle = queue.push();
        let mut released = pin!(queue.evict_oldest().unwrap().released());
        assert!(released.as_mut().now_or_never().is_none());
        drop(handle);
        assert!(released.now_or_never().is_some());
    }
}
