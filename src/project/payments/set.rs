//! The objects of one payment by kind and id.

use std::collections::BTreeMap;

use crate::project::stripe::{
    Charge, Checkout, Dispute, ImportedPayment, Invoice, InvoicePayment, Refund, StripeObject,
};

/// Everything about one payment, each object once, in the order of ids.
#[derive(Default)]
pub struct ObjectSet<'a> {
    pub invoices: BTreeMap<&'a str, &'a Invoice>,
    pub invoice_payments: BTreeMap<&'a str, &'a InvoicePayment>,
    pub charges: BTreeMap<&'a str, &'a Charge>,
    pub refunds: BTreeMap<&'a str, Refund>,
    pub disputes: BTreeMap<&'a str, &'a Dispute>,
    pub checkouts: BTreeMap<&'a str, &'a Checkout>,
    pub imported: BTreeMap<&'a str, &'a ImportedPayment>,
}

impl<'a> ObjectSet<'a> {
    pub fn of(objects: &'a [StripeObject]) -> Self {
        let mut set = Self::default();
        let mut refunds: BTreeMap<&str, &Refund> = BTreeMap::new();
        for object in objects {
            match object {
                StripeObject::Invoice(it) => drop(set.invoices.insert(&it.id, it)),
                StripeObject::InvoicePayment(it) => drop(set.invoice_payments.insert(&it.id, it)),
                StripeObject::Charge(it) => drop(set.charges.insert(&it.id, it)),
                StripeObject::Dispute(it) => drop(set.disputes.insert(&it.id, it)),
                StripeObject::ImportedPayment(it) => drop(set.imported.insert(&it.id, it)),
                StripeObject::Checkout(it) => drop(set.checkouts.insert(&it.id, it)),
                StripeObject::Refund(it) => drop(refunds.insert(&it.id, it)),
                _ => {}
            }
        }
        set.refunds = with_embedded(&set.charges, refunds);
        set
    }
}

/// The refunds by id. A refund from its own events and from within a charge is the same: the one further in
/// its lifecycle wins, and the charge links it to its payment.
fn with_embedded<'a>(
    charges: &BTreeMap<&'a str, &'a Charge>,
    own: BTreeMap<&'a str, &'a Refund>,
) -> BTreeMap<&'a str, Refund> {
    let mut refunds: BTreeMap<&str, Refund> = BTreeMap::new();
    for charge in charges.values() {
        for refund in &charge.refunds {
            let placed = Refund { charge: Some(charge.id.clone()), ..refund.clone() };
            refunds.entry(&refund.id).or_insert(placed);
        }
    }
    for (id, refund) in own {
        let mut refund = refund.clone();
        if let Some(embedded) = refunds.remove(id) {
            refund.merge_embedded(&embedded);
            refund.charge = refund.charge.or(embedded.charge);
        }
        refunds.insert(id, refund);
    }
    refunds
}
