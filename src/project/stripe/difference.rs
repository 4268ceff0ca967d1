//! How an object in the API differs from what its events have reported.
//!
//! Different representations by API versions are not differences: a discount as an id only, the payment that
//! only old versions show on an invoice, `25` and `25.0`.

use serde_json::{Map, Value, json};

use super::{Discount, Invoice, Price, StripeObject, Subscription};

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldDifference {
    /// The path of a stored field: `status`, `items[0].price.unit_amount`.
    pub field: String,
    /// What the events have reported.
    pub here: Value,
    /// What the API shows.
    pub stripe: Value,
}

/// The fields in which `shown` by the API differs from the `fact`. `strictly`: representations count too, for
/// an object of which too little is stored.
#[must_use]
pub fn differences(fact: &StripeObject, shown: &StripeObject, strictly: bool) -> Vec<FieldDifference> {
    let (mut here, mut there) = (fact.clone(), shown.clone());
    there.merge_sticky(fact);
    if let (StripeObject::Subscription(here), StripeObject::Subscription(there)) = (&mut here, &mut there) {
        there.known_status.clone_from(&here.known_status);
    }
    if !strictly {
        normalise(&mut here, &mut there);
    }
    let mut found = Vec::new();
    compare("", &json!(here), &json!(there), &mut found);
    found
}

/// Normalises what only some API versions report.
fn normalise(here: &mut StripeObject, there: &mut StripeObject) {
    match (here, there) {
        (StripeObject::Subscription(here), StripeObject::Subscription(there)) => {
            normalise_reasons(here, there);
            normalise_lists(&mut here.discounts, &mut there.discounts);
            for (here, there) in here.items.iter_mut().zip(&mut there.items) {
                normalise_lists(&mut here.discounts, &mut there.discounts);
                normalise_prices(&here.price, &mut there.price);
            }
        }
        (StripeObject::Price(here), StripeObject::Price(there)) => normalise_prices(here, there),
        // The API shows it only on request, events never.
        (StripeObject::Coupon(here), StripeObject::Coupon(there)) if there.currency_options.is_empty() => {
            there.currency_options.clone_from(&here.currency_options);
        }
        // A deleted customer is shown without its fields.
        (StripeObject::Customer(here), StripeObject::Customer(there)) if there.deleted => {
            *there = super::Customer { deleted: true, ..here.clone() };
        }
        (StripeObject::Customer(here), StripeObject::Customer(there)) => {
            if let (Some(here), Some(there)) = (&mut here.discount, &mut there.discount) {
                normalise_discounts(here, there);
            }
        }
        (StripeObject::Invoice(here), StripeObject::Invoice(there)) => {
            there.payment_intent.clone_from(&here.payment_intent);
            there.charge.clone_from(&here.charge);
            here.payments.clone_from(&there.payments);
            normalise_discount_amounts(here, there);
            // Paid outside Stripe: newer versions count that as paid.
            if here.paid_out_of_band {
                there.amount_paid = here.amount_paid;
            }
        }
        (StripeObject::Charge(here), StripeObject::Charge(there)) => {
            here.invoice.clone_from(&there.invoice);
            here.refunds.clone_from(&there.refunds);
            if here.collected() == there.collected() {
                there.amount_captured = here.amount_captured;
            }
            there.stated_captured = here.stated_captured;
            there.captured_at = here.captured_at;
            there.as_of = here.as_of;
        }
        (StripeObject::Discount(here), StripeObject::Discount(there)) => normalise_discounts(here, there),
        _ => {}
    }
}

/// Only newer versions report the reason of a cancellation.
fn normalise_reasons(here: &Subscription, there: &mut Subscription) {
    let is_canceled_alike = here.canceled_at.is_some() && here.canceled_at == there.canceled_at;
    if is_canceled_alike && there.cancellation_reason.is_none() {
        there.cancellation_reason.clone_from(&here.cancellation_reason);
        there.cancellation_feedback.clone_from(&here.cancellation_feedback);
    }
}

/// Only newer versions report whether a price includes tax, and that never changes once set.
fn normalise_prices(here: &Price, there: &mut Price) {
    if there.tax_behavior.is_none() {
        there.tax_behavior.clone_from(&here.tax_behavior);
    }
}

/// Only newer versions report what each discount took off.
fn normalise_discount_amounts(here: &Invoice, there: &mut Invoice) {
    if here.discount_amounts.is_empty() || there.discount_amounts.is_empty() {
        there.discount_amounts.clone_from(&here.discount_amounts);
    }
}

fn normalise_lists(here: &mut [Discount], there: &mut [Discount]) {
    for (here, there) in here.iter_mut().zip(there) {
        normalise_discounts(here, there);
    }
}

