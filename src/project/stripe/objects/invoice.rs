//! Invoices, their recurring lines, and which payment paid which invoice.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::project::stripe::field::{amount, boolean, currency, customer, id, list, text, time};

/// An invoice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Invoice {
    pub id: String,
    pub customer: Option<String>,
    pub created: i64,
    pub currency: String,
    /// `draft`, `open`, `paid`, `void`, `uncollectible`, or a future status.
    pub status: String,
    pub subscription: Option<String>,
    pub amount_paid: i64,
    pub amount_due: i64,
    pub attempt_count: i64,
    /// The last failed attempt in any event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailedAttempt>,
    /// Old API versions only; whether any event ever reported it.
    pub paid_out_of_band: bool,
    pub paid_at: Option<i64>,
    /// Old API versions only.
    pub payment_intent: Option<String>,
    /// Old API versions only.
    pub charge: Option<String>,
    /// The payments that paid it, or tried to, from all events about it.
    pub payments: BTreeSet<PaymentRef>,
    pub billing_reason: Option<String>,
    pub number: Option<String>,
    /// The amount of each subscription item in its latest period, without prorations: for prices with unknown
    /// price tiers. Empty if the invoice has only prorations and one-off lines. Stored as `last_lines`.
    #[serde(rename = "last_lines")]
    pub recurring_lines: Vec<InvoiceLine>,
    /// What each discount took off it, by the discount's id; empty if it has only prorations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub discount_amounts: BTreeMap<String, i64>,
}

/// A failed attempt to collect an invoice, as `invoice.payment_failed` shows it. The later one is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct FailedAttempt {
    /// When it had failed.
    pub at: i64,
    /// The attempts until then, including this one.
    pub attempt_count: i64,
    /// What had been paid until then.
    pub amount_paid: i64,
}

/// A payment that an invoice names, in old API versions only: it paid the invoice or tried to.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct PaymentRef {
    pub intent: Option<String>,
    pub charge: Option<String>,
    /// The event that named it showed the invoice as paid: the payment succeeded. Otherwise it may have been
    /// a failed attempt.
    pub succeeded: bool,
}

impl PaymentRef {
    /// Whether it names a payment at all.
    #[must_use]
    pub const fn names_any(&self) -> bool {
        self.intent.is_some() || self.charge.is_some()
    }
}

/// A subscription item's recurring amount on an invoice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InvoiceLine {
    pub price: Option<String>,
    pub subscription_item: Option<String>,
    pub amount: i64,
}

/// `invoice_payment`: which payment paid which invoice (2025 on).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InvoicePayment {
    pub id: String,
    pub invoice: String,
    pub payment_intent: Option<String>,
    pub charge: Option<String>,
    pub status: String,
    pub amount_paid: Option<i64>,
    pub paid_at: Option<i64>,
}

/// An invoice, as an event of `event_type` that was created `at` shows it.
pub fn invoice(value: &Value, event_type: &str, at: Option<i64>) -> Option<Invoice> {
    let status = status(value);
    let amount_due = amount(&value["amount_due"]).unwrap_or_default();
    let subscription =
        id(&value["parent"]["subscription_details"]["subscription"]).or_else(|| id(&value["subscription"]));
    let paid_out_of_band = boolean(&value["paid_out_of_band"]);
    let payment = PaymentRef {
        intent: id(&value["payment_intent"]),
        charge: id(&value["charge"]),
        succeeded: status == "paid" && !paid_out_of_band,
    };
    let recurring_lines = recurring_lines(list(&value["lines"]));
    let has_only_prorations = recurring_lines.is_empty() && !list(&value["lines"]).is_empty();
    // Until 2018 there was only `paid`, which meant the whole amount due.
    let amount_paid = amount(&value["amount_paid"]).unwrap_or(if status == "paid" { amount_due } else { 0 });
    let attempt_count = value["attempt_count"].as_i64().unwrap_or_default().max(0);
    let has_failed = event_type == "invoice.payment_failed";
    let failure = FailedAttempt { at: at.unwrap_or_default(), attempt_count, amount_paid };
    Some(Invoice {
        id: id(value)?,
        customer: customer(value),
        created: time(&value["created"]).or_else(|| time(&value["date"])).unwrap_or_default(),
        currency: currency(&value["currency"]).unwrap_or_default(),
        subscription,
        amount_paid,
        amount_due,
        attempt_count,
        last_failure: has_failed.then_some(failure),
        paid_out_of_band,
        paid_at: time(&value["status_transitions"]["paid_at"]),
        payment_intent: payment.intent.clone(),
        charge: payment.charge.clone(),
        payments: Some(payment).filter(PaymentRef::names_any).into_iter().collect(),
        billing_reason: text(&value["billing_reason"]),
        number: text(&value["number"]),
        discount_amounts: if has_only_prorations { BTreeMap::new() } else { discount_amounts(value) },
        recurring_lines,
        status,
    })
}

