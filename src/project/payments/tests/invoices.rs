//! Invoices and what paid them.

use super::{O, charge, invoice_payment, linked_in_every_way, only, paid_invoice, refund, text};
use crate::project::payments::resolve;
use crate::project::stripe::{Charge, FailedAttempt, Invoice, InvoicePayment, PaymentRef};

#[test]
fn linked_invoice_and_charge_are_one_row() {
    for (way, objects) in linked_in_every_way() {
        let row = only(&objects);
        assert_eq!(row.id, "in_1", "{way}");
        assert_eq!(row.invoice.as_deref(), Some("in_1"), "{way}");
        assert_eq!(row.payment_intent.as_deref(), Some("pi_1"), "{way}");
        assert_eq!(
            (row.collected, row.status.as_str(), row.paid_at),
            (9900, "succeeded", Some(110)),
            "{way}"
        );
        assert_eq!(row.subscription.as_deref(), Some("sub_1"), "{way}");
    }
}

#[test]
fn failed_attempt_has_no_row() {
    let failed = Charge { status: "failed".to_owned(), captured: false, ..charge("ch_0", "pi_1") };
    for (way, mut objects) in linked_in_every_way() {
        objects.push(O::Charge(failed.clone()));
        assert_eq!(only(&objects).collected, 9900, "{way}");
    }
}

#[test]
fn claim_of_unknown_invoice_holds() {
    let objects = [
        O::InvoicePayment(invoice_payment("inpay_1", "in_1", "pi_1", "")),
        O::Charge(charge("ch_1", "pi_1")),
        O::Refund(refund("re_1", "ch_1", 500, "succeeded")),
    ];
    assert_eq!(resolve(&objects), []);
}

#[test]
fn invoice_status_is_mapped() {
    let cases = [
        ("paid", false, 9900, Some("succeeded")),
        ("paid", false, 0, Some("succeeded")),
        ("open", false, 0, Some("open")),
        ("open", false, 400, Some("open")),
        ("open", true, 0, Some("failed")),
        ("void", true, 0, Some("void")),
        ("uncollectible", true, 0, Some("uncollectible")),
        ("draft", false, 0, None),
        ("", false, 0, None),
        ("hovering", false, 0, None),
        ("hovering", false, 100, Some("open")),
        ("hovering", false, 9900, Some("succeeded")),
    ];
    for (status, has_failed, amount_paid, expected) in cases {
        let last_failure = has_failed.then(FailedAttempt::default);
        let invoice =
            Invoice { status: status.to_owned(), last_failure, amount_paid, ..paid_invoice("in_1") };
        let rows = resolve(&[O::Invoice(invoice)]);
        let reported_status = rows.first().map(|row| row.status.as_str());
        assert_eq!(reported_status, expected, "{status} {has_failed} {amount_paid}");
        assert_eq!(rows.first().map_or(0, |row| row.collected), expected.map_or(0, |_| amount_paid));
    }
}

#[test]
fn unpaid_invoice_has_no_payment_intent() {
    let unpaid = Invoice {
        status: "open".to_owned(),
        amount_paid: 0,
        payment_intent: text("pi_1"),
        ..paid_invoice("in_1")
    };
    assert_eq!(only(&[O::Invoice(unpaid)]).payment_intent, None);
    let by_hand = Invoice { paid_out_of_band: true, payment_intent: text("pi_1"), ..paid_invoice("in_1") };
    let row = only(&[O::Invoice(by_hand.clone())]);
    assert_eq!((row.payment_intent, row.collected), (None, 9900));
    // Until 2025 payments outside Stripe were not part of the amount paid.
    for amount_paid in [0, 1000] {
        let row = only(&[O::Invoice(Invoice { amount_paid, ..by_hand.clone() })]);
        assert_eq!((row.payment_intent, row.collected, row.status.as_str()), (None, 9900, "succeeded"));
    }
}

#[test]
fn named_payment_counts_only_if_invoice_was_paid() {
    for (succeeded, expected) in [(false, None), (true, Some("pi_1"))] {
        let named = PaymentRef { intent: text("pi_1"), charge: None, succeeded };
        let invoice = Invoice { payments: [named].into(), ..paid_invoice("in_1") };
        assert_eq!(only(&[O::Invoice(invoice)]).payment_intent.as_deref(), expected);
    }
}

#[test]
fn last_payment_gives_the_intent() {
    let later = InvoicePayment { paid_at: Some(120), ..invoice_payment("inpay_1", "in_1", "pi_b", "") };
    let canceled = InvoicePayment {
        status: "canceled".to_owned(),
        paid_at: Some(130),
        ..invoice_payment("inpay_0", "in_1", "pi_z", "")
    };
    let objects = [
        O::Invoice(paid_invoice("in_1")),
        O::InvoicePayment(later),
        O::InvoicePayment(invoice_payment("inpay_2", "in_1", "pi_c", "")),
        O::InvoicePayment(canceled),
    ];
    assert_eq!(only(&objects).payment_intent.as_deref(), Some("pi_b"));
}

#[test]
fn intent_of_two_invoices_is_on_one_row() {
    let older = Invoice { created: 90, ..paid_invoice("in_2") };
    let unpaid = Invoice { created: 10, status: "open".to_owned(), amount_paid: 0, ..paid_invoice("in_3") };
    let objects = [
        O::Invoice(paid_invoice("in_1")),
        O::Invoice(older),
        O::Invoice(unpaid),
        O::InvoicePayment(invoice_payment("inpay_1", "in_1", "pi_1", "")),
        O::InvoicePayment(invoice_payment("inpay_2", "in_2", "pi_1", "")),
        O::InvoicePayment(invoice_payment("inpay_3", "in_3", "pi_1", "")),
        O::Charge(charge("ch_1", "pi_1")),
        O::Refund(refund("re_1", "ch_1", 500, "succeeded")),
    ];
    let rows = resolve(&objects);
    let reported: Vec<_> =
        rows.iter().map(|row| (row.id.as_str(), row.payment_intent.as_deref(), row.refunded)).collect();
    assert_eq!(reported, [("in_1", None, 0), ("in_2", Some("pi_1"), 500), ("in_3", None, 0)]);
}
