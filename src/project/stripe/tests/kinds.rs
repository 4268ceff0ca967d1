//! Which events are decoded, and as which kind.

use serde_json::json;

use super::{START, event, payload, report};
use crate::project::Payload;
use crate::project::order::ChangeKind;
use crate::project::stripe::Kind;

#[test]
fn used_event_types_have_a_kind() {
    let cases = [
        (Kind::Customer, "customer.created customer.updated customer.deleted"),
        (Kind::Subscription, "customer.subscription.created customer.subscription.updated"),
        (Kind::Subscription, "customer.subscription.deleted customer.subscription.paused"),
        (Kind::Subscription, "customer.subscription.resumed customer.subscription.trial_will_end"),
        (Kind::Subscription, "customer.subscription.pending_update_applied"),
        (Kind::Discount, "customer.discount.created customer.discount.updated customer.discount.deleted"),
        (Kind::Checkout, "checkout.session.completed checkout.session.async_payment_succeeded"),
        (Kind::Invoice, "invoice.created invoice.finalized invoice.paid invoice.payment_succeeded"),
        (Kind::Invoice, "invoice.payment_failed invoice.voided invoice.marked_uncollectible invoice.updated"),
        (Kind::Invoice, "invoice.deleted invoice.overdue invoice.payment_action_required"),
        (Kind::InvoicePayment, "invoice_payment.paid invoice_payment.detached"),
        (Kind::Charge, "charge.succeeded charge.captured charge.failed charge.refunded charge.updated"),
        (Kind::Charge, "charge.expired charge.pending"),
        (Kind::Dispute, "charge.dispute.created charge.dispute.updated charge.dispute.closed"),
        (Kind::Dispute, "charge.dispute.funds_withdrawn charge.dispute.funds_reinstated"),
        (Kind::Refund, "charge.refund.updated refund.created refund.updated refund.failed"),
        (Kind::Price, "price.created price.updated price.deleted plan.created plan.updated plan.deleted"),
        (Kind::Product, "product.created product.updated product.deleted"),
        (Kind::Coupon, "coupon.created coupon.updated coupon.deleted"),
    ];
    for (kind, types) in cases {
        for event_type in types.split(' ') {
            assert_eq!(Kind::of_event(event_type), Some(kind), "{event_type}");
        }
    }
}

#[test]
fn other_event_types_are_ignored() {
    let types = [
        "invoice.upcoming",
        "invoiceitem.created",
        "customer.source.updated",
        "customer.tax_id.created",
        "customer_cash_balance_transaction.created",
        "payment_intent.succeeded",
        "subscription_schedule.updated",
        "promotion_code.created",
        "credit_note.created",
        "issuing_dispute.created",
        "a.type.from.the.future",
        "charge",
        "",
    ];
    for event_type in types {
        let event = json!({"type": event_type, "created": START, "data": {"object": {"id": "x"}}});
        assert!(matches!(payload(event), Ok(Payload::Ignored)), "{event_type}");
    }
}

#[test]
fn report_has_time_and_stage_of_event() {
    let updated = report(event("2025/subscription"));
    assert_eq!(updated.subject, "sub_1SkZ0q2eZvKYlo2C");
    assert_eq!(updated.occurred_at.unix_timestamp(), START + 40);
    assert_eq!((updated.change_kind, updated.is_final), (ChangeKind::Updated, false));
    assert_eq!(updated.object, event("2025/subscription")["data"]["object"]);
    assert_eq!(updated.previous.expect("previous attributes")["status"], "trialing");

    let deleted = report(event("2017/subscription_deleted"));
    assert_eq!((deleted.change_kind, deleted.is_final), (ChangeKind::Deleted, true));
    assert!(deleted.previous.is_none());

    assert_eq!(report(event("2018/customer")).change_kind, ChangeKind::Created);
    assert_eq!(report(event("2025/refund")).change_kind, ChangeKind::Created);
}

#[test]
fn empty_previous_attributes_are_none() {
    let mut event = event("2025/subscription");
    event["data"]["previous_attributes"] = json!({});
    assert!(report(event).previous.is_none());
}

#[test]
fn objects_have_id_and_customer() {
    let cases = [
        ("2025/customer", "customer", Some("cus_ThqyL3kP")),
        ("2025/checkout", "checkout", Some("cus_ThqyL3kP")),
        ("2025/subscription", "subscription", Some("cus_ThqyL3kP")),
        ("2025/invoice", "invoice", Some("cus_ThqyL3kP")),
        ("2025/invoice_payment", "invoice_payment", None),
        ("2025/charge_refunded", "charge", Some("cus_ThqyL3kP")),
        ("2025/refund", "refund", None),
        ("2022/charge_refund_updated", "refund", None),
        ("2025/dispute", "dispute", None),
        ("2025/price_tiered", "price", None),
        ("2025/product", "product", None),
        ("2025/coupon", "coupon", None),
        ("2025/discount", "discount", Some("cus_ThqyL3kP")),
    ];
    for (name, kind, customer) in cases {
        let event = event(name);
        let report = report(event.clone());
        assert_eq!(report.state.kind(), kind, "{name}");
        assert_eq!(report.state.customer_id(), customer, "{name}");
        assert_eq!(report.state.id(), event["data"]["object"]["id"], "{name}");
        let kept = serde_json::to_value(&report.state).expect("a state can be kept");
        assert_eq!(kept["kind"], kind, "{name}: the facts' own tag is the same word");
    }
}

#[test]
fn a_thin_event_names_its_object() {
    let thin = payload(event("2025/thin"));
    assert!(matches!(thin, Ok(Payload::Thin { object_id }) if object_id == "in_1SkZ0q2eZvKYlo2C"));
}

#[test]
fn unknown_thin_event_is_ignored() {
    let mut without_object = event("2025/thin");
    without_object["related_object"] = json!(null);
    let mut of_a_meter = event("2025/thin");
    of_a_meter["type"] = json!("v1.billing.meter.error_report_triggered");
    for event in [without_object, of_a_meter] {
        assert!(matches!(payload(event), Ok(Payload::Ignored)));
    }
}

#[test]
fn one_off_discount_is_ignored() {
    for key in ["invoice", "invoice_item", "checkout_session"] {
        let mut event = event("2025/discount");
        event["data"]["object"][key] = json!("in_1");
        assert!(matches!(payload(event), Ok(Payload::Ignored)), "{key}");
    }
}
