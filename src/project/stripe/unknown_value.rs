//! Unknown values in an object: enum values that Stripe introduced after this was written, and missing
//! fields.

use super::StripeObject;
use super::lifecycle::has_rank;

/// One unknown value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownValue {
    /// The field: `subscription.status`, `invoice.currency`.
    pub what: &'static str,
    /// The value; empty if the field is missing.
    pub value: String,
}

/// The longest value stored.
const VALUE_MAX_CHARS: usize = 60;

impl StripeObject {
    /// Its unknown values. Not for deletions: they often show an object without its fields.
    #[must_use]
    pub fn unknown_values(&self) -> Vec<UnknownValue> {
        match self {
            Self::Subscription(it) => {
                let status = unknown_unless("subscription.status", &it.status, it.has_known_status());
                let items = it.items.is_empty().then(|| missing("subscription.items"));
                status.into_iter().chain(items).collect()
            }
            Self::Invoice(it) => {
                let status = unknown_unless("invoice.status", &it.status, has_rank(self));
                status.into_iter().chain(missing_if_empty("invoice.currency", &it.currency)).collect()
            }
            Self::InvoicePayment(it) => {
                let status = unknown_unless("invoice_payment.status", &it.status, has_rank(self));
                status.into_iter().chain(missing_if_empty("invoice_payment.invoice", &it.invoice)).collect()
            }
            Self::Charge(it) => {
                let status = unknown_unless("charge.status", &it.status, has_rank(self));
                status.into_iter().chain(missing_if_empty("charge.currency", &it.currency)).collect()
            }
            Self::Refund(it) => {
                // Very old versions have no status.
                let status = it.status.as_deref().unwrap_or("succeeded");
                let status = unknown_unless("refund.status", status, it.status.is_none() || has_rank(self));
                status.into_iter().chain(missing_if_empty("refund.currency", &it.currency)).collect()
            }
            Self::Dispute(it) => {
                let status = unknown_unless("dispute.status", &it.status, has_rank(self));
                status.into_iter().chain(missing_if_empty("dispute.currency", &it.currency)).collect()
            }
            Self::Coupon(it) => {
                let is_known = matches!(it.duration.as_str(), "forever" | "once" | "repeating");
                unknown_unless("coupon.duration", &it.duration, is_known).into_iter().collect()
            }
            Self::Customer(_)
            | Self::Checkout(_)
            | Self::Price(_)
            | Self::Product(_)
            | Self::Discount(_)
            | Self::ImportedPayment(_) => Vec::new(),
        }
    }
}

fn unknown_unless(what: &'static str, value: &str, is_known: bool) -> Option<UnknownValue> {
    (!is_known).then(|| UnknownValue { what, value: value.chars().take(VALUE_MAX_CHARS).collect() })
}

fn missing_if_empty(what: &'static str, value: &str) -> Option<UnknownValue> {
    value.is_empty().then(|| missing(what))
}

const fn missing(what: &'static str) -> UnknownValue {
    UnknownValue { what, value: String::new() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::project::stripe::decode_api_object;

    fn odd(object: &Value) -> Vec<(&'static str, String)> {
        let shown = decode_api_object(object, &[]).expect("an object");
        shown.state.unknown_values().into_iter().map(|it| (it.what, it.value)).collect()
    }

    #[test]
    fn new_values_and_missing_fields_are_unknown() {
        let items = json!([{"id": "si_1", "price": {"id": "price_1"}}]);
        let subscription = |status: &str, items: &Value| json!({"object": "subscription", "id": "sub_1", "customer": "cus_1", "status": status, "items": items});
        assert_eq!(odd(&subscription("active", &items)), []);
        assert_eq!(
            odd(&subscription("dormant", &json!([]))),
            [("subscription.status", "dormant".to_owned()), ("subscription.items", String::new())]
        );
        let cases = [
            (json!({"object": "invoice", "id": "in_1", "status": "paid", "currency": "usd"}), vec![]),
            (
                json!({"object": "invoice", "id": "in_1", "status": "waived"}),
                vec!["invoice.status", "invoice.currency"],
            ),
            (
                json!({"object": "charge", "id": "ch_1", "status": "settled", "currency": "usd"}),
                vec!["charge.status"],
            ),
            (json!({"object": "refund", "id": "re_1", "currency": "usd"}), vec![]),
            (
                json!({"object": "refund", "id": "re_1", "currency": "usd", "status": "lost"}),
                vec!["refund.status"],
            ),
            (json!({"object": "dispute", "id": "dp_1", "status": "won", "currency": "usd"}), vec![]),
            (
                json!({"object": "dispute", "id": "dp_1", "status": "drawn", "currency": "usd"}),
                vec!["dispute.status"],
            ),
            (
                json!({"object": "invoice_payment", "id": "inpay_1", "status": "paid"}),
                vec!["invoice_payment.invoice"],
            ),
            (json!({"object": "coupon", "id": "c", "duration": "weekly"}), vec!["coupon.duration"]),
            (json!({"object": "customer", "id": "cus_1"}), vec![]),
        ];
        for (object, expected) in cases {
            let found: Vec<_> = odd(&object).into_iter().map(|it| it.0).collect();
            assert_eq!(found, expected, "{object}");
        }
        assert_eq!(odd(&json!({"object": "coupon", "id": "c", "duration": "x".repeat(99)}))[0].1.len(), 60);
    }
}
