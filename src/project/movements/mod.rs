//! The MRR ledger of one customer: each change of the MRR, and when it took effect.
//!
//! A customer's versions (the states of its subscriptions, its discounts and itself over time) define a step
//! function of its MRR per currency; the clock adds steps where a discount or an item's trial ends. Each step
//! is a movement. There is no other input: the same versions always give the same movements, in whatever
//! order they became known, and the last step is the present MRR.
//!
//! Prices and coupons have no history here: their terms as known today apply to all of it.

mod effective_state;
mod ledger;
mod version;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::mrr::{Catalogue, Explanation};
use effective_state::EffectiveState;
use ledger::Ledger;

pub use version::{Version, versioned_state};

/// The version of the MRR definition: incremented with every change to `docs/mrr.md` that changes an amount.
pub const CALC_VERSION: i32 = 2;

/// The second from which a complete ledger is computed: no event is older.
pub const BEGINNING: i64 = 0;

/// One change of a customer's MRR in one currency: the net of all that happened in that second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Lower case.
    pub currency: String,
    /// Unix seconds.
    pub effective_at: i64,
    /// Which kind of change.
    pub kind: Kind,
    /// Minor units; never 0.
    pub delta: i64,
    /// The MRR until then, minor units.
    pub mrr_before: i64,
    /// The MRR from then on, minor units.
    pub mrr_after: i64,
    /// The event that caused it; `None` if it was the clock.
    pub cause_event_id: Option<String>,
}

/// The kind of a movement, by its amounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// From nothing, for the first time.
    New,
    /// From something to more.
    Expansion,
    /// From something to less.
    Contraction,
    /// To nothing, whatever the reason.
    Churn,
    /// From nothing, again.
    Reactivation,
}

impl Kind {
    /// The word in the tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Expansion => "expansion",
            Self::Contraction => "contraction",
            Self::Churn => "churn",
            Self::Reactivation => "reactivation",
        }
    }
}

/// The input of one customer's movements.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In any order. For movements from a second on: for each object at least the version effective just
    /// before it, and all later ones.
    pub versions: Vec<Version>,
    /// Currencies in which the customer has had revenue before.
    pub prior_currencies: BTreeSet<String>,
}

/// The movements that took effect at `since` or later, in their order, up to `now`. If a provider's clock is
/// ahead of ours, the latest reported second is now.
///
/// `catalogue`: what the versions depend on. Its discounts and invoice lines are today's; versions override
/// them.
#[must_use]
pub fn movements(history: History, catalogue: &mut Catalogue, since: i64, now: i64) -> Vec<Movement> {
    let History { versions, prior_currencies } = history;
    let mut earlier = version::by_second(versions);
    let later = earlier.split_off(&since);
    let mut state = EffectiveState::new(catalogue, earlier.values().chain(later.values()).flatten());
    for version in earlier.into_values().flatten() {
        state.apply(version);
    }
    state.value(since.saturating_sub(1));
    let mut ledger = Ledger::new(state.sums(), prior_currencies);
    for (at, versions) in later {
        tick(&mut state, &mut ledger, at - 1);
        let causes = state.apply_second(versions, at);
        ledger.record(at, state.sums(), |currency| causes.of(currency));
    }
    tick(&mut state, &mut ledger, now);
    ledger.movements
}

/// Explains the MRR of each subscription that was effective at the second `at`, by `versions` in any order: for each object at
/// least the version effective then. `catalogue` as in [`movements`].
#[must_use]
pub fn explain(versions: Vec<Version>, catalogue: &mut Catalogue, at: i64) -> Vec<Explanation> {
    let seconds = version::by_second(versions);
    let mut state = EffectiveState::new(catalogue, seconds.values().flatten());
    for version in seconds.into_iter().take_while(|(from, _)| *from <= at).flat_map(|(_, versions)| versions)
    {
        state.apply(version);
    }
    state.explain(at)
}

/// Records the changes by the clock up to and including `until`.
fn tick(state: &mut EffectiveState<'_>, ledger: &mut Ledger, until: i64) {
    while let Some(moment) = state.next_change().filter(|moment| *moment <= until) {
        state.advance_to(moment);
        ledger.record(moment, state.sums(), |_| None);
    }
}
