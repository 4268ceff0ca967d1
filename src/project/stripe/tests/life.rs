//! Final states, ranks, and failed payments.

use serde_json::{Value, json};

use super::{event, only, report, state};
use crate::project::stripe::{
    BalanceTransaction, Charge, Dispute, FailedAttempt, Invoice, InvoicePayment, Refund, StripeObject,
    Subscription,
};

fn with(name: &str, event_type: &str, changes: &Value) -> Value {
    let mut event = event(name);
    event["type"] = json!(event_type);
    for (key, value) in changes.as_object().expect("an object of changes") {
        event["data"]["object"][key] = value.clone();
    }
    event
}

#[test]
fn final_states_are_recognised() {
    let (subscription, invoice) = ("2025/subscription", "2025/invoice");
    let status = |status| json!({ "status": status });
    let cases = [
        (with(subscription, "customer.subscription.updated", &status("canceled")), true),
        (with(subscription, "customer.subscription.updated", &status("incomplete_expired")), true),
        (with(subscription, "customer.subscription.updated", &status("unpaid")), false),
        (with(subscription, "customer.subscription.deleted", &status("active")), true),
        (with(invoice, "invoice.updated", &status("paid")), true),
        (with(invoice, "invoice.voided", &status("void")), true),
        (with(invoice, "invoice.marked_uncollectible", &status("uncollectible")), false),
        (with(invoice, "invoice.finalized", &status("open")), false),
        (with(invoice, "invoice.deleted", &status("draft")), true),
        (with("2025/customer", "customer.deleted", &json!({})), true),
        (with("2025/price_tiered", "price.deleted", &json!({})), true),
        (with("2025/discount", "customer.discount.deleted", &json!({})), true),
        // A discount with a stand-in id may be set again.
        (with("2018/discount", "customer.discount.deleted", &json!({})), false),
        (with("2025/dispute", "charge.dispute.closed", &json!({})), false),
    ];
    for (event, is_final) in cases {
        assert_eq!(
            report(event.clone()).is_final,
            is_final,
            "{} {}",
            event["type"],
            event["data"]["object"]["status"]
        );
    }
}

#[test]
fn deleted_objects_are_marked() {
    let deleted = |name, event_type| report(with(name, event_type, &json!({}))).state;
    assert!(only!(Customer, deleted("2025/customer", "customer.deleted")).deleted);
    assert!(only!(Discount, deleted("2025/discount", "customer.discount.deleted")).deleted);
    assert_eq!(
        only!(Subscription, deleted("2025/subscription", "customer.subscription.deleted")).status,
        "canceled"
    );
    assert!(!only!(Customer, state("2025/customer")).deleted);
}

#[test]
fn failed_attempt_is_read_from_its_event() {
    let tried = json!({"status": "open", "attempted": true, "attempt_count": 1, "amount_paid": 40});
    let untried = json!({"status": "open", "attempted": false, "attempt_count": 0, "amount_paid": 0});
    let old =
        json!({"paid": false, "closed": false, "attempted": true, "attempt_count": 1, "amount_paid": 0});
    let cases = [
        ("2025/invoice", "invoice.payment_failed", &tried, Some((1, 40))),
        ("2025/invoice", "invoice.payment_failed", &untried, Some((0, 0))),
        ("2025/invoice", "invoice.updated", &tried, None),
        ("2025/invoice", "invoice.finalized", &untried, None),
        ("2025/invoice", "invoice.payment_action_required", &tried, None),
        ("2018/invoice", "invoice.payment_failed", &old, Some((1, 0))),
        ("2018/invoice", "invoice.updated", &old, None),
    ];
    for (name, event_type, changes, failed) in cases {
        let event = with(name, event_type, changes);
        let at = event["created"].as_i64().expect("a moment");
        let expected =
            failed.map(|(attempt_count, amount_paid)| FailedAttempt { at, attempt_count, amount_paid });
        let invoice = only!(Invoice, report(event).state);
        assert_eq!(invoice.last_failure, expected, "{event_type} {changes}");
    }
}

#[test]
fn captured_amount_is_read_in_every_version() {
    let part = json!({"amount": 4400, "amount_captured": 3000, "amount_refunded": 1400, "captured": true});
    let held = json!({"amount": 4400, "amount_captured": 0, "amount_refunded": 0, "captured": false});
    let unreported =
        json!({"amount": 4400, "amount_captured": null, "amount_refunded": 1400, "captured": true});
    let cases = [
        ("charge.captured", &part, Some(3000), 3000),
        ("charge.refunded", &part, Some(3000), 3000),
        ("charge.succeeded", &held, None, 0),
        // Before 2020 the capture itself shows the rest as refunded; later events can't be distinguished from refunds.
        ("charge.captured", &unreported, Some(3000), 3000),
        ("charge.refunded", &unreported, None, 4400),
    ];
    for (event_type, changes, stated, collected) in cases {
        let charge = only!(Charge, report(with("2025/charge_refunded", event_type, changes)).state);
        assert_eq!(
            (charge.stated_captured, charge.collected()),
            (stated, collected),
            "{event_type} {changes}"
        );
        assert_eq!(charge.captured_at.is_some(), charge.captured);
    }
}

