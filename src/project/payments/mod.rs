//! From the objects of one payment to the rows of `payment_history`.
//!
//! An invoice is a row of its own; a payment that no invoice claims is another. What an invoice claims
//! is reported in different places by different API versions: by the invoice (`payment_intent`, `charge`),
//! by the charge (`invoice`), by a checkout session, or by an `invoice_payment` alone. Any of them may come last, so a charge
//! can stand as a one-off payment until its invoice is known; the sums are right again once it is.
//!
//! A row that the application had kept before memberflow stands for its payment until any event tells of that.
//!
//! Refunds and disputes never change what was collected; they stand beside it, each counted once, however it
//! is reported. Only amounts in the row's own currency are added.

use serde::{Deserialize, Serialize};

use super::stripe::StripeObject;

mod after;
mod attempts;
mod claims;
mod refunds;
mod rows;
mod set;

#[cfg(test)]
mod tests;

/// One invoice, or one payment that no invoice claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The invoice's id; else the payment intent's; else the charge's.
    pub id: String,
    /// The customer's id; for a guest, `id` itself.
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
    /// What it was for, in a few words.
    pub description: Option<String>,
}

impl Payment {
    /// Whether its amount is more than a column of four bytes holds.
    #[must_use]
    pub fn is_large(&self) -> bool {
        i32::try_from(self.collected).is_err()
    }
}

/// The rows that one connected set of objects (invoice, invoice payments, charges, refunds, disputes, checkout
/// sessions) makes. Depends on the set alone. Sorted by id.
#[must_use]
pub fn settle(objects: &[StripeObject]) -> Vec<Payment> {
    let set = set::Set::of(objects);
    let claims = claims::Claims::of(&set);
    let mut rows = rows::of(&set, &claims);
    if rows.is_empty() {
        rows.extend(rows::of_found(&set));
    }
    after::take_back(&mut rows, &set, &claims);
    rows.into_values().collect()
}

/// The ids of the objects that belong to the same payment as `object`: what the connected set is found by.
/// Empty for objects that are no part of a payment. Sorted, each once.
#[must_use]
pub fn links(object: &StripeObject) -> Vec<String> {
    let named: Vec<Option<&String>> = match object {
        StripeObject::Invoice(it) => {
            let paid = it.payments.iter().flat_map(|paid| [paid.intent.as_ref(), paid.charge.as_ref()]);
            paid.chain([it.payment_intent.as_ref(), it.charge.as_ref()]).collect()
        }
        StripeObject::InvoicePayment(it) => {
            vec![Some(&it.invoice), it.payment_intent.as_ref(), it.charge.as_ref()]
        }
        StripeObject::Charge(it) => {
            let refunds = it.refunds.iter().map(|refund| Some(&refund.id));
            refunds.chain([it.payment_intent.as_ref(), it.invoice.as_ref()]).collect()
        }
        // One that names no invoice claims nothing.
        StripeObject::Checkout(it) if it.invoice.is_some() && it.payment_intent.is_some() => {
            vec![it.invoice.as_ref(), it.payment_intent.as_ref()]
        }
        StripeObject::FoundPayment(it) => vec![it.invoice.as_ref(), it.payment_intent.as_ref()],
        StripeObject::Refund(it) => vec![it.charge.as_ref(), it.payment_intent.as_ref()],
        StripeObject::Dispute(it) => vec![it.charge.as_ref(), it.payment_intent.as_ref()],
        _ => Vec::new(),
    };
    let mut ids: Vec<String> = named.into_iter().flatten().filter(|id| !id.is_empty()).cloned().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
