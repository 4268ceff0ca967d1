//! The payments as they truly were: one per invoice, one per payment that no invoice asked for.

use std::collections::BTreeMap;

use super::super::shapes::{Era, is_off};
use super::super::stripe_sim::Stripe;
use super::super::stripe_sim::objects::{Charge, Dispute};

/// One row of `payment_history`, for whoever's it is.
#[derive(Clone, Debug)]
pub struct Payment {
    pub customer: String,
    pub invoice: Option<String>,
    pub intent: Option<String>,
    pub subscription: Option<String>,
    pub amount: i64,
    pub refunded: i64,
    pub disputed: i64,
    pub currency: String,
    pub status: &'static str,
    pub paid_at: Option<i64>,
    pub created: i64,
}

pub fn all(account: &Stripe) -> Vec<Payment> {
    let mut payments: BTreeMap<String, Payment> = BTreeMap::new();
    for it in account.invoices.values().filter(|it| it.status != "draft") {
        let status = match it.status {
            "paid" => "succeeded",
            "open" if it.failed => "failed",
            other => other,
        };
        let payment = Payment {
            customer: it.customer.clone(),
            invoice: Some(it.id.clone()),
            intent: it.paid_by.clone(),
            subscription: it.subscription.clone(),
            amount: it.collected(),
            refunded: 0,
            disputed: 0,
            currency: it.currency.clone(),
            status,
            // Old invoices do not emit when they were paid.
            paid_at: it.paid_at.filter(|_| it.emitted_in != Era::Y2018),
            created: it.created,
        };
        payments.insert(it.id.clone(), payment);
    }
    for charge in account.charges.values() {
        if charge.status != "succeeded" || !charge.captured {
            continue;
        }
        let invoiced = charge.intent.as_ref().and_then(|intent| account.invoiced.get(intent));
        let id = charge.invoice.as_ref().or(invoiced).unwrap_or(&charge.id).clone();
        let payment = payments.entry(id).or_insert_with(|| one_off(charge));
        let refunds = charge.refunds.iter().filter(|it| !is_off(it.status));
        payment.refunded += refunds.map(|it| it.amount).sum::<i64>();
        let disputes = account.disputes.values().filter(|it| it.charge == charge.id);
        payment.disputed += disputes.map(withdrawn).sum::<i64>();
    }
    payments.into_values().collect()
}

fn one_off(charge: &Charge) -> Payment {
    Payment {
        // A guest's payment stands for the guest.
        customer: charge.customer.clone().or(charge.intent.clone()).unwrap_or_else(|| charge.id.clone()),
        invoice: None,
        intent: charge.intent.clone(),
        subscription: None,
        amount: charge.amount_captured,
        refunded: 0,
        disputed: 0,
        currency: charge.currency.clone(),
        status: "succeeded",
        paid_at: Some(charge.created),
        created: charge.created,
    }
}

/// The funds that are withdrawn now.
fn withdrawn(it: &Dispute) -> i64 {
    if it.status.starts_with("warning_") || it.status == "won" {
        return 0;
    }
    let emitted = it.movements.iter().filter(|one| one.currency == it.currency);
    if it.account_currency == it.currency && !it.movements.is_empty() {
        return -emitted.map(|one| one.amount).sum::<i64>();
    }
    it.amount
}
