//! Money moving: charges, refunds and disputes.

use serde_json::Value;

use super::field::{amount, currency, customer, flag, id, list, text, time};
use super::{BalanceTransaction, Charge, Dispute, Refund};

/// A charge.
pub fn charge(value: &Value) -> Option<Charge> {
    let total = amount(&value["amount"]).unwrap_or_default();
    let captured = flag(&value["captured"]);
    Some(Charge {
        id: id(value)?,
        customer: customer(value),
        created: time(&value["created"]).unwrap_or_default(),
        currency: currency(&value["currency"]).unwrap_or_default(),
        status: text(&value["status"]).unwrap_or_default(),
        captured,
        amount: total,
        // Until 2020 a capture of less than the whole showed as a refund of the rest.
        amount_captured: amount(&value["amount_captured"]).unwrap_or(if captured { total } else { 0 }),
        amount_refunded: amount(&value["amount_refunded"]).unwrap_or_default(),
        payment_intent: id(&value["payment_intent"]),
        invoice: id(&value["invoice"]),
        description: text(&value["description"]),
        refunds: list(&value["refunds"]).iter().filter_map(refund).collect(),
    })
}

/// A refund.
pub fn refund(value: &Value) -> Option<Refund> {
    Some(Refund {
        id: id(value)?,
        created: time(&value["created"]).unwrap_or_default(),
        currency: currency(&value["currency"]).unwrap_or_default(),
        amount: amount(&value["amount"]).unwrap_or_default(),
        status: text(&value["status"]),
        charge: id(&value["charge"]),
        payment_intent: id(&value["payment_intent"]),
    })
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

/// The funds that moved, without Stripe's fee, which the customer never paid.
fn balance_transaction(value: &Value) -> Option<BalanceTransaction> {
    Some(BalanceTransaction {
        id: id(value)?,
        amount: amount(&value["amount"])?,
        currency: currency(&value["currency"]).unwrap_or_default(),
    })
}
