//! The same history in several API versions gives the same objects.

use serde_json::json;

use super::{DAY, START, USER, event, only, report, state};
use crate::project::stripe::{
    BalanceTransaction, Charge, Checkout, Discount, Invoice, InvoiceLine, Item, PaymentRef, Price, PriceTier,
    Refund, Subscription, TaxRate,
};

const SUBSCRIPTION: &str = "sub_1SkZ0q2eZvKYlo2C";
const CUSTOMER: &str = "cus_ThqyL3kP";
const PRICE: &str = "price_1SkYzX2eZvKYlo2C";

fn gold() -> Price {
    Price {
        id: PRICE.to_owned(),
        product: Some("prod_ThqwQ1".to_owned()),
        currency: Some("usd".to_owned()),
        unit_amount: Some("2900".to_owned()),
        interval: Some("month".to_owned()),
        interval_count: Some(1),
        nickname: Some("Gold".to_owned()),
        ..Price::default()
    }
}

/// The subscription without its discount, which newer events give by id only.
fn two_seats_of_gold() -> Subscription {
    Subscription {
        id: SUBSCRIPTION.to_owned(),
        customer: CUSTOMER.to_owned(),
        created: START,
        status: "active".to_owned(),
        currency: Some("usd".to_owned()),
        start_date: Some(START),
        current_period_start: Some(START),
        current_period_end: Some(START + 31 * DAY),
        items: vec![Item {
            id: "si_ThqzS2a9".to_owned(),
            price: gold(),
            quantity: Some(2),
            ..Item::default()
        }],
        user_ids: vec![USER.to_owned()],
        ..Subscription::default()
    }
}

#[test]
fn subscription_is_equal_in_every_version() {
    for name in ["2018/subscription", "2022/subscription", "2025/subscription", "2026/subscription"] {
        let subscription = only!(Subscription, state(name));
        assert_eq!(subscription.discounts.len(), 1, "{name}");
        assert_eq!(Subscription { discounts: Vec::new(), ..subscription }, two_seats_of_gold(), "{name}");
    }
}

#[test]
fn cancellation_and_pause_are_equal_across_versions() {
    for name in ["2022/subscription", "2025/subscription", "2026/subscription"] {
        let mut event = event(name);
        let object = &mut event["data"]["object"];
        object["cancel_at"] = json!(START + 9 * DAY);
        object["canceled_at"] = json!(START + DAY);
        object["cancellation_details"] = json!({ "comment": "too dear!", "feedback": "too_expensive", "reason": "cancellation_requested" });
        object["pause_collection"] = json!({ "behavior": "void", "resumes_at": null });
        object["default_tax_rates"] =
            json!([{ "id": "txr_1", "object": "tax_rate", "inclusive": true, "percentage": 7.7 }, "txr_2"]);
        let subscription = only!(Subscription, report(event).state);
        let rate = TaxRate { id: "txr_1".to_owned(), inclusive: true, percentage: Some("7.7".to_owned()) };
        let by_id = TaxRate { id: "txr_2".to_owned(), ..TaxRate::default() };
        let expected = Subscription {
            cancel_at: Some(START + 9 * DAY),
            canceled_at: Some(START + DAY),
            cancellation_reason: Some("cancellation_requested".to_owned()),
            cancellation_feedback: Some("too_expensive".to_owned()),
            pause_behavior: Some("void".to_owned()),
            default_tax_rates: vec![rate, by_id],
            ..two_seats_of_gold()
        };
        assert_eq!(Subscription { discounts: Vec::new(), ..subscription }, expected, "{name}");
    }
}

#[test]
fn discount_amounts_exclude_prorations() {
    let mut event = event("2025/invoice");
    let taken = json!([{ "amount": 450, "discount": "di_1" }, { "amount": 0, "discount": "di_2" },
        { "amount": 7, "discount": { "id": "di_3", "object": "discount" } }]);
    event["data"]["object"]["total_discount_amounts"] = taken;
    let amounts =
        |event| only!(Invoice, report(event).state).discount_amounts.into_iter().collect::<Vec<_>>();
    assert_eq!(amounts(event.clone()), [("di_1".to_owned(), 450), ("di_3".to_owned(), 7)]);
    let mut without_lines = event.clone();
    without_lines["data"]["object"]["lines"]["data"] = json!([]);
    assert_eq!(amounts(without_lines).len(), 2);
    for line in event["data"]["object"]["lines"]["data"].as_array_mut().unwrap() {
        line["parent"]["subscription_item_details"]["proration"] = json!(true);
    }
    assert_eq!(amounts(event), []);
}

