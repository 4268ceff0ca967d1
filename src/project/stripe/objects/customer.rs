//! Customers, and checkout sessions, which show who paid.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::discount::{Discount, discount};
use crate::project::stripe::field::{boolean, customer as customer_id, id, text, time, user_ids};

/// A customer. Deleted ones keep their history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Customer {
    pub id: String,
    pub created: i64,
    pub email: Option<String>,
    /// Values of the configured metadata keys, strongest key first; only those present.
    pub user_ids: Vec<String>,
    pub deleted: bool,
    /// The customer-level discount, if the object shows one.
    pub discount: Option<Discount>,
    /// The address before the event that reported this state, if the event has it. Not part of the state.
    #[serde(skip)]
    pub previous_email: Option<String>,
}

/// A checkout session: who paid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checkout {
    pub id: String,
    pub created: i64,
    /// Absent for a guest.
    pub customer: Option<String>,
    pub subscription: Option<String>,
    pub payment_intent: Option<String>,
    /// The invoice of the payment, if any event ever named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice: Option<String>,
    pub client_reference_id: Option<String>,
    /// `customer_details.email`, else `customer_email`.
    pub email: Option<String>,
    pub user_ids: Vec<String>,
    /// Complete, and paid or free. Before that it is not evidence of whose the payment is: anybody can open a
    /// session in anybody's name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_settled: bool,
}

/// A customer.
pub fn customer(value: &Value, user_id_keys: &[String]) -> Option<Customer> {
    Some(Customer {
        id: id(value)?,
        created: time(&value["created"]).unwrap_or_default(),
        email: text(&value["email"]),
        user_ids: user_ids(value, user_id_keys),
        deleted: boolean(&value["deleted"]),
        discount: discount(&value["discount"]),
        previous_email: None,
    })
}

/// A checkout session. Older ones have no `created`: the event's is used instead.
pub fn checkout(
    value: &Value,
    event_type: &str,
    event_created: i64,
    user_id_keys: &[String],
) -> Option<Checkout> {
    Some(Checkout {
        id: id(value)?,
        created: time(&value["created"]).unwrap_or(event_created),
        customer: customer_id(value),
        subscription: id(&value["subscription"]),
        payment_intent: id(&value["payment_intent"]),
        invoice: id(&value["invoice"]),
        client_reference_id: text(&value["client_reference_id"]),
        email: text(&value["customer_details"]["email"]).or_else(|| text(&value["customer_email"])),
        user_ids: user_ids(value, user_id_keys),
        is_settled: is_settled(value, event_type),
    })
}

/// Versions before 2022 have no `status`, the oldest no `payment_status` either: there the event's type
/// decides. `no_payment_required` is not enough, because an open session can have it too.
fn is_settled(value: &Value, event_type: &str) -> bool {
    let is_completed = event_type == "checkout.session.completed";
    let is_paid = match value["payment_status"].as_str() {
        Some(status) => ["paid", "no_payment_required"].contains(&status),
        None => is_completed,
    };
    let is_complete = match value["status"].as_str() {
        Some(status) => status == "complete",
        None => is_completed || value["payment_status"] == "paid",
    };
    event_type == "checkout.session.async_payment_succeeded" || is_paid && is_complete
}
