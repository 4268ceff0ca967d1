//! Customers, and checkout sessions, which show who paid.

use serde_json::Value;

use super::discount::discount;
use crate::project::stripe::field::{customer as customer_id, flag, id, text, time, user_ids};
use crate::project::stripe::{Checkout, Customer};

/// A customer.
pub fn customer(value: &Value, user_id_keys: &[String]) -> Option<Customer> {
    Some(Customer {
        id: id(value)?,
        created: time(&value["created"]).unwrap_or_default(),
        email: text(&value["email"]),
        user_ids: user_ids(value, user_id_keys),
        deleted: flag(&value["deleted"]),
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
