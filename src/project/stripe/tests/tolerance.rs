//! Fields of any shape: the rest of the event is still decoded.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{START, event, only, payload, report};
use crate::project::{DecodeError, Payload};

fn undecodable_field(event: Value) -> &'static str {
    match payload(event) {
        Err(DecodeError::Field { field, .. }) => field,
        other => panic!("readable: {other:?}"),
    }
}

#[test]
fn event_without_required_fields_is_undecodable() {
    let full = || event("2025/subscription");
    let without = |pointer: &str| {
        let mut event = full();
        *event.pointer_mut(pointer).expect("the field is there") = json!(null);
        event
    };
    assert_eq!(undecodable_field(without("/type")), "type");
    assert_eq!(undecodable_field(without("/created")), "created");
    for pointer in ["/data", "/data/object", "/data/object/id", "/data/object/customer"] {
        assert_eq!(
            undecodable_field(without(pointer)),
            "data.object.id or data.object.customer",
            "{pointer}"
        );
    }
    let mut too_late = full();
    too_late["created"] = json!(i64::MAX);
    assert_eq!(undecodable_field(too_late), "created");
    let mut absurd = full();
    absurd["data"]["object"]["id"] = json!("x".repeat(5000));
    assert_eq!(undecodable_field(absurd), "data.object.id or data.object.customer");
    for not_an_event in [json!(null), json!([1]), json!("x"), json!({"type": 5})] {
        assert_eq!(undecodable_field(not_an_event), "type");
    }
}

#[test]
fn ids_may_be_expanded_objects_anywhere() {
    let mut invoice = event("2025/invoice");
    let object = &mut invoice["data"]["object"];
    object["customer"] = json!({"id": "cus_9", "object": "customer", "deleted": true});
    object["parent"]["subscription_details"]["subscription"] = json!({"id": "sub_9", "status": "active"});
    object["lines"]["data"][1]["pricing"]["price_details"]["price"] = json!({"id": "price_9"});
    let invoice = only!(Invoice, report(invoice).state);
    assert_eq!(invoice.customer.as_deref(), Some("cus_9"));
    assert_eq!(invoice.subscription.as_deref(), Some("sub_9"));
    assert_eq!(invoice.recurring_lines[0].price.as_deref(), Some("price_9"));

    let mut subscription = event("2025/subscription");
    let object = &mut subscription["data"]["object"];
    object["discounts"] = json!([
        "di_1",
        {"id": "di_2", "source": {"type": "coupon", "coupon": {"id": "c2", "percent_off": 12.5, "duration": "forever"}}},
        {"id": "di_3", "coupon": {"id": "c3", "amount_off": 500, "currency": "USD", "duration": "once"}},
        {"id": "di_4", "source": {"type": "coupon", "coupon": "c4"}},
    ]);
    object["items"]["data"][0]["price"] = json!("price_by_id");
    object["items"]["data"][0]["plan"] = json!(null);
    let subscription = only!(Subscription, report(subscription).state);
    let coupons: Vec<_> = subscription.discounts.iter().map(|it| it.coupon_id.as_deref()).collect();
    assert_eq!(coupons, [None, Some("c2"), Some("c3"), Some("c4")]);
    let shown: Vec<_> = subscription.discounts.iter().map(|it| it.coupon.is_some()).collect();
    assert_eq!(shown, [false, true, true, false]);
    let percent = subscription.discounts[1].coupon.as_ref().and_then(|it| it.percent_off.as_deref());
    assert_eq!(percent, Some("12.5"));
    let currency = subscription.discounts[2].coupon.as_ref().and_then(|it| it.currency.as_deref());
    assert_eq!(currency, Some("usd"));
    assert_eq!(subscription.items[0].price.id, "price_by_id");
}

#[test]
fn discount_ids_use_terms_of_the_old_field() {
    let mut event = event("2022/subscription");
    event["data"]["object"]["discounts"] = json!(["di_other", "di_1SkZ0q2eZvKYlo2C"]);
    let discounts = only!(Subscription, report(event).state).discounts;
    let shown: Vec<_> = discounts.iter().map(|it| (it.id.as_str(), it.coupon.is_some())).collect();
    assert_eq!(shown, [("di_other", false), ("di_1SkZ0q2eZvKYlo2C", true)]);
}

