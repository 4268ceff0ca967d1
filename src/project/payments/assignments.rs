//! Assigns charges to payments, and payments to invoices.

use std::collections::{BTreeMap, BTreeSet};

use super::set::ObjectSet;
use crate::project::stripe::{Charge, Invoice, PaymentRef};

/// A payment is identified by its payment intent or, without one, by its charge. So what is reported about a
/// charge (a refund, its invoice) holds for every attempt of its payment intent.
pub struct Assignments<'a> {
    /// Charge to payment intent, as reported by any object.
    intents: BTreeMap<&'a str, &'a str>,
    /// Payment to its invoice.
    invoices: BTreeMap<&'a str, &'a str>,
}

impl<'a> Assignments<'a> {
    pub fn of(set: &'a ObjectSet<'a>) -> Self {
        let mut assignments = Self { intents: intents(set), invoices: BTreeMap::new() };
        let mut candidates: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (invoice, intent, charge) in references(set) {
            if let Some(payment) = assignments.payment(intent, charge) {
                candidates.entry(payment).or_default().insert(invoice);
            }
        }
        assignments.invoices = candidates
            .into_iter()
            .filter_map(|(payment, invoices)| {
                Some((payment, invoices.into_iter().min_by_key(|invoice| precedence(set, invoice))?))
            })
            .collect();
        assignments
    }

    /// The payment intent, if any.
    pub fn intent(&self, intent: Option<&'a str>, charge: Option<&'a str>) -> Option<&'a str> {
        intent.or_else(|| charge.and_then(|charge| self.intents.get(charge).copied()))
    }

    /// The payment's id.
    pub fn payment(&self, intent: Option<&'a str>, charge: Option<&'a str>) -> Option<&'a str> {
        self.intent(intent, charge).or(charge)
    }

    /// The invoice that `payment` belongs to; `None` for a one-off payment.
    pub fn invoice(&self, payment: &str) -> Option<&'a str> {
        self.invoices.get(payment).copied()
    }

    /// The id of the row that `payment` belongs to.
    pub fn row(&self, payment: &'a str) -> &'a str {
        self.invoice(payment).unwrap_or(payment)
    }

    /// The charges of `invoice`, whatever their status.
    pub fn charges_of(
        &'a self,
        invoice: &'a Invoice,
        set: &'a ObjectSet<'a>,
    ) -> impl Iterator<Item = &'a Charge> {
        set.charges.values().copied().filter(move |charge| {
            let payment = self.payment(charge.payment_intent.as_deref(), Some(&charge.id));
            payment.and_then(|it| self.invoice(it)) == Some(&invoice.id)
        })
    }
}

/// Precedence of the invoices that name one payment; only the first gets it (a payment intent is unique in
/// `payment_history`): one that is known and collected money, then the oldest.
fn precedence<'a>(set: &ObjectSet<'_>, invoice: &'a str) -> (bool, bool, i64, &'a str) {
    let known = set.invoices.get(invoice);
    let is_paid = known.is_some_and(|it| it.amount_paid > 0 && !it.paid_out_of_band);
    (known.is_none(), !is_paid, known.map_or(0, |it| it.created), invoice)
}

/// Every (charge, payment intent) that some object names together. If they conflict, the smallest wins, so
/// that the result does not depend on the order.
fn intents<'a>(set: &'a ObjectSet<'a>) -> BTreeMap<&'a str, &'a str> {
    let charges = set.charges.values().map(|it| (Some(it.id.as_str()), it.payment_intent.as_deref()));
    let payments =
        set.invoice_payments.values().map(|it| (it.charge.as_deref(), it.payment_intent.as_deref()));
    let invoices =
        set.invoices.values().flat_map(|it| payment_refs(it).map(|(intent, charge)| (charge, intent)));
    let refunds = set.refunds.values().map(|it| (it.charge.as_deref(), it.payment_intent.as_deref()));
    let disputes = set.disputes.values().map(|it| (it.charge.as_deref(), it.payment_intent.as_deref()));

    let mut intents: BTreeMap<&str, &str> = BTreeMap::new();
    for pair in charges.chain(payments).chain(invoices).chain(refunds).chain(disputes) {
        if let (Some(charge), Some(intent)) = pair {
            let known = intents.entry(charge).or_insert(intent);
            *known = intent.min(known);
        }
    }
    intents
}

type Reference<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

/// Every (invoice, payment intent, charge) that some object names together.
fn references<'a>(set: &'a ObjectSet<'a>) -> impl Iterator<Item = Reference<'a>> {
    let payments = set.invoice_payments.values();
    let payments =
        payments.map(|it| (it.invoice.as_str(), it.payment_intent.as_deref(), it.charge.as_deref()));
    let invoices = set.invoices.values();
    let invoices =
        invoices.flat_map(|it| payment_refs(it).map(|(intent, charge)| (it.id.as_str(), intent, charge)));
    let charges = set
        .charges
        .values()
        .filter_map(|it| Some((it.invoice.as_deref()?, it.payment_intent.as_deref(), Some(it.id.as_str()))));
    let checkouts = set.checkouts.values();
    let checkouts =
        checkouts.filter_map(|it| Some((it.invoice.as_deref()?, it.payment_intent.as_deref(), None)));
    payments.chain(invoices).chain(charges).chain(checkouts)
}

/// The (payment intent, charge) that an invoice names as its payment; if it names none (newer API versions),
/// all that events ever named.
fn payment_refs(invoice: &Invoice) -> impl Iterator<Item = (Option<&str>, Option<&str>)> {
    named(invoice, |_| true)
}

/// The same without those named before the invoice was paid: they may have been failed attempts.
pub fn succeeded_payment_refs(invoice: &Invoice) -> impl Iterator<Item = (Option<&str>, Option<&str>)> {
    named(invoice, |it| it.succeeded)
}

fn named(
    invoice: &Invoice,
    is_included: fn(&PaymentRef) -> bool,
) -> impl Iterator<Item = (Option<&str>, Option<&str>)> {
    let now = (invoice.payment_intent.as_deref(), invoice.charge.as_deref());
    let names_payment = now != (None, None);
    let ever = invoice.payments.iter().filter(move |it| !names_payment && is_included(it));
    ever.map(|it| (it.intent.as_deref(), it.charge.as_deref())).chain([now])
}
