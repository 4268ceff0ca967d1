//! Turns successive sums into movements.

use std::collections::{BTreeMap, BTreeSet};

use super::{Kind, Movement};

/// MRR by currency, in minor units, without zeros.
pub type MrrByCurrency = BTreeMap<String, i64>;

/// The movements so far, and the resulting sums.
pub struct Ledger {
    sums: MrrByCurrency,
    /// Currencies that had revenue before.
    prior_currencies: BTreeSet<String>,
    pub movements: Vec<Movement>,
}

impl Ledger {
    /// A ledger that opens with `sums`.
    pub fn new(sums: MrrByCurrency, mut prior_currencies: BTreeSet<String>) -> Self {
        prior_currencies.extend(sums.keys().cloned());
        Self { sums, prior_currencies, movements: Vec::new() }
    }

    /// Records that from `effective_at` on the sums are `after`.
    pub fn record(
        &mut self,
        effective_at: i64,
        after: MrrByCurrency,
        cause: impl Fn(&str) -> Option<String>,
    ) {
        let currencies: BTreeSet<&String> = self.sums.keys().chain(after.keys()).collect();
        for currency in currencies {
            let amount = |sums: &MrrByCurrency| sums.get(currency).copied().unwrap_or_default();
            let (mrr_before, mrr_after) = (amount(&self.sums), amount(&after));
            if mrr_before == mrr_after {
                continue;
            }
            let is_first = self.prior_currencies.insert(currency.clone());
            self.movements.push(Movement {
                currency: currency.clone(),
                effective_at,
                kind: kind(mrr_before, mrr_after, is_first),
                delta: mrr_after - mrr_before,
                mrr_before,
                mrr_after,
                cause_event_id: cause(currency),
            });
        }
        self.sums = after;
    }
}

const fn kind(before: i64, after: i64, is_first: bool) -> Kind {
    match (before, after) {
        (0, _) if is_first => Kind::New,
        (0, _) => Kind::Reactivation,
        (_, 0) => Kind::Churn,
        _ if after > before => Kind::Expansion,
        _ => Kind::Contraction,
    }
}
