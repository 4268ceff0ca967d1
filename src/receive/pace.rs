//! Answering what was not taken at a bounded pace: who sends nothing good, again as soon as there is an answer, waits
//! for the answer, and leaves the machine to those who send what is.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// What deliveries that were not taken may cost for each second, in bytes read.
const BYTES_PER_SECOND: u32 = 16_000_000;
/// The least that one costs, however short its body: a thousand of them in a second.
const LEAST_BYTES: u32 = 16_000;
/// So much is answered without a wait after a calm time.
const BURST: Duration = Duration::from_millis(500);
/// The longest wait. Where even that does not pay for all, the waits spread over its second half: answers that
/// came together would bring the next deliveries together.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// One source's answers to what was not taken.
#[derive(Default)]
pub(super) struct Pace {
    /// When all that was answered so far is paid for.
    paid: Mutex<Option<Instant>>,
}

impl Pace {
    /// Resolves when it is the turn of an answer to a delivery whose body was so long at most.
    pub(super) async fn turn(&self, body_bytes: usize) {
        sleep(self.wait(Instant::now(), body_bytes)).await;
    }

    /// How long that answer waits.
    fn wait(&self, now: Instant, body_bytes: usize) -> Duration {
        let bytes = u32::try_from(body_bytes).unwrap_or(u32::MAX).max(LEAST_BYTES);
        let cost = Duration::from_secs(1) * bytes / BYTES_PER_SECOND;
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let mut then = paid.map_or(now, |paid| paid.max(now)) + cost;
        let mut wait = then.saturating_duration_since(now + BURST);
        if wait > WAIT_MAX {
            wait = WAIT_MAX / 2;
            then = now + BURST + wait;
        }
        *paid = Some(then);
        wait
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_thousand_short_ones_a_second_are_answered_at_once() {
        let (pace, begun) = (Pace::default(), Instant::now());
        for ms in 0..3000 {
            assert_eq!(pace.wait(begun + Duration::from_millis(ms), 2500), Duration::ZERO);
        }
    }

    #[test]
    fn beyond_that_each_waits_for_those_before_it_but_not_without_end() {
        let (pace, now) = (Pace::default(), Instant::now());
        let waits: Vec<Duration> = (0..10_000).map(|_| pace.wait(now, 2500)).collect();
        assert_eq!(waits[499], Duration::ZERO);
        assert!((1495..1505).contains(&waits[1999].as_millis()), "{:?}", waits[1999]);
        for later in waits[5500..].chunks_exact(2500) {
            let spread: BTreeSet<u128> = later.iter().map(Duration::as_millis).collect();
            assert!(spread.len() > 2400 && later.iter().all(|wait| (WAIT_MAX / 2..=WAIT_MAX).contains(wait)));
        }
        let calm_again = now + BURST + WAIT_MAX;
        assert_eq!(pace.wait(calm_again, 2500), Duration::ZERO, "what was not waited for is not owed");
    }

    #[test]
    fn long_bodies_cost_what_they_hold() {
        let (pace, now) = (Pace::default(), Instant::now());
        let megabyte = 1_000_000;
        for _ in 0..8 {
            assert_eq!(pace.wait(now, megabyte), Duration::ZERO);
        }
        assert_eq!(pace.wait(now, 16 * megabyte), Duration::from_secs(1));
        assert_eq!(pace.wait(now, usize::MAX), WAIT_MAX / 2);
    }
}
