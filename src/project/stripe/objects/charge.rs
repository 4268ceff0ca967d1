//! Money moving: charges, refunds and disputes.

use serde_json::Value;

use crate::project::stripe::field::{amount, currency, customer, flag, id, list, text, time};
use crate::project::stripe::{BalanceTransaction, Charge, Dispute, Refund};

/// A charge, as an event of `event_type` that was created `at` shows it.
pub fn charge(value: &Value, event_type: &str, at: Option<i64>) -> Option<Charge> {
    let total = amount(&value["amount"]).unwrap_or_default();
    let captured = flag(&value["captured"]);
    let amount_refunded = amount(&value["amount_refunded"]).unwrap_or_default();
    let stated = amount(&value["amount_captured"]);
    // Until 2020 there was no captured amount, but the capture event showed the rest as refunded.
    let at_capture = (event_type == "charge.captured").then(|| total.saturating_sub(amount_refunded));
    Some(Charge {
        id: id(value)?,
        customer: customer(value),
        created: time(&value["created"]).unwrap_or_default(),
        currency: currency(&value["currency"]).unwrap_or_default(),
        status: text(&value["status"]).unwrap_or_default(),
        captured,
        amount: total,
        amount_captured: stated.unwrap_or(if captured { total } else { 0 }),
        stated_captured: stated.or(at_capture).filter(|_| captured),
        captured_at: at.filter(|_| captured),
        amount_refunded,
        as_of: at,
        payment_intent: id(&value["payment_intent"]),
        invoice: id(&value["invoice"]),
        description: text(&value["description"]),
        // Refunds shown as failed had failed before: `amount_refunded` already excludes them.
        refunds: list(&value["refunds"]).iter().filter_map(|it| refund(it, at.map(|at| at - 1))).collect(),
    })
}

/// A refund, as an event that was created `at` shows it.
pub fn refund(value: &Value, at: Option<i64>) -> Option<Refund> {
    let refund = Refund {
        id: id(value)?,
        created: time(&value["created"]).unwrap_or_default(),
        currency: currency(&value["currency"]).unwrap_or_default(),
        amount: amount(&value["amount"]).unwrap_or_default(),
        status: text(&value["status"]),
        charge: id(&value["charge"]),
        payment_intent: id(&value["payment_intent"]),
        failed_at: None,
    };
    Some(Refund { failed_at: at.filter(|_| refund.has_failed()), ..refund })
}

/// A dispute.
pub fn dispute(value: &Value) -> Option<Dispute> {
    Some(Dispute {
        id: id(value)?,
        created: time(&value["created"]).unwrap_or_default(),
        currency: currency(&value["currency"]).unwrap_or_default(),
        amount: amount(&value["amount"]).unwrap_or_default(),
        status: text(&value["status"]).unwrap_or_default(),
        charge: id(&value["charge"]),
        payment_intent: id(&value["payment_intent"]),
        balance_transactions: list(&value["balance_transactions"])
            .iter()
            .filter_map(balance_transaction)
            .collect(),
    })
}

/// The moved funds without Stripe's fee, which the customer never paid.
fn balance_transaction(value: &Value) -> Option<BalanceTransaction> {
    Some(BalanceTransaction {
        id: id(value)?,
        amount: amount(&value["amount"])?,
        currency: currency(&value["currency"]).unwrap_or_default(),
    })
}