#[test]
fn plan_without_items_gives_one_item() {
    let subscription = only!(Subscription, state("2017/subscription_deleted"));
    let price = Price { id: "gold".to_owned(), product: None, nickname: None, ..gold() };
    let item = Item { price, quantity: Some(2), ..Item::default() };
    let expected = Subscription {
        status: "canceled".to_owned(),
        canceled_at: Some(START + DAY),
        ended_at: Some(START + DAY),
        items: vec![item],
        user_ids: Vec::new(),
        ..two_seats_of_gold()
    };
    assert_eq!(subscription, expected);
}

#[test]
fn subscription_discount_is_read_complete_or_by_id() {
    let discount = |name| only!(Subscription, state(name)).discounts.remove(0);
    let (old, middle) = (discount("2018/subscription"), discount("2022/subscription"));
    assert_eq!(old.id, format!("discount:{SUBSCRIPTION}"));
    assert_eq!(middle.id, "di_1SkZ0q2eZvKYlo2C");
    for discount in [old, middle] {
        let coupon = discount.coupon.expect("the coupon is shown");
        assert_eq!((coupon.id.as_str(), coupon.duration.as_str()), ("spring25", "repeating"));
        assert_eq!(coupon.duration_in_months, Some(3));
        assert!(matches!(coupon.percent_off.as_deref(), Some("25" | "25.0")), "{coupon:?}");
        assert_eq!((discount.start, discount.end), (Some(START), Some(START + 90 * DAY)));
        assert_eq!(discount.subscription.as_deref(), Some(SUBSCRIPTION));
    }
    let by_id = Discount { id: "di_1SkZ0q2eZvKYlo2C".to_owned(), ..Discount::default() };
    assert_eq!(discount("2025/subscription"), by_id);
    assert_eq!(discount("2026/subscription"), by_id);
}

#[test]
fn invoice_is_equal_in_every_version() {
    let expected = Invoice {
        id: "in_1SkZ0q2eZvKYlo2C".to_owned(),
        customer: Some(CUSTOMER.to_owned()),
        created: START,
        currency: "usd".to_owned(),
        status: "paid".to_owned(),
        subscription: Some(SUBSCRIPTION.to_owned()),
        amount_paid: 4400,
        amount_due: 4400,
        attempt_count: 1,
        paid_at: Some(START + 3600),
        billing_reason: Some("subscription_cycle".to_owned()),
        number: Some("ABCD1234-0007".to_owned()),
        recurring_lines: vec![InvoiceLine {
            price: Some(PRICE.to_owned()),
            subscription_item: Some("si_ThqzS2a9".to_owned()),
            amount: 5800,
        }],
        ..Invoice::default()
    };
    assert_eq!(only!(Invoice, state("2025/invoice")), expected);

    let charge = Some("ch_3SkZ0q2eZvKYlo2C".to_owned());
    let payment_intent = Some("pi_3SkZ0q2eZvKYlo2C".to_owned());
    // Versions that name the payment make it sticky.
    let named = |intent: &Option<String>| {
        [PaymentRef { intent: intent.clone(), charge: charge.clone(), succeeded: true }].into()
    };
    let payments = named(&payment_intent);
    let of_2022 = Invoice { charge: charge.clone(), payment_intent, payments, ..expected.clone() };
    assert_eq!(only!(Invoice, state("2022/invoice")), of_2022);

    // Without statuses and their times, and before payment intents.
    let payments = named(&None);
    let of_2018 = Invoice { charge: charge.clone(), paid_at: None, payments, ..expected };
    assert_eq!(only!(Invoice, state("2018/invoice")), of_2018);
}

#[test]
fn refund_is_equal_in_charge_and_own_event() {
    let charge = only!(Charge, state("2018/charge_refunded"));
    let refund = only!(Refund, state("2025/refund"));
    assert_eq!(refund.payment_intent.as_deref(), Some("pi_3SkZ0q2eZvKYlo2C"));
    assert_eq!(charge.refunds, [Refund { payment_intent: None, ..refund }]);

    let modern = only!(Charge, state("2025/charge_refunded"));
    let same = Charge {
        payment_intent: None,
        stated_captured: None,
        captured_at: charge.captured_at,
        as_of: charge.as_of,
        invoice: charge.invoice.clone(),
        refunds: charge.refunds.clone(),
        ..modern
    };
    assert_eq!(same, charge);
    assert_eq!((charge.amount, charge.amount_captured, charge.amount_refunded), (4400, 4400, 1000));
}

#[test]
fn a_dispute_moves_funds_without_fees() {
    let old = only!(Dispute, state("2018/dispute"));
    let new = only!(Dispute, state("2025/dispute"));
    let moved =
        |id: &str, amount| BalanceTransaction { id: id.to_owned(), amount, currency: "usd".to_owned() };
    assert_eq!(old.balance_transactions, [moved("txn_d1", -4400), moved("txn_d2", 4400)]);
    assert_eq!(new.payment_intent.as_deref(), Some("pi_3SkZ0q2eZvKYlo2C"));
    assert_eq!(crate::project::stripe::Dispute { payment_intent: None, ..new }, old);
}

