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
    let (mut stored, mut api) = (fact.clone(), shown.clone());
    api.merge_sticky(fact);
    if let (StripeObject::Subscription(stored), StripeObject::Subscription(api)) = (&mut stored, &mut api) {
        api.known_status.clone_from(&stored.known_status);
    }
    if !strictly {
        normalise(&mut stored, &mut api);
    }
    let mut found = Vec::new();
    compare("", &json!(stored), &json!(api), &mut found);
    found
}

/// Normalises what only some API versions report.
fn normalise(stored: &mut StripeObject, api: &mut StripeObject) {
    match (stored, api) {
        (StripeObject::Subscription(stored), StripeObject::Subscription(api)) => {
            normalise_reasons(stored, api);
            normalise_lists(&mut stored.discounts, &mut api.discounts);
            for (stored, api) in stored.items.iter_mut().zip(&mut api.items) {
                normalise_lists(&mut stored.discounts, &mut api.discounts);
                normalise_prices(&stored.price, &mut api.price);
            }
        }
        (StripeObject::Price(stored), StripeObject::Price(api)) => normalise_prices(stored, api),
        // The API shows it only on request, events never.
        (StripeObject::Coupon(stored), StripeObject::Coupon(api)) if api.currency_options.is_empty() => {
            api.currency_options.clone_from(&stored.currency_options);
        }
        // A deleted customer is shown without its fields.
        (StripeObject::Customer(stored), StripeObject::Customer(api)) if api.deleted => {
            *api = super::Customer { deleted: true, ..stored.clone() };
        }
        (StripeObject::Customer(stored), StripeObject::Customer(api)) => {
            if let (Some(stored), Some(api)) = (&mut stored.discount, &mut api.discount) {
                normalise_discounts(stored, api);
            }
        }
        (StripeObject::Invoice(stored), StripeObject::Invoice(api)) => {
            api.payment_intent.clone_from(&stored.payment_intent);
            api.charge.clone_from(&stored.charge);
            stored.payments.clone_from(&api.payments);
            normalise_discount_amounts(stored, api);
            // Paid outside Stripe: newer versions count that as paid.
            if stored.paid_out_of_band {
                api.amount_paid = stored.amount_paid;
            }
        }
        (StripeObject::Charge(stored), StripeObject::Charge(api)) => {
            stored.invoice.clone_from(&api.invoice);
            stored.refunds.clone_from(&api.refunds);
            if stored.collected() == api.collected() {
                api.amount_captured = stored.amount_captured;
            }
            api.stated_captured = stored.stated_captured;
            api.captured_at = stored.captured_at;
            api.as_of = stored.as_of;
        }
        (StripeObject::Discount(stored), StripeObject::Discount(api)) => normalise_discounts(stored, api),
        _ => {}
    }
}

/// Only newer versions report the reason of a cancellation.
fn normalise_reasons(stored: &Subscription, api: &mut Subscription) {
    let is_canceled_alike = stored.canceled_at.is_some() && stored.canceled_at == api.canceled_at;
    if is_canceled_alike && api.cancellation_reason.is_none() {
        api.cancellation_reason.clone_from(&stored.cancellation_reason);
        api.cancellation_feedback.clone_from(&stored.cancellation_feedback);
    }
}

/// Only newer versions report whether a price includes tax, and that never changes once set.
fn normalise_prices(stored: &Price, api: &mut Price) {
    if api.tax_behavior.is_none() {
        api.tax_behavior.clone_from(&stored.tax_behavior);
    }
}

/// Only newer versions report what each discount took off.
fn normalise_discount_amounts(stored: &Invoice, api: &mut Invoice) {
    if stored.discount_amounts.is_empty() || api.discount_amounts.is_empty() {
        api.discount_amounts.clone_from(&stored.discount_amounts);
    }
}

fn normalise_lists(stored: &mut [Discount], api: &mut [Discount]) {
    for (stored, api) in stored.iter_mut().zip(api) {
        normalise_discounts(stored, api);
    }
}