/// The status; before 2018-11 it is inferred from the flags that it replaced.
fn status(value: &Value) -> String {
    let known = text(&value["status"]);
    known.unwrap_or_else(|| {
        let inferred = if boolean(&value["paid"]) {
            "paid"
        } else if boolean(&value["forgiven"]) {
            "uncollectible"
        } else if boolean(&value["attempted"]) || boolean(&value["closed"]) {
            "open"
        } else {
            "draft"
        };
        inferred.to_owned()
    })
}

/// The amount of each subscription item in the invoice's latest period, without prorations. Graduated prices
/// have one line per tier, so the lines of one item are added up. In the order of the lines.
fn recurring_lines(lines: &[Value]) -> Vec<InvoiceLine> {
    let mut found: Vec<(i64, InvoiceLine)> = Vec::new();
    for (period_start, line) in lines.iter().filter_map(recurring_line) {
        let same = found.iter_mut().find(|(_, known)| {
            known.subscription_item == line.subscription_item && known.price == line.price
        });
        match same {
            Some((start, known)) if *start == period_start => known.amount += line.amount,
            Some(known) if known.0 < period_start => *known = (period_start, line),
            Some(_) => {}
            None => found.push((period_start, line)),
        }
    }
    found.into_iter().map(|(_, line)| line).collect()
}

/// What each discount took off the invoice, by its id. Zero is omitted: there was nothing to discount, as in
/// a trial.
fn discount_amounts(value: &Value) -> BTreeMap<String, i64> {
    let taken = list(&value["total_discount_amounts"]).iter();
    let taken = taken.filter_map(|it| Some((id(&it["discount"])?, amount(&it["amount"])?)));
    taken.filter(|(_, amount)| *amount > 0).collect()
}

/// The line of a subscription item with the start of its period; `None` for prorations and one-off lines.
fn recurring_line(line: &Value) -> Option<(i64, InvoiceLine)> {
    let details = &line["parent"]["subscription_item_details"];
    let subscription_item = id(&details["subscription_item"]).or_else(|| id(&line["subscription_item"]));
    let is_recurring = subscription_item.is_some() || line["type"] == "subscription";
    let is_proration = boolean(&details["proration"])
        || boolean(&line["parent"]["invoice_item_details"]["proration"])
        || boolean(&line["proration"]);
    let price = id(&line["pricing"]["price_details"]["price"])
        .or_else(|| id(&line["price"]))
        .or_else(|| id(&line["plan"]));
    let start = time(&line["period"]["start"]).unwrap_or_default();
    let line = InvoiceLine { price, subscription_item, amount: amount(&line["amount"])? };
    (is_recurring && !is_proration).then_some((start, line))
}

/// Which payment paid which invoice.
pub fn invoice_payment(value: &Value) -> Option<InvoicePayment> {
    Some(InvoicePayment {
        id: id(value)?,
        invoice: id(&value["invoice"]).unwrap_or_default(),
        payment_intent: id(&value["payment"]["payment_intent"]),
        charge: id(&value["payment"]["charge"]),
        status: text(&value["status"]).unwrap_or_default(),
        amount_paid: amount(&value["amount_paid"]),
        paid_at: time(&value["status_transitions"]["paid_at"]),
    })
}
