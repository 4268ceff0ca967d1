//! From the objects of one payment to the rows of `payment_history`.
//!
//! An invoice is a row of its own; a payment that belongs to no invoice is another. Which payment belongs to an
//! invoice is reported in different places by different API versions: by the invoice (`payment_intent`,
//! `charge`), the charge (`invoice`), a checkout session, or only an `invoice_payment`. Any of them may come
//! last, so a charge can be shown as a one-off payment until its invoice is known.
//!
//! A pre-existing row represents its payment until an event reports it.
//!
//! Refunds and disputes never change what was collected; they are separate amounts, each counted once,
//! however it is reported. Only amounts in the row's currency are added.

use serde::{Deserialize, Serialize};

use super::stripe::StripeObject;

mod assignments;
mod attempts;
mod refunds;
mod refunds_and_disputes;
mod rows;
mod set;

#[cfg(test)]
mod tests;

/// One invoice, or one payment that belongs to no invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The invoice's id; else the payment intent's; else the charge's.
    pub id: String,
    /// The customer's id; for a guest the payment intent, as in `identity`, else `id`.
    pub customer: String,
    /// The invoice's id.
    pub invoice: Option<String>,
    /// The payment intent of the last successful payment.
    pub payment_intent: Option<String>,
    /// Stripe's subscription id.
    pub subscription: Option<String>,
    /// Lower-case ISO code.
    pub currency: String,
    /// `succeeded`, `failed`, `open`, `void`, `uncollectible`.
    pub status: String,
    /// Money collected, gross, minor units.
    pub collected: i64,
    /// Refunds that are not failed or canceled, minor units.
    pub refunded: i64,
    /// Disputed funds while they are withdrawn, minor units.
    pub disputed: i64,
    /// Unix seconds.
    pub paid_at: Option<i64>,
    /// Unix seconds.
    pub created: i64,
    /// A short description.
    pub description: Option<String>,
}

impl Payment {
    /// Whether its amount exceeds a four-byte integer.
    #[must_use]
    pub fn exceeds_int4(&self) -> bool {
        i32::try_from(self.collected).is_err()
    }
}

/// The rows of one connected set of objects (invoice, invoice payments, charges, refunds, disputes, checkout
/// sessions). Depends on the set only. Sorted by id.
#[must_use]
pub fn resolve(objects: &[StripeObject]) -> Vec<Payment> {
    let set = set::ObjectSet::of(objects);
    let assignments = assignments::Assignments::of(&set);
    let mut rows = rows::payment_rows(&set, &assignments);
    if rows.is_empty() {
        rows.extend(rows::imported_row(&set));
    }
    refunds_and_disputes::add_to(&mut rows, &set, &assignments);
    rows.into_values().collect()
}

/// The ids of the objects that belong to the same payment as `object`, from which the connected set is found.
/// Empty for objects that are not part of a payment. Sorted, without duplicates.
#[must_use]
pub fn links(object: &StripeObject) -> Vec<String> {
    let named: Vec<Option<&String>> = match object {
        StripeObject::Invoice(it) => {
            let payments = it.payments.iter().flat_map(|it| [it.intent.as_ref(), it.charge.as_ref()]);
            payments.chain([it.payment_intent.as_ref(), it.charge.as_ref()]).collect()
        }
        StripeObject::InvoicePayment(it) => {
            vec![Some(&it.invoice), it.payment_intent.as_ref(), it.charge.as_ref()]
        }
        StripeObject::Charge(it) => {
            let refunds = it.refunds.iter().map(|refund| Some(&refund.id));
            refunds.chain([it.payment_intent.as_ref(), it.invoice.as_ref()]).collect()
        }
        // A session without an invoice links nothing.
        StripeObject::Checkout(it) if it.invoice.is_some() && it.payment_intent.is_some() => {
            vec![it.invoice.as_ref(), it.payment_intent.as_ref()]
        }
        StripeObject::ImportedPayment(it) => vec![it.invoice.as_ref(), it.payment_intent.as_ref()],
        StripeObject::Refund(it) => vec![it.charge.as_ref(), it.payment_intent.as_ref()],
        StripeObject::Dispute(it) => vec![it.charge.as_ref(), it.payment_intent.as_ref()],
        _ => Vec::new(),
    };
    let mut ids: Vec<String> = named.into_iter().flatten().filter(|id| !id.is_empty()).cloned().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