fn normalise_discounts(here: &mut Discount, there: &mut Discount) {
    let has_coupon = |it: &Discount| it.coupon_id.is_some() || it.coupon.is_some();
    if here.has_stand_in_id() || there.has_stand_in_id() {
        there.id.clone_from(&here.id);
    }
    if !has_coupon(here) || !has_coupon(there) {
        let deleted = there.deleted;
        *there = Discount { id: there.id.clone(), deleted, ..here.clone() };
        return;
    }
    // Known from its owner.
    there.customer.clone_from(&here.customer);
    there.subscription.clone_from(&here.subscription);
    there.subscription_item.clone_from(&here.subscription_item);
    if here.coupon.is_none() || there.coupon.is_none() {
        there.coupon.clone_from(&here.coupon);
    }
}

fn compare(field: &str, here: &Value, there: &Value, found: &mut Vec<FieldDifference>) {
    match (here, there) {
        (Value::Object(here), Value::Object(there)) => compare_members(field, here, there, found),
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (at, (here, there)) in ours.iter().zip(theirs).enumerate() {
                compare(&format!("{field}[{at}]"), here, there, found);
            }
        }
        _ if here == there || is_same_decimal(field, here, there) => {}
        _ => {
            let (here, stripe) = (here.clone(), there.clone());
            found.push(FieldDifference { field: field.to_owned(), here, stripe });
        }
    }
}

fn compare_members(
    field: &str,
    here: &Map<String, Value>,
    there: &Map<String, Value>,
    found: &mut Vec<FieldDifference>,
) {
    let only_there = there.keys().filter(|key| !here.contains_key(*key));
    for key in here.keys().chain(only_there) {
        let field = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
        let member = |of: &Map<String, Value>| of.get(key).cloned().unwrap_or_default();
        compare(&field, &member(here), &member(there), found);
    }
}

/// Decimals are stored as written, and `25` equals `25.0`.
fn is_same_decimal(field: &str, here: &Value, there: &Value) -> bool {
    let is_decimal =
        ["unit_amount", "flat_amount", "percent_off", "percentage"].iter().any(|name| field.ends_with(name));
    match (here.as_str(), there.as_str()) {
        (Some(here), Some(there)) if is_decimal => plain(here) == plain(there),
        _ => false,
    }
}

