//! The ledger of one customer: what each change of the MRR was, and when it took effect.
//!
//! A customer's versions (what each subscription, discount and the customer itself was from a second on)
//! make a step function of its MRR in each currency; the clock makes steps of its own where a discount or
//! an item's trial ends. Each step is a movement. Nothing else goes in: the same versions always make the
//! same movements, in whatever order they became known, and the last step is the present MRR.
//!
//! Prices and coupons have no history here: what is known of their terms today holds for all of it.

mod book;
mod standing;
mod version;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::mrr::Catalogue;
use book::Book;
use standing::Standing;

pub use version::{Version, kept};

/// The version of the definition of MRR by which movements are worked out: goes up with every change to
/// `docs/mrr.md` that changes an amount.
pub const CALC_VERSION: i32 = 2;

/// The second from which a ledger is worked out to have all of it: no event is older.
pub const BEGINNING: i64 = 0;

/// One change of a customer's MRR in one currency: the net of all that happened in that second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    pub currency: String,
    /// Unix seconds.
    pub effective_at: i64,
    pub kind: Kind,
    /// Minor units; never 0.
    pub delta: i64,
    pub mrr_before: i64,
    pub mrr_after: i64,
    /// The event that reported it; none where the clock alone made it.
    pub cause_event_id: Option<String>,
}

/// What a movement is, by its amounts alone.
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

/// What one customer's movements are worked out from.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// In any order. For movements from a second on: of each object at least the version in force just
    /// before it, and all later ones.
    pub versions: Vec<Version>,
    /// Currencies in which the customer has had revenue before.
    pub seen: BTreeSet<String>,
}

/// The movements that took effect at `since` or later, in their order, up to `now`. Where a provider's clock
/// runs ahead of ours, the latest second that is reported is now.
///
/// `catalogue`: what the versions depend on. Its discounts and invoice lines are those of today; where
/// versions tell of them too, theirs take the place.
#[must_use]
pub fn movements(history: History, catalogue: &mut Catalogue, since: i64, now: i64) -> Vec<Movement> {
    let History { versions, seen } = history;
    let mut earlier = version::points(versions);
    let later = earlier.split_off(&since);
    let mut standing = Standing::new(catalogue, earlier.values().chain(later.values()).flatten());
    for version in earlier.into_values().flatten() {
        standing.take(version);
    }
    standing.value(since.saturating_sub(1));
    let mut book = Book::new(standing.sums(), seen);
    for (at, versions) in later {
        tick(&mut standing, &mut book, at - 1);
        let causes = standing.enter(versions, at);
        book.note(at, standing.sums(), |currency| causes.of(currency));
    }
    tick(&mut standing, &mut book, now);
    book.movements
}

/// Notes what the clock alone changes up to and with `until`.
fn tick(standing: &mut Standing<'_>, book: &mut Book, until: i64) {
    while let Some(moment) = standing.next_change().filter(|moment| *moment <= until) {
        standing.pass(moment);
        book.note(moment, standing.sums(), |_| None);
    }
}