#[test]
fn checkout_is_equal_in_every_version() {
    let expected = Checkout {
        id: "cs_test_a1".to_owned(),
        created: START + 5,
        customer: Some(CUSTOMER.to_owned()),
        subscription: Some(SUBSCRIPTION.to_owned()),
        client_reference_id: Some(USER.to_owned()),
        email: Some("Ada@Example.com".to_owned()),
        is_settled: true,
        ..Checkout::default()
    };
    assert_eq!(only!(Checkout, state("2019/checkout")), expected);
    // Only newer versions name the invoice.
    let named = Checkout { invoice: Some("in_1SkZ0q2eZvKYlo2C".to_owned()), ..expected };
    assert_eq!(only!(Checkout, state("2025/checkout")), named);
}

/// Whether a session of this type, status and payment status is evidence of whose the payment is.
#[test]
fn checkout_is_settled_once_complete_and_paid() {
    for (event, status, payment, settled) in [
        ("completed", Some("complete"), Some("paid"), true),
        ("completed", Some("complete"), Some("no_payment_required"), true),
        ("completed", Some("complete"), Some("unpaid"), false),
        ("async_payment_succeeded", Some("complete"), Some("paid"), true),
        ("async_payment_succeeded", None, None, true),
        ("async_payment_failed", Some("complete"), Some("unpaid"), false),
        ("expired", Some("expired"), Some("unpaid"), false),
        ("expired", Some("expired"), Some("no_payment_required"), false),
        ("expired", None, Some("unpaid"), false),
        ("expired", None, Some("no_payment_required"), false),
        ("expired", None, None, false),
        ("completed", None, Some("paid"), true),
        ("completed", None, Some("no_payment_required"), true),
        ("completed", None, Some("unpaid"), false),
        ("completed", None, None, true),
    ] {
        let session = serde_json::json!({
            "id": "cs_1", "object": "checkout.session", "status": status, "payment_status": payment
        });
        let event = serde_json::json!({
            "id": "evt_1", "type": format!("checkout.session.{event}"), "created": 1, "data": {"object": session}
        });
        let crate::project::Payload::Stripe(report) =
            crate::project::stripe::decode(event.clone(), &[]).unwrap()
        else {
            panic!("{event}")
        };
        let crate::project::stripe::StripeObject::Checkout(checkout) = report.state else {
            panic!("{event}")
        };
        assert_eq!(checkout.is_settled, settled, "{event}");
    }
}

#[test]
fn customer_is_equal_in_every_version() {
    let (old, new) = (only!(Customer, state("2018/customer")), only!(Customer, state("2025/customer")));
    assert_eq!(old, new);
    assert_eq!(new.user_ids, [USER]);
    assert_eq!(new.email.as_deref(), Some("ada@example.com"));
    assert_eq!(new.created, START - 10);
}

#[test]
fn a_tiered_plan_is_a_tiered_price() {
    let tier = |up_to, unit: &str, flat: Option<&str>| PriceTier {
        up_to,
        unit_amount: Some(unit.to_owned()),
        flat_amount: flat.map(str::to_owned),
    };
    let expected = Price {
        id: "price_tiered".to_owned(),
        unit_amount: None,
        nickname: None,
        tiers_mode: Some("graduated".to_owned()),
        tiers: vec![tier(Some(5), "700", Some("1000")), tier(None, "650", None)],
        ..gold()
    };
    assert_eq!(only!(Price, state("2018/plan_tiered")), expected);
    assert_eq!(only!(Price, state("2025/price_tiered")), expected);
}

#[test]
fn coupon_percentage_keeps_its_decimals() {
    let (old, new) = (only!(Coupon, state("2018/coupon")), only!(Coupon, state("2025/coupon")));
    assert_eq!(old, new);
    assert_eq!(new.percent_off.as_deref(), Some("33.33"));
}

#[test]
fn a_discount_without_an_id_is_named_by_its_owner() {
    let old = report(super::event("2018/discount"));
    assert_eq!(old.subject, format!("discount:{CUSTOMER}"));
    assert!(only!(Discount, old.state).is_on_customer());

    let new = only!(Discount, state("2025/discount"));
    assert_eq!(new.id, "di_1SkZ0q2eZvKYlo2C");
    assert_eq!((new.coupon_id.as_deref(), new.coupon.is_none()), (Some("spring25"), true));
    assert!(!new.is_on_customer());
}