fn normalise_discounts(stored: &mut Discount, api: &mut Discount) {
    let has_coupon = |it: &Discount| it.coupon_id.is_some() || it.coupon.is_some();
    if stored.has_stand_in_id() || api.has_stand_in_id() {
        api.id.clone_from(&stored.id);
    }
    if !has_coupon(stored) || !has_coupon(api) {
        let deleted = api.deleted;
        *api = Discount { id: api.id.clone(), deleted, ..stored.clone() };
        return;
    }
    // Known from its owner.
    api.customer.clone_from(&stored.customer);
    api.subscription.clone_from(&stored.subscription);
    api.subscription_item.clone_from(&stored.subscription_item);
    if stored.coupon.is_none() || api.coupon.is_none() {
        api.coupon.clone_from(&stored.coupon);
    }
}

fn compare(field: &str, stored: &Value, api: &Value, found: &mut Vec<FieldDifference>) {
    match (stored, api) {
        (Value::Object(stored), Value::Object(api)) => compare_members(field, stored, api, found),
        (Value::Array(stored), Value::Array(api)) if stored.len() == api.len() => {
            for (at, (stored, api)) in stored.iter().zip(api).enumerate() {
                compare(&format!("{field}[{at}]"), stored, api, found);
            }
        }
        _ if stored == api || is_same_decimal(field, stored, api) => {}
        _ => {
            let (here, stripe) = (stored.clone(), api.clone());
            found.push(FieldDifference { field: field.to_owned(), here, stripe });
        }
    }
}

fn compare_members(
    field: &str,
    stored: &Map<String, Value>,
    api: &Map<String, Value>,
    found: &mut Vec<FieldDifference>,
) {
    let only_api = api.keys().filter(|key| !stored.contains_key(*key));
    for key in stored.keys().chain(only_api) {
        let field = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
        let member = |of: &Map<String, Value>| of.get(key).cloned().unwrap_or_default();
        compare(&field, &member(stored), &member(api), found);
    }
}

/// Decimals are stored as written, and `25` equals `25.0`.
fn is_same_decimal(field: &str, stored: &Value, api: &Value) -> bool {
    let is_decimal =
        ["unit_amount", "flat_amount", "percent_off", "percentage"].iter().any(|name| field.ends_with(name));
    match (stored.as_str(), api.as_str()) {
        (Some(stored), Some(api)) if is_decimal => plain(stored) == plain(api),
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

    fn fields(stored: &Value, api: &Value) -> Vec<String> {
        differences(&state(stored), &state(api), false).into_iter().map(|it| it.field).collect()
    }

    fn subscription(discounts: &Value) -> Value {
        json!({"object": "subscription", "id": "sub_1", "customer": "cus_1", "status": "active",
            "discounts": discounts,
            "items": {"data": [{"id": "si_1", "quantity": 1, "price": {"id": "price_1", "unit_amount_decimal": "900"}}]}})
    }

    #[test]
    fn differing_field_is_named_by_path() {
        let mut api = subscription(&json!([]));
        api["status"] = json!("past_due");
        api["items"]["data"][0]["price"]["unit_amount_decimal"] = json!("950");
        let found = differences(&state(&subscription(&json!([]))), &state(&api), false);
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
        for (stored, api) in cases {
            assert_eq!(fields(&stored, &api), [""; 0], "{stored} {api}");
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
        let (stored, api) = (
            state(&subscription(&json!(["di_1"]))),
            state(&subscription(&json!([{"object": "discount", "id": "di_1", "source": {"coupon": "c"}}]))),
        );
        let found = differences(&stored, &api, true);
        assert_eq!(found.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), ["discounts[0].coupon_id"]);
    }

    #[test]
    fn deleted_customer_differs_only_in_deletion() {
        let stored = json!({"object": "customer", "id": "cus_1", "email": "a@example.com", "created": 5});
        let gone = json!({"object": "customer", "id": "cus_1", "deleted": true});
        assert_eq!(fields(&stored, &gone), ["deleted"]);
    }
}