#[test]
fn user_ids_follow_configured_metadata_keys() {
    let cases = [
        (json!({"supabase_user_id": "b", "user_id": "a", "other": "c"}), vec!["a", "b"]),
        (json!({"supabase_user_id": "b", "user_id": ""}), vec!["b"]),
        (json!({"user_id": 5, "supabase_user_id": null}), vec![]),
        (json!([]), vec![]),
        (json!(null), vec![]),
    ];
    for (metadata, user_ids) in cases {
        let mut event = event("2025/customer");
        event["data"]["object"]["metadata"] = metadata.clone();
        assert_eq!(only!(Customer, report(event).state).user_ids, user_ids, "{metadata}");
    }
}

#[test]
fn pause_trial_and_truncation_are_read() {
    let mut event = event("2026/subscription");
    let object = &mut event["data"]["object"];
    object["pause_collection"] = json!({"behavior": "void", "resumes_at": null});
    object["items"]["has_more"] = json!(true);
    object["items"]["data"][0]["current_trial"] = json!({"start_date": START, "end_date": START + 9});
    object["customer"] = json!(null);
    object["customer_account"] = json!("acct_1");
    let subscription = only!(Subscription, report(event).state);
    assert_eq!(subscription.pause_behavior.as_deref(), Some("void"));
    assert!(subscription.items_truncated);
    assert_eq!(subscription.items[0].trial_end, Some(START + 9));
    assert_eq!(subscription.customer, "acct_1");
}

#[test]
fn list_sizes_are_bounded() {
    let mut event = event("2026/subscription");
    let object = &mut event["data"]["object"];
    let item = object["items"]["data"][0].clone();
    object["items"]["data"] = json!(vec![item; 90]);
    object["discounts"] = json!(vec!["di_1"; 90]);
    let subscription = only!(Subscription, report(event).state);
    assert_eq!((subscription.items.len(), subscription.discounts.len()), (20, 20));
    assert!(subscription.items_truncated);
}

#[test]
fn nul_in_text_is_replaced() {
    let mut event = event("2025/customer");
    event["data"]["object"]["email"] = json!("a\u{0}b@example.com");
    assert_eq!(only!(Customer, report(event).state).email.as_deref(), Some("a\u{FFFD}b@example.com"));
}

const FIXTURES: [&str; 8] = [
    "2018/subscription",
    "2026/subscription",
    "2018/invoice",
    "2025/invoice",
    "2018/charge_refunded",
    "2025/dispute",
    "2025/price_tiered",
    "2018/discount",
];

fn wild_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            inner.prop_map(|value| json!({"id": value.clone(), "data": [value.clone()], "object": value})),
        ]
    })
}

/// The paths of all values below `value`.
fn paths(value: &Value, path: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(entries) => {
            entries.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (key, child) in children {
        let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
        paths(child, &path, found);
        found.push(path);
    }
}

proptest! {
    #[test]
    fn any_field_shapes_are_readable(
        fixture in prop::sample::select(&FIXTURES[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), wild_value()), 1..6),
    ) {
        let mut event = event(fixture);
        for (at, value) in changes {
            let mut found = Vec::new();
            paths(&event, "", &mut found);
            if !found.is_empty() && let Some(place) = event.pointer_mut(at.get(&found).as_str()) {
                *place = value;
            }
        }
        if let Ok(Payload::Stripe(report)) = payload(event) {
            let kept = serde_json::to_string(&report.state).expect("a state can be kept");
            prop_assert!(!kept.contains("\\u0000"));
            prop_assert_eq!(report.subject, report.state.id());
            prop_assert!(report.state.rank() >= 0);
        }
    }

    #[test]
    fn one_bad_field_does_not_affect_others(
        at in any::<prop::sample::Index>(),
        value in wild_value(),
    ) {
        let mut event = event("2026/subscription");
        let mut found = Vec::new();
        paths(&event["data"]["object"], "/data/object", &mut found);
        found.retain(|path| !["/id", "/customer"].iter().any(|key| path == &format!("/data/object{key}")));
        if let Some(place) = event.pointer_mut(at.get(&found).as_str()) {
            *place = value;
        }
        let subscription = only!(Subscription, report(event).state);
        prop_assert_eq!(subscription.id, "sub_1SkZ0q2eZvKYlo2C");
        prop_assert_eq!(subscription.customer, "cus_ThqyL3kP");
    }
}