fn plain(decimal: &str) -> &str {
    if decimal.contains('.') { decimal.trim_end_matches('0').trim_end_matches('.') } else { decimal }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::project::Payload;
    use crate::project::stripe::{decode, decode_api_object};

    fn state(object: &Value) -> StripeObject {
        decode_api_object(object, &["user_id".to_owned()]).expect("an object").state
    }

    fn fields(here: &Value, there: &Value) -> Vec<String> {
        differences(&state(here), &state(there), false).into_iter().map(|it| it.field).collect()
    }

    fn subscription(discounts: &Value) -> Value {
        json!({"object": "subscription", "id": "sub_1", "customer": "cus_1", "status": "active",
            "discounts": discounts,
            "items": {"data": [{"id": "si_1", "quantity": 1, "price": {"id": "price_1", "unit_amount_decimal": "900"}}]}})
    }

    #[test]
    fn differing_field_is_named_by_path() {
        let mut there = subscription(&json!([]));
        there["status"] = json!("past_due");
        there["items"]["data"][0]["price"]["unit_amount_decimal"] = json!("950");
        let found = differences(&state(&subscription(&json!([]))), &state(&there), false);
        let reported: Vec<_> =
            found.iter().map(|it| (it.field.as_str(), it.here.clone(), it.stripe.clone())).collect();
        assert_eq!(
            reported,
            [
                ("items[0].price.unit_amount", json!("900"), json!("950")),
                ("status", json!("active"), json!("past_due"))
            ]
        );
    }

    #[test]
    fn other_representation_is_not_a_difference() {
        let full = json!([{"object": "discount", "id": "di_1", "customer": "cus_1", "subscription": "sub_1",
            "start": 5, "source": {"coupon": "c"}}]);
        let cases = [
            (subscription(&json!(["di_1"])), subscription(&full)),
            (subscription(&full), subscription(&json!(["di_1"]))),
            (
                json!({"object": "invoice", "id": "in_1", "status": "paid", "charge": "ch_1", "payment_intent": "pi_1"}),
                json!({"object": "invoice", "id": "in_1", "status": "paid"}),
            ),
            (
                json!({"object": "charge", "id": "ch_1", "invoice": "in_1", "refunds": {"data": [{"id": "re_1"}]}}),
                json!({"object": "charge", "id": "ch_1"}),
            ),
            (
                json!({"object": "invoice", "id": "in_1", "status": "paid", "paid_out_of_band": true, "amount_due": 9,
                    "amount_paid": 0}),
                json!({"object": "invoice", "id": "in_1", "status": "paid", "amount_due": 9, "amount_paid": 9}),
            ),
            (
                json!({"object": "coupon", "id": "c", "percent_off": 25}),
                json!({"object": "coupon", "id": "c", "percent_off": 25.0}),
            ),
        ];
        for (here, there) in cases {
            assert_eq!(fields(&here, &there), [""; 0], "{here} {there}");
        }
    }

    #[test]
    fn cancellations_pauses_and_taxes_are_differences() {
        let with = |changes: &Value| {
            let mut it = subscription(&json!([]));
            it.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            it
        };
        let cases = [
            (json!({"cancel_at": 50, "canceled_at": 9}), "cancel_at,canceled_at"),
            (
                json!({"cancellation_details": {"reason": "payment_failed", "feedback": "unused"}}),
                "cancellation_feedback,cancellation_reason",
            ),
            (json!({"pause_collection": {"behavior": "void"}}), "pause_behavior"),
            (json!({"default_tax_rates": [{"id": "txr_1", "percentage": 20}]}), "default_tax_rates"),
            (json!({"automatic_tax": {"enabled": true}}), "automatic_tax"),
        ];
        for (changes, expected) in cases {
            let mut fields = fields(&subscription(&json!([])), &with(&changes));
            fields.sort_unstable();
            assert_eq!(fields.join(","), expected, "{changes}");
        }
        let rate = |percentage: Value| {
            with(&json!({"default_tax_rates": [{"id": "txr_1", "percentage": percentage}]}))
        };
        assert_eq!(fields(&rate(json!(20)), &rate(json!(20.0))), [""; 0]);
        let coupon = |options: &Value| json!({"object": "coupon", "id": "c", "amount_off": 5, "currency": "usd", "currency_options": options});
        let reported = coupon(&json!({"eur": {"amount_off": 4}}));
        assert_eq!(fields(&coupon(&json!(null)), &reported), ["currency_options"]);
        assert_eq!(fields(&reported, &coupon(&json!(null))), [""; 0]);
    }

    #[test]
    fn newer_only_fields_are_not_differences() {
        let canceled = |details: &Value| {
            let mut it = subscription(&json!([]));
            it["canceled_at"] = json!(9);
            it["cancellation_details"] = details.clone();
            it["items"]["data"][0]["price"]["tax_behavior"] = details["tax_behavior"].clone();
            it
        };
        let reported = canceled(&json!({"reason": "payment_failed", "tax_behavior": "inclusive"}));
        assert_eq!(fields(&reported, &canceled(&json!(null))), [""; 0]);
        let discounted = json!({"object": "invoice", "id": "in_1", "status": "paid", "currency": "usd",
            "total_discount_amounts": [{"discount": "di_1", "amount": 5}]});
        let plain = json!({"object": "invoice", "id": "in_1", "status": "paid", "currency": "usd"});
        assert_eq!(fields(&discounted, &plain), [""; 0]);
        assert_eq!(fields(&plain, &discounted), [""; 0]);
    }

    #[test]
    fn report_time_is_not_a_difference() {
        let event = |kind: &str, object: &Value| {
            let event = json!({"type": kind, "created": 50, "data": {"object": object}});
            let Ok(Payload::Stripe(report)) = decode(event, &[]) else { panic!("{object}") };
            report.state
        };
        let cases = [
            (
                "charge.captured",
                json!({"object": "charge", "id": "ch_1", "captured": true, "amount": 9,
                "amount_captured": 5, "amount_refunded": 4, "status": "succeeded"}),
            ),
            ("refund.failed", json!({"object": "refund", "id": "re_1", "status": "failed"})),
            ("invoice.payment_failed", json!({"object": "invoice", "id": "in_1", "status": "open"})),
            (
                "checkout.session.completed",
                json!({"object": "checkout.session", "id": "cs_1", "created": 9, "status": "complete",
                "payment_status": "paid", "invoice": "in_1", "payment_intent": "pi_1"}),
            ),
        ];
        for (kind, object) in cases {
            assert_eq!(differences(&event(kind, &object), &state(&object), false), [], "{kind}");
        }
    }

    #[test]
    fn another_discount_or_other_terms_are_a_difference() {
        let with = |id: &str, coupon: &str| {
            subscription(&json!([{"object": "discount", "id": id, "start": 5, "source": {"coupon": coupon}}]))
        };
        assert_eq!(fields(&with("di_1", "c"), &with("di_2", "c")), ["discounts[0].id"]);
        assert_eq!(fields(&with("di_1", "c"), &with("di_1", "d")), ["discounts[0].coupon_id"]);
        assert_eq!(fields(&with("di_1", "c"), &subscription(&json!([]))), ["discounts"]);
    }

    #[test]
    fn incomplete_object_is_compared_strictly() {
        let (here, there) = (
            state(&subscription(&json!(["di_1"]))),
            state(&subscription(&json!([{"object": "discount", "id": "di_1", "source": {"coupon": "c"}}]))),
        );
        let found = differences(&here, &there, true);
        assert_eq!(found.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), ["discounts[0].coupon_id"]);
    }

    #[test]
    fn deleted_customer_differs_only_in_deletion() {
        let here = json!({"object": "customer", "id": "cus_1", "email": "a@example.com", "created": 5});
        let gone = json!({"object": "customer", "id": "cus_1", "deleted": true});
        assert_eq!(fields(&here, &gone), ["deleted"]);
    }
}
