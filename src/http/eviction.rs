//! Eviction: those that wait for their clients, oldest first. If there is no room for a new one, the one that
//! has waited longest is evicted: an honest client is soon done, one that only holds a connection never is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// All waiters. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct EvictionQueue(Arc<Mutex<Line>>);

#[derive(Default)]
struct Line {
    next: u64,
    by_turn: BTreeMap<u64, CancellationToken>,
}

impl Line {
    fn join(&mut self, evicted: CancellationToken) -> u64 {
        let turn = self.next;
        self.next += 1;
        self.by_turn.insert(turn, evicted);
        turn
    }
}

impl EvictionQueue {
    /// Adds a waiter at the end, until it is dropped.
    pub(crate) fn join(&self) -> Waiter {
        let evicted = CancellationToken::new();
        let turn = Mutex::new(self.line().join(evicted.clone()));
        Waiter { waiting: self.clone(), turn, evicted }
    }

    /// Evicts the one that has waited longest; false if nobody waits.
    pub(crate) fn evict_oldest(&self) -> bool {
        let longest = self.line().by_turn.pop_first();
        longest.is_some_and(|(_, evicted)| {
            evicted.cancel();
            true
        })
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place in the eviction order.
pub(crate) struct Waiter {
    waiting: EvictionQueue,
    turn: Mutex<u64>,
    evicted: CancellationToken,
}

impl Waiter {
    /// Moves to the end, because the client has made progress. An evicted waiter stays evicted.
    pub(crate) fn move_to_back(&self) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = self.waiting.line();
        if line.by_turn.remove(&turn).is_some() {
            *turn = line.join(self.evicted.clone());
        }
    }

    /// Resolves once this waiter is evicted.
    pub(crate) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let turn = self.turn.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.waiting.line().by_turn.remove(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(waiters: &[&Waiter]) -> Vec<bool> {
        waiters.iter().map(|waiter| waiter.evicted.is_cancelled()).collect()
    }

    #[test]
    fn longest_waiter_is_evicted_progress_moves_to_back() {
        let waiting = EvictionQueue::default();
        let (first, second, third) = (waiting.join(), waiting.join(), waiting.join());
        first.move_to_back();
        assert!(waiting.evict_oldest());
        assert_eq!(gone(&[&first, &second, &third]), [false, true, false]);
        drop(third);
        assert!(waiting.evict_oldest());
        assert_eq!(gone(&[&first, &second]), [true, true]);
        first.move_to_back();
        assert!(!waiting.evict_oldest(), "an evicted waiter does not wait again");
    }
}
