//! Throttles rejections: a sender of bad requests that repeats as soon as it is answered waits for the
//! answer, which leaves the CPU to good requests.
//!
//! A leaky bucket: `drained_at` is when all costs so far are worked off at the rate; what exceeds the burst waits.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// A rate of cost. Its unit is the caller's choice: bytes for rejected deliveries, requests for the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    per_second: u32,
    /// The least cost of one answer.
    min_cost: u32,
    /// Answered without a wait after a quiet period.
    burst: Duration,
    /// The longest wait. When the backlog would need longer, waits spread over the second half of it, so that
    /// the next requests do not arrive all at once.
    wait_max: Duration,
}

impl Rate {
    /// Rejected deliveries of one source, in bytes read; at most a thousand per second, however short.
    pub(crate) const REJECTED_DELIVERIES: Self = Self {
        per_second: 16_000_000,
        min_cost: 16_000,
        burst: Duration::from_millis(500),
        wait_max: Duration::from_secs(5),
    };
    /// Health and metrics. The wait stays short: load balancers time out after a second or two.
    pub(crate) const OPS: Self = Self {
        per_second: 2_000,
        min_cost: 1,
        burst: Duration::from_millis(500),
        wait_max: Duration::from_millis(500),
    };
    /// API requests with a wrong token: ten at once, then ten per second.
    pub(crate) const REJECTED_TOKENS: Self =
        Self { per_second: 10, min_cost: 1, burst: Duration::from_secs(1), wait_max: Duration::from_secs(5) };
}

/// The answers that share one rate.
pub(crate) struct Throttle {
    rate: Rate,
    /// When the rate has made up for the cost of all answers so far.
    drained_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// Answers at `rate`.
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, drained_at: Mutex::default() }
    }

    /// Waits until an answer of this cost may be sent.
    pub(crate) async fn until_ready(&self, cost: usize) {
        sleep(self.wait(Instant::now(), cost)).await;
    }

    fn wait(&self, now: Instant, cost: usize) -> Duration {
        let Rate { per_second, min_cost, burst, wait_max } = self.rate;
        let cost = u32::try_from(cost).unwrap_or(u32::MAX).max(min_cost);
        let cost = Duration::from_secs(1) * cost / per_second;
        let mut drained_at = self.drained_at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new_drained_at = drained_at.map_or(now, |earlier| earlier.max(now)) + cost;
        let mut wait = new_drained_at.saturating_duration_since(now + burst);
        if wait > wait_max {
            wait = wait_max / 2;
            new_drained_at = now + burst + wait;
        }
        *drained_at = Some(new_drained_at);
        wait
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const BURST: Duration = Rate::REJECTED_DELIVERIES.burst;
    const WAIT_MAX: Duration = Rate::REJECTED_DELIVERIES.wait_max;

    #[test]
    fn thousand_short_rejections_per_second_do_not_wait() {
        let (throttle, begun) = (Throttle::new(Rate::REJECTED_DELIVERIES), Instant::now());
        for ms in 0..3000 {
            assert_eq!(throttle.wait(begun + Duration::from_millis(ms), 2500), Duration::ZERO);
        }
    }

    #[test]
    fn excess_rejections_wait_at_most_wait_max() {
        let (throttle, now) = (Throttle::new(Rate::REJECTED_DELIVERIES), Instant::now());
        let waits: Vec<Duration> = (0..10_000).map(|_| throttle.wait(now, 2500)).collect();
        assert_eq!(waits[499], Duration::ZERO);
        assert!((1495..1505).contains(&waits[1999].as_millis()), "{:?}", waits[1999]);
        for later in waits[5500..].chunks_exact(2500) {
            let spread: BTreeSet<u128> = later.iter().map(Duration::as_millis).collect();
            assert!(spread.len() > 2400 && later.iter().all(|wait| (WAIT_MAX / 2..=WAIT_MAX).contains(wait)));
        }
        let calm_again = now + BURST + WAIT_MAX;
        assert_eq!(
            throttle.wait(calm_again, 2500),
            Duration::ZERO,
            "waits beyond the maximum are not carried over"
        );
    }

    #[test]
    fn long_bodies_cost_their_length() {
        let (throttle, now) = (Throttle::new(Rate::REJECTED_DELIVERIES), Instant::now());
        let megabyte = 1_000_000;
        for _ in 0..8 {
            assert_eq!(throttle.wait(now, megabyte), Duration::ZERO);
        }
        assert_eq!(throttle.wait(now, 16 * megabyte), Duration::from_secs(1));
        assert_eq!(throttle.wait(now, usize::MAX), WAIT_MAX / 2);
    }

    #[test]
    fn probe_during_flood_waits_at_most_half_a_second() {
        let (throttle, now) = (Throttle::new(Rate::OPS), Instant::now());
        let longest = (0..10_000).map(|_| throttle.wait(now, 1)).max();
        assert_eq!(longest, Some(Duration::from_millis(500)));
    }
}
