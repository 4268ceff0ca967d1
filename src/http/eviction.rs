//! Who waits for their clients, in the order in which they began to: where there is no room for a newcomer, the
//! one who has waited longest gives way. A client in earnest is soon done; one that only holds on never is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// All who wait. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct EvictionQueue(Arc<Mutex<Line>>);

#[derive(Default)]
struct Line {
    next: u64,
    by_turn: BTreeMap<u64, CancellationToken>,
}

impl Line {
    fn join(&mut self, dismissed: CancellationToken) -> u64 {
        let turn = self.next;
        self.next += 1;
        self.by_turn.insert(turn, dismissed);
        turn
    }
}

impl EvictionQueue {
    /// Joins the end of the line, until the waiter is dropped.
    pub(crate) fn join(&self) -> Waiter {
        let dismissed = CancellationToken::new();
        let turn = Mutex::new(self.line().join(dismissed.clone()));
        Waiter { waiting: self.clone(), turn, dismissed }
    }

    /// Asks the one who has waited longest to give way; false where nobody waits.
    pub(crate) fn dismiss_longest(&self) -> bool {
        let longest = self.line().by_turn.pop_first();
        longest.is_some_and(|(_, dismissed)| {
            dismissed.cancel();
            true
        })
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of those who wait.
pub(crate) struct Waiter {
    waiting: EvictionQueue,
    turn: Mutex<u64>,
    dismissed: CancellationToken,
}

impl Waiter {
    /// Goes back to the end of the line: what was waited for has come, and the next is waited for. Who was
    /// dismissed stays so.
    pub(crate) fn begin_again(&self) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = self.waiting.line();
        if line.by_turn.remove(&turn).is_some() {
            *turn = line.join(self.dismissed.clone());
        }
    }

    /// Resolves once this one has to give way.
    pub(crate) async fn dismissed(&self) {
        self.dismissed.cancelled().await;
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
        waiters.iter().map(|waiter| waiter.dismissed.is_cancelled()).collect()
    }

    #[test]
    fn the_longest_waiting_gives_way_and_what_has_come_begins_a_new_wait() {
        let waiting = EvictionQueue::default();
        let (first, second, third) = (waiting.join(), waiting.join(), waiting.join());
        first.begin_again();
        assert!(waiting.dismiss_longest());
        assert_eq!(gone(&[&first, &second, &third]), [false, true, false]);
        drop(third);
        assert!(waiting.dismiss_longest());
        assert_eq!(gone(&[&first, &second]), [true, true]);
        first.begin_again();
        assert!(!waiting.dismiss_longest(), "who is dismissed does not wait again");
    }
}
