//! What stays said of an object once any event said it.
//!
//! Newer API versions are silent on what older ones told: which payment paid an invoice, which invoice a
//! charge was for, what was refunded of it. An account that moves to a newer version tells the rest of an
//! old payment's life in the new words; if its last event alone counted, a refund years later would make a
//! one-off payment of an invoice's charge, and count it twice. These are things that are never unsaid, so
//! all reports together know them, in whatever order they come.

use std::collections::BTreeMap;

use super::life::refund_rank;
use super::{Charge, Invoice, Refund, StripeObject};

impl StripeObject {
    /// Whether it is of a kind that remembers anything.
    #[must_use]
    pub const fn has_memory(&self) -> bool {
        matches!(self, Self::Invoice(_) | Self::Charge(_))
    }

    /// Takes over what `other`, another report of the same object, says for good. Depends on the set of
    /// reports alone, not on their order.
    pub fn remember(&mut self, other: &Self) {
        match (self, other) {
            (Self::Invoice(this), Self::Invoice(other)) => this.remember(other),
            (Self::Charge(this), Self::Charge(other)) => this.remember(other),
            _ => {}
        }
    }
}

impl Invoice {
    fn remember(&mut self, other: &Self) {
        self.payments.extend(other.payments.iter().cloned());
        self.paid_out_of_band |= other.paid_out_of_band;
    }
}

impl Charge {
    fn remember(&mut self, other: &Self) {
        // A charge is for one invoice. Should two ever be named, the smaller id counts, whichever came first.
        self.invoice = self.invoice.iter().chain(&other.invoice).min().cloned();
        if other.refunds.is_empty() {
            return;
        }
        let mut refunds = BTreeMap::<String, Refund>::new();
        for refund in self.refunds.drain(..).chain(other.refunds.iter().cloned()) {
            match refunds.get(&refund.id) {
                Some(known) if place(known) >= place(&refund) => {}
                _ => drop(refunds.insert(refund.id.clone(), refund)),
            }
        }
        self.refunds = refunds.into_values().collect();
    }
}

/// How far along a refund is; then whatever tells two apart.
fn place(it: &Refund) -> (i32, Option<&str>, i64) {
    (refund_rank(it.status.as_deref().unwrap_or_default()), it.status.as_deref(), it.amount)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::project::stripe::Paid;

    fn charge(invoice: Option<&str>, refunds: &[(&str, &str)]) -> StripeObject {
        let refund = |(id, status): &(&str, &str)| Refund {
            id: (*id).to_owned(),
            status: Some((*status).to_owned()),
            ..Refund::default()
        };
        StripeObject::Charge(Charge {
            invoice: invoice.map(ToOwned::to_owned),
            refunds: refunds.iter().map(refund).collect(),
            ..Charge::default()
        })
    }

    #[test]
    fn what_any_report_said_is_known_in_whatever_order() {
        let reports = [
            charge(Some("in_1"), &[("re_1", "pending")]),
            charge(None, &[("re_1", "succeeded"), ("re_2", "failed")]),
            charge(None, &[("re_2", "succeeded")]),
        ];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut last = charge(None, &[]);
            order.iter().for_each(|index| last.remember(&reports[*index]));
            let expected = charge(Some("in_1"), &[("re_1", "succeeded"), ("re_2", "failed")]);
            assert_eq!(last, expected, "{order:?}");
        }
    }

    #[test]
    fn an_invoice_paid_by_hand_stays_so_though_newer_versions_do_not_say_it() {
        let invoice =
            |paid_out_of_band| StripeObject::Invoice(Invoice { paid_out_of_band, ..Invoice::default() });
        for (first, last) in [(true, false), (false, true)] {
            let mut present = invoice(last);
            present.remember(&invoice(first));
            assert_eq!(present, invoice(true));
        }
    }

    #[test]
    fn an_invoice_keeps_every_payment_that_it_ever_named() {
        let paid = |intent: &str| Paid { intent: Some(intent.to_owned()), ..Paid::default() };
        let invoice = |names: &[&str]| {
            let payments: BTreeSet<Paid> = names.iter().map(|name| paid(name)).collect();
            StripeObject::Invoice(Invoice { payments, ..Invoice::default() })
        };
        let mut last = invoice(&[]);
        last.remember(&invoice(&["pi_2"]));
        last.remember(&invoice(&["pi_1"]));
        assert_eq!(last, invoice(&["pi_1", "pi_2"]));
    }
}
