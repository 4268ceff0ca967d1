//! What Stripe should have reported by now. Time alone never changes a status; a trial or a cancellation whose day
//! has passed without an event is flagged, and a look at the API settles it.

use super::Subscription;
use super::lifecycle::is_over;

/// How long after the day news of it is waited for, seconds: Stripe's clock, its queues and its first attempts
/// to deliver lie in between.
const PATIENCE: i64 = 3600;

/// A change that Stripe announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Announced {
    /// When it was to come, Unix seconds.
    pub at: i64,
    /// What was to come, for people.
    pub what: &'static str,
}

impl Announced {
    /// From when on it is overdue, Unix seconds.
    #[must_use]
    pub const fn overdue_from(self) -> i64 {
        self.at.saturating_add(PATIENCE)
    }
}

impl Subscription {
    /// The next change of its status that was announced: the end of a trial, or its own.
    #[must_use]
    pub fn announced(&self) -> Option<Announced> {
        if is_over(&self.status) {
            return None;
        }
        let trial = self.trial_end.filter(|_| self.status == "trialing");
        let period_end = self.current_period_end.filter(|_| self.cancel_at_period_end);
        let end = |at: Option<i64>, what| at.map(|at| Announced { at, what });
        [end(trial, "its trial"), end(period_end, "it"), end(self.cancel_at, "it")]
            .into_iter()
            .flatten()
            .min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_end_that_was_announced_counts_while_the_subscription_lives() {
        let it = |status: &str, trial_end, cancel_at_period_end, cancel_at| Subscription {
            status: status.to_owned(),
            trial_end,
            cancel_at_period_end,
            cancel_at,
            current_period_end: Some(50),
            ..Subscription::default()
        };
        let cases = [
            (it("active", None, false, None), None),
            (it("active", Some(40), false, None), None),
            (it("trialing", Some(40), false, None), Some((40, "its trial"))),
            (it("trialing", Some(60), true, None), Some((50, "it"))),
            (it("past_due", None, true, Some(45)), Some((45, "it"))),
            (it("active", None, false, Some(70)), Some((70, "it"))),
            (it("canceled", Some(40), true, Some(45)), None),
            (it("incomplete_expired", Some(40), true, None), None),
        ];
        for (subscription, expected) in cases {
            let announced = subscription.announced().map(|it| (it.at, it.what));
            assert_eq!(announced, expected, "{subscription:?}");
        }
    }
}