#[test]
fn old_invoice_status_follows_its_flags() {
    let flags = |paid, forgiven, attempted, closed| json!({"paid": paid, "forgiven": forgiven, "attempted": attempted, "closed": closed});
    let cases = [
        (flags(true, false, true, true), "paid", 4400),
        (flags(false, true, true, true), "uncollectible", 0),
        (flags(false, false, true, false), "open", 0),
        (flags(false, false, false, false), "draft", 0),
    ];
    for (flags, status, amount_paid) in cases {
        let mut event = with("2018/invoice", "invoice.updated", &flags);
        event["data"]["object"]["amount_paid"] = json!(null);
        let invoice = only!(Invoice, report(event).state);
        assert_eq!((invoice.status.as_str(), invoice.amount_paid), (status, amount_paid), "{flags}");
    }
}

#[test]
fn item_lines_add_up_within_latest_period() {
    let mut event = event("2025/invoice");
    let lines = event["data"]["object"]["lines"]["data"].as_array_mut().expect("lines");
    let mut second_tier = lines[1].clone();
    second_tier["amount"] = json!(650);
    let mut last_period = lines[1].clone();
    last_period["period"]["start"] = json!(1);
    let one_off = json!({"amount": 9999, "parent": {"type": "invoice_item_details"}, "type": "invoiceitem"});
    lines.extend([second_tier, last_period, one_off]);
    let amounts: Vec<i64> =
        only!(Invoice, report(event).state).recurring_lines.iter().map(|line| line.amount).collect();
    assert_eq!(amounts, [5800 + 650]);
}

fn is_rising(objects: &[StripeObject]) {
    for pair in objects.windows(2) {
        assert!(pair[0].rank() < pair[1].rank(), "{pair:?}");
    }
}

#[test]
fn ranks_rise_along_the_lifecycle() {
    let subscription = |status: &str| {
        StripeObject::Subscription(Subscription { status: status.to_owned(), ..Subscription::default() })
    };
    let invoice = |status: &str, attempt_count, has_failed: bool| {
        let (status, last_failure) = (status.to_owned(), has_failed.then(FailedAttempt::default));
        StripeObject::Invoice(Invoice { status, attempt_count, last_failure, ..Invoice::default() })
    };
    let payment = |status: &str| {
        StripeObject::InvoicePayment(InvoicePayment {
            status: status.to_owned(),
            ..InvoicePayment::default()
        })
    };
    let charge = |status: &str, captured, refunds| {
        let refunds = vec![Refund::default(); refunds];
        StripeObject::Charge(Charge { status: status.to_owned(), captured, refunds, ..Charge::default() })
    };
    let refund =
        |status: &str| StripeObject::Refund(Refund { status: Some(status.to_owned()), ..Refund::default() });
    let dispute = |status: &str, moved| {
        let balance_transactions = vec![BalanceTransaction::default(); moved];
        StripeObject::Dispute(Dispute {
            status: status.to_owned(),
            balance_transactions,
            ..Dispute::default()
        })
    };
    is_rising(
        &["?", "incomplete", "trialing", "active", "past_due", "unpaid", "paused", "canceled"]
            .map(subscription),
    );
    is_rising(&[
        invoice("draft", 0, false),
        invoice("open", 0, false),
        invoice("open", 1, true),
        invoice("open", 2, true),
        invoice("uncollectible", 1, false),
        invoice("paid", 1, false),
    ]);
    assert!(invoice("open", i64::MAX, true).rank() < invoice("uncollectible", 0, false).rank());
    is_rising(&["?", "open", "canceled", "paid"].map(payment));
    is_rising(&[
        charge("pending", false, 0),
        charge("failed", false, 0),
        charge("succeeded", false, 0),
        charge("succeeded", true, 0),
        charge("succeeded", true, 1),
    ]);
    is_rising(&["pending", "succeeded", "failed"].map(refund));
    is_rising(&[
        dispute("needs_response", 0),
        dispute("needs_response", 1),
        dispute("under_review", 1),
        dispute("lost", 1),
        dispute("won", 1),
        dispute("won", 2),
    ]);
}
