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
    let updated = report(event("subscription_2025"));
    assert_eq!(updated.subject, "sub_1SkZ0q2eZvKYlo2C");
    assert_eq!(updated.occurred_at.unix_timestamp(), START + 40);
    assert_eq!((updated.change_kind, updated.is_final), (ChangeKind::Updated, false));
    assert_eq!(updated.object, event("subscription_2025")["data"]["object"]);
    assert_eq!(updated.previous.expect("previous attributes")["status"], "trialing");

    let deleted = report(event("subscription_deleted_2017"));
    assert_eq!((deleted.change_kind, deleted.is_final), (ChangeKind::Deleted, true));
    assert!(deleted.previous.is_none());

    assert_eq!(report(event("customer_2018")).change_kind, ChangeKind::Created);
    assert_eq!(report(event("refund_2025")).change_kind, ChangeKind::Created);
}

#[test]
fn empty_previous_attributes_are_none() {
    let mut event = event("subscription_2025");
    event["data"]["previous_attributes"] = json!({});
    assert!(report(event).previous.is_none());
}

#[test]
fn objects_have_id_and_customer() {
    let cases = [
        ("customer_2025", "customer", Some("cus_ThqyL3kP")),
        ("checkout_2025", "checkout", Some("cus_ThqyL3kP")),
        ("subscription_2025", "subscription", Some("cus_ThqyL3kP")),
        ("invoice_2025", "invoice", Some("cus_ThqyL3kP")),
        ("invoice_payment_2025", "invoice_payment", None),
        ("charge_refunded_2025", "charge", Some("cus_ThqyL3kP")),
        ("refund_2025", "refund", None),
        ("charge_refund_updated_2022", "refund", None),
        ("dispute_2025", "dispute", None),
        ("price_tiered_2025", "price", None),
        ("product_2025", "product", None),
        ("coupon_2025", "coupon", None),
        ("discount_2025", "discount", Some("cus_ThqyL3kP")),
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
    let thin = payload(event("thin_2025"));
    assert!(matches!(thin, Ok(Payload::Thin { object_id }) if object_id == "in_1SkZ0q2eZvKYlo2C"));
}

#[test]
fn unknown_thin_event_is_ignored() {
    let mut without_object = event("thin_2025");
    without_object["related_object"] = json!(null);
    let mut of_a_meter = event("thin_2025");
    of_a_meter["type"] = json!("v1.billing.meter.error_report_triggered");
    for event in [without_object, of_a_meter] {
        assert!(matches!(payload(event), Ok(Payload::Ignored)));
    }
}

#[test]
fn one_off_discount_is_ignored() {
    for key in ["invoice", "invoice_item", "checkout_session"] {
        let mut event = event("discount_2025");
        event["data"]["object"][key] = json!("in_1");
        assert!(matches!(payload(event), Ok(Payload::Ignored)), "{key}");
    }
}
