//! Changes that Stripe should have reported by now. Time alone never changes a status: a trial or a
//! cancellation that is due without an event is parked as `overdue`, and a check with the API resolves it.

use super::Subscription;
use super::lifecycle::is_over;

/// How long after the due time an event is waited for, in seconds: Stripe's clock, queues and delivery
/// attempts take time.
const GRACE_S: i64 = 3600;

/// A change that the subscription itself announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueChange {
    /// When it is due, Unix seconds.
    pub at: i64,
    /// The change, for operators.
    pub what: &'static str,
}

impl DueChange {
    /// When it becomes overdue, Unix seconds.
    #[must_use]
    pub const fn overdue_from(self) -> i64 {
        self.at.saturating_add(GRACE_S)
    }
}

impl Subscription {
    /// The next due change of its status: the end of a trial, or of itself.
    #[must_use]
    pub fn next_due_change(&self) -> Option<DueChange> {
        if is_over(&self.status) {
            return None;
        }
        let trial = self.trial_end.filter(|_| self.status == "trialing");
        let period_end = self.current_period_end.filter(|_| self.cancel_at_period_end);
        let end = |at: Option<i64>, what| at.map(|at| DueChange { at, what });
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
    fn first_scheduled_end_counts_while_live() {
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
            let scheduled = subscription.next_due_change().map(|it| (it.at, it.what));
            assert_eq!(scheduled, expected, "{subscription:?}");
        }
    }
}
