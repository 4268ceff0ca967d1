//! Sticky fields: once any event has reported them, they stay.
//!
//! Newer API versions omit what older ones reported: which payment paid an invoice, which invoice a charge
//! was for, what was refunded of it. Some things are in a single event only: that an attempt failed, or when
//! a refund failed. If only the last event of an object counted, a refund event after an API upgrade would
//! turn an invoice's charge into a one-off payment and count it twice. These fields are never retracted, so
//! they are the union of all reports, in whatever order they come.

use std::collections::BTreeMap;

use super::lifecycle::refund_rank;
use super::{Charge, Checkout, Invoice, Refund, StripeObject};

impl StripeObject {
    /// Whether its kind has sticky fields.
    #[must_use]
    pub const fn has_sticky_fields(&self) -> bool {
        matches!(self, Self::Invoice(_) | Self::Charge(_) | Self::Refund(_) | Self::Checkout(_))
    }

    /// Merges the sticky fields of `other`, another report of the same object. The result depends on the set
    /// of reports only, not on their order.
    pub fn merge_sticky(&mut self, other: &Self) {
        match (self, other) {
            (Self::Invoice(this), Self::Invoice(other)) => this.merge_sticky(other),
            (Self::Charge(this), Self::Charge(other)) => this.merge_sticky(other),
            (Self::Refund(this), Self::Refund(other)) => this.merge_sticky(other),
            (Self::Checkout(this), Self::Checkout(other)) => this.merge_sticky(other),
            _ => {}
        }
    }
}

impl Invoice {
    fn merge_sticky(&mut self, other: &Self) {
        self.payments.extend(other.payments.iter().cloned());
        self.paid_out_of_band |= other.paid_out_of_band;
        self.last_failure = self.last_failure.max(other.last_failure);
    }
}

impl Charge {
    fn merge_sticky(&mut self, other: &Self) {
        // A charge is for one invoice. If two are ever named, the smaller id wins, whichever came first.
        self.invoice = self.invoice.iter().chain(&other.invoice).min().cloned();
        self.stated_captured = self.stated_captured.max(other.stated_captured);
        self.captured_at = earliest(self.captured_at, other.captured_at);
        if other.refunds.is_empty() {
            return;
        }
        let mut refunds = BTreeMap::<String, Refund>::new();
        for refund in self.refunds.drain(..).chain(other.refunds.iter().cloned()) {
            match refunds.get_mut(&refund.id) {
                Some(known) => known.merge_embedded(&refund),
                None => drop(refunds.insert(refund.id.clone(), refund)),
            }
        }
        self.refunds = refunds.into_values().collect();
    }
}

impl Refund {
    fn merge_sticky(&mut self, other: &Self) {
        self.failed_at = earliest(self.failed_at, other.failed_at);
    }

    /// Becomes the later of itself and `other`, another report of the same refund without a timestamp.
    pub(crate) fn merge_embedded(&mut self, other: &Self) {
        if progress(other) > progress(self) {
            self.status.clone_from(&other.status);
            self.amount = other.amount;
        }
        self.merge_sticky(other);
    }
}

impl Checkout {
    fn merge_sticky(&mut self, other: &Self) {
        self.invoice = self.invoice.iter().chain(&other.invoice).min().cloned();
    }
}

fn earliest(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

/// How far a refund is in its lifecycle, then a tie-break.
fn progress(it: &Refund) -> (i32, Option<&str>, i64) {
    (refund_rank(it.status.as_deref().unwrap_or_default()), it.status.as_deref(), it.amount)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::project::stripe::{FailedAttempt, PaymentRef};

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
    fn sticky_fields_do_not_depend_on_order() {
        let reports = [
            charge(Some("in_1"), &[("re_1", "pending")]),
            charge(None, &[("re_1", "succeeded"), ("re_2", "failed")]),
            charge(None, &[("re_2", "succeeded")]),
        ];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut last = charge(None, &[]);
            order.iter().for_each(|index| last.merge_sticky(&reports[*index]));
            let expected = charge(Some("in_1"), &[("re_1", "succeeded"), ("re_2", "failed")]);
            assert_eq!(last, expected, "{order:?}");
        }
    }

    #[test]
    fn failure_and_capture_are_sticky() {
        let failed = |at| FailedAttempt { at, attempt_count: 1, amount_paid: 0 };
        let invoice = |last_failure| StripeObject::Invoice(Invoice { last_failure, ..Invoice::default() });
        let captured = |stated_captured, captured_at| {
            StripeObject::Charge(Charge { stated_captured, captured_at, ..Charge::default() })
        };
        let refund = |failed_at| StripeObject::Refund(Refund { failed_at, ..Refund::default() });
        let checkout = |invoice: Option<&str>| {
            StripeObject::Checkout(Checkout {
                invoice: invoice.map(ToOwned::to_owned),
                ..Checkout::default()
            })
        };
        let cases = [
            ([invoice(None), invoice(Some(failed(7))), invoice(Some(failed(9)))], invoice(Some(failed(9)))),
            (
                [captured(None, None), captured(Some(30), Some(5)), captured(Some(40), Some(6))],
                captured(Some(40), Some(5)),
            ),
            ([refund(Some(9)), refund(Some(7)), refund(None)], refund(Some(7))),
            ([checkout(None), checkout(Some("in_1")), checkout(None)], checkout(Some("in_1"))),
        ];
        for (reports, expected) in cases {
            for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let mut last = reports[order[0]].clone();
                order[1..].iter().for_each(|index| last.merge_sticky(&reports[*index]));
                assert_eq!(last, expected, "{order:?}");
            }
        }
    }

    #[test]
    fn out_of_band_payment_is_sticky() {
        let invoice =
            |paid_out_of_band| StripeObject::Invoice(Invoice { paid_out_of_band, ..Invoice::default() });
        for (first, last) in [(true, false), (false, true)] {
            let mut present = invoice(last);
            present.merge_sticky(&invoice(first));
            assert_eq!(present, invoice(true));
        }
    }

    #[test]
    fn invoice_payments_are_sticky() {
        let payment = |intent: &str| PaymentRef { intent: Some(intent.to_owned()), ..PaymentRef::default() };
        let invoice = |names: &[&str]| {
            let payments: BTreeSet<PaymentRef> = names.iter().map(|name| payment(name)).collect();
            StripeObject::Invoice(Invoice { payments, ..Invoice::default() })
        };
        let mut last = invoice(&[]);
        last.merge_sticky(&invoice(&["pi_2"]));
        last.merge_sticky(&invoice(&["pi_1"]));
        assert_eq!(last, invoice(&["pi_1", "pi_2"]));
    }
}
