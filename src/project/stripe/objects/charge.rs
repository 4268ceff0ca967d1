//! Money moving: charges, refunds and disputes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::project::stripe::field::{amount, boolean, currency, customer, id, list, text, time};

/// A charge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Charge {
    pub id: String,
    pub customer: Option<String>,
    pub created: i64,
    pub currency: String,
    /// `succeeded`, `pending`, `failed`.
    pub status: String,
    pub captured: bool,
    pub amount: i64,
    /// The whole amount of a captured charge if the event has no captured amount.
    pub amount_captured: i64,
    /// The largest captured amount in any event: it only grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stated_captured: Option<i64>,
    /// The earliest event that showed it captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<i64>,
    /// Cumulative, without failed refunds. Includes what was never captured, once the rest was.
    pub amount_refunded: i64,
    /// When this state of the charge was reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<i64>,
    pub payment_intent: Option<String>,
    /// Old versions only, from any event about it.
    pub invoice: Option<String>,
    pub description: Option<String>,
    /// Old versions embed the charge's refunds; newer ones report each in its own event. The union of all
    /// events.
    pub refunds: Vec<Refund>,
}

impl Charge {
    /// The collected amount: what was captured.
    #[must_use]
    pub fn collected(&self) -> i64 {
        self.stated_captured.unwrap_or(self.amount_captured).max(0)
    }
}

/// A refund.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refund {
    pub id: String,
    pub created: i64,
    pub currency: String,
    pub amount: i64,
    /// `pending`, `requires_action`, `succeeded`, `failed`, `canceled`; absent in very old versions.
    pub status: Option<String>,
    pub charge: Option<String>,
    pub payment_intent: Option<String>,
    /// The earliest event that showed it failed or canceled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<i64>,
}

impl Refund {
    /// Whether it failed or was canceled; a pending refund counts.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.status.as_deref(), Some("failed" | "canceled"))
    }
}

/// A dispute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dispute {
    pub id: String,
    pub created: i64,
    pub currency: String,
    pub amount: i64,
    pub status: String,
    pub charge: Option<String>,
    pub payment_intent: Option<String>,
    /// Funds withdrawn (negative) and reinstated (positive), without fees.
    pub balance_transactions: Vec<BalanceTransaction>,
}

/// One movement of a dispute's funds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BalanceTransaction {
    pub id: String,
    pub amount: i64,
    pub currency: String,
}

/// A charge, as an event of `event_type` that was created `at` shows it.
pub fn charge(value: &Value, event_type: &str, at: Option<i64>) -> Option<Charge> {
    let total = amount(&value["amount"]).unwrap_or_default();
    let captured = boolean(&value["captured"]);
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
