//! One payment as reported by every API version, in every order, with pieces missing.

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::{Payment, links, settle};
use crate::project::stripe::{
    BalanceTransaction, Charge, Checkout, Customer, Dispute, FailedAttempt, Invoice, InvoicePayment, Paid,
    Refund, StripeObject,
};

mod attempts;
mod refunds;

fn text(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

fn paid_invoice(id: &str) -> Invoice {
    Invoice {
        id: id.to_owned(),
        customer: text("cus_1"),
        created: 100,
        currency: "usd".to_owned(),
        status: "paid".to_owned(),
        subscription: text("sub_1"),
        amount_paid: 9900,
        amount_due: 9900,
        paid_at: Some(110),
        ..Invoice::default()
    }
}

fn invoice_payment(id: &str, invoice: &str, intent: &str, charge: &str) -> InvoicePayment {
    InvoicePayment {
        id: id.to_owned(),
        invoice: invoice.to_owned(),
        payment_intent: text(intent),
        charge: text(charge),
        status: "paid".to_owned(),
        amount_paid: Some(9900),
        paid_at: Some(110),
    }
}

fn charge(id: &str, intent: &str) -> Charge {
    Charge {
        id: id.to_owned(),
        customer: text("cus_1"),
        created: 105,
        currency: "usd".to_owned(),
        status: "succeeded".to_owned(),
        captured: true,
        amount: 9900,
        amount_captured: 9900,
        payment_intent: text(intent),
        ..Charge::default()
    }
}

fn refund(id: &str, charge: &str, amount: i64, status: &str) -> Refund {
    Refund {
        id: id.to_owned(),
        created: 200,
        currency: "usd".to_owned(),
        amount,
        status: text(status),
        charge: text(charge),
        payment_intent: None,
        failed_at: None,
    }
}

/// Amounts and their currencies.
type Movements<'a> = &'a [(i64, &'a str)];

fn dispute(status: &str, movements: Movements<'_>) -> Dispute {
    let movement = |(number, (amount, currency)): (usize, &(i64, &str))| BalanceTransaction {
        id: format!("txn_{number}"),
        amount: *amount,
        currency: (*currency).to_owned(),
    };
    Dispute {
        id: "dp_1".to_owned(),
        created: 300,
        currency: "usd".to_owned(),
        amount: 9900,
        status: status.to_owned(),
        charge: text("ch_1"),
        payment_intent: None,
        balance_transactions: movements.iter().enumerate().map(movement).collect(),
    }
}

fn only(objects: &[StripeObject]) -> Payment {
    let mut rows = settle(objects);
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows.remove(0)
}

use StripeObject as O;

/// An invoice and its charge, linked in each of the ways of API versions.
fn linked_in_every_way() -> Vec<(&'static str, Vec<StripeObject>)> {
    let invoice = paid_invoice("in_1");
    let by_intent = Invoice { payment_intent: text("pi_1"), ..invoice.clone() };
    let by_charge = Invoice { charge: text("ch_1"), ..invoice.clone() };
    let reported_by_charge = Charge { invoice: text("in_1"), ..charge("ch_1", "pi_1") };
    let plain = || O::Charge(charge("ch_1", "pi_1"));
    let linked = |intent, charge| O::InvoicePayment(invoice_payment("inpay_1", "in_1", intent, charge));
    vec![
        ("invoice_payment with intent", vec![O::Invoice(invoice.clone()), linked("pi_1", ""), plain()]),
        ("invoice_payment with charge", vec![O::Invoice(invoice.clone()), linked("", "ch_1"), plain()]),
        ("invoice.payment_intent", vec![O::Invoice(by_intent), plain()]),
        ("invoice.charge", vec![O::Invoice(by_charge), plain()]),
        ("charge.invoice", vec![O::Invoice(invoice), O::Charge(reported_by_charge)]),
    ]
}

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
    assert_eq!(settle(&objects), []);
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
        let rows = settle(&[O::Invoice(invoice)]);
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
        let named = Paid { intent: text("pi_1"), charge: None, succeeded };
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
    let rows = settle(&objects);
    let reported: Vec<_> =
        rows.iter().map(|row| (row.id.as_str(), row.payment_intent.as_deref(), row.refunded)).collect();
    assert_eq!(reported, [("in_1", None, 0), ("in_2", Some("pi_1"), 500), ("in_3", None, 0)]);
}

#[test]
fn checkout_links_payment_to_invoice() {
    let session = Checkout {
        id: "cs_1".to_owned(),
        invoice: text("in_1"),
        payment_intent: text("pi_1"),
        ..Checkout::default()
    };
    let refund = Refund { payment_intent: text("pi_1"), ..refund("re_1", "", 500, "succeeded") };
    let charge = Charge { customer: None, ..charge("ch_1", "pi_1") };
    let objects = [O::Invoice(paid_invoice("in_1")), O::Charge(charge.clone()), O::Refund(refund)];
    let row = only(&[objects.as_slice(), &[O::Checkout(session.clone())]].concat());
    assert_eq!((row.id.as_str(), row.collected, row.refunded), ("in_1", 9900, 500));
    assert_eq!(row.payment_intent.as_deref(), Some("pi_1"));

    // A guest is known by the payment, a customer by their id.
    let guests = O::Invoice(Invoice { customer: None, ..paid_invoice("in_1") });
    let objects = [guests, O::Charge(charge), O::Checkout(session.clone())];
    assert_eq!(only(&objects).customer, "pi_1");
    let customers = O::Checkout(Checkout { customer: text("cus_2"), ..session });
    assert_eq!(only(&[objects[..2].to_vec(), vec![customers]].concat()).customer, "cus_2");
}

#[test]
fn one_off_payment_id_is_intent_or_charge() {
    let with_intent = only(&[O::Charge(charge("ch_1", "pi_1"))]);
    assert_eq!((with_intent.id.as_str(), with_intent.payment_intent.as_deref()), ("pi_1", Some("pi_1")));
    let without = only(&[O::Charge(charge("ch_1", ""))]);
    assert_eq!((without.id.as_str(), without.payment_intent), ("ch_1", None));
    assert_eq!((without.customer.as_str(), without.paid_at, without.invoice), ("cus_1", Some(105), None));
}

#[test]
fn a_guests_payment_is_its_own_customer() {
    let guest = Charge { customer: None, ..charge("ch_1", "pi_1") };
    assert_eq!(only(&[O::Charge(guest)]).customer, "pi_1");
    let guest = Charge { customer: None, ..charge("ch_1", "") };
    assert_eq!(only(&[O::Charge(guest)]).customer, "ch_1");
    let nameless = Invoice { customer: None, charge: text("ch_1"), ..paid_invoice("in_1") };
    assert_eq!(only(&[O::Invoice(nameless.clone()), O::Charge(charge("ch_1", ""))]).customer, "cus_1");
    assert_eq!(only(&[O::Invoice(nameless)]).customer, "in_1");
}

#[test]
fn unsuccessful_charges_are_not_payments() {
    for (status, captured) in [("failed", false), ("failed", true), ("pending", true), ("succeeded", false)] {
        let charge = Charge { status: status.to_owned(), captured, ..charge("ch_1", "pi_1") };
        assert_eq!(settle(&[O::Charge(charge)]), [], "{status} {captured}");
    }
}

#[test]
fn partial_capture_counts_captured_amount() {
    let charge = Charge { amount_captured: 4000, ..charge("ch_1", "pi_1") };
    assert_eq!(only(&[O::Charge(charge)]).collected, 4000);
}

#[test]
fn failed_refunds_do_not_count() {
    let cases = [
        ("succeeded", 500),
        ("pending", 500),
        ("requires_action", 500),
        ("", 500),
        ("failed", 0),
        ("canceled", 0),
    ];
    for (status, expected) in cases {
        let objects = [O::Charge(charge("ch_1", "pi_1")), O::Refund(refund("re_1", "ch_1", 500, status))];
        let row = only(&objects);
        assert_eq!((row.refunded, row.collected), (expected, 9900), "{status}");
    }
}

#[test]
fn refund_reported_twice_own_events_win() {
    let embedding = Charge {
        refunds: vec![refund("re_1", "", 500, "pending"), refund("re_2", "", 200, "succeeded")],
        ..charge("ch_1", "pi_1")
    };
    let mut objects = vec![O::Charge(embedding)];
    assert_eq!(only(&objects).refunded, 700);
    objects.push(O::Refund(refund("re_1", "ch_1", 500, "succeeded")));
    assert_eq!(only(&objects).refunded, 700);
    objects[1] = O::Refund(refund("re_1", "", 500, "failed"));
    assert_eq!(only(&objects).refunded, 200);
}

#[test]
fn refund_is_linked_by_payment_intent() {
    let by_intent = Refund { payment_intent: text("pi_1"), ..refund("re_1", "ch_9", 500, "succeeded") };
    let objects = [
        O::Invoice(paid_invoice("in_1")),
        O::InvoicePayment(invoice_payment("inpay_1", "in_1", "pi_1", "")),
        O::Refund(by_intent),
        O::Dispute(Dispute { charge: text("ch_9"), ..dispute("lost", &[]) }),
    ];
    let row = only(&objects);
    // The refund names both, so the dispute's charge is known to be this payment's too.
    assert_eq!((row.refunded, row.disputed), (500, 9900));
}

#[test]
fn refund_of_unknown_charge_makes_no_row() {
    let objects = [O::Refund(refund("re_1", "ch_1", 500, "")), O::Dispute(dispute("lost", &[]))];
    assert_eq!(settle(&objects), []);
}

#[test]
fn dispute_amount_follows_its_balance() {
    let cases: [(&str, Movements, i64); 17] = [
        ("needs_response", &[(-9900, "usd")], 9900),
        ("under_review", &[(-9900, "usd")], 9900),
        ("lost", &[(-9900, "usd")], 9900),
        ("lost", &[(-9900, "usd"), (4000, "usd")], 5900),
        ("lost", &[(-9900, "usd"), (9900, "usd")], 0),
        ("lost", &[(-9900, "usd"), (12000, "usd")], 0),
        ("won", &[(-9900, "usd"), (9900, "usd")], 0),
        ("won", &[(-9900, "usd")], 0),
        ("needs_response", &[], 9900),
        ("under_review", &[], 9900),
        ("lost", &[], 9900),
        ("lost", &[(-9000, "eur")], 9900),
        ("won", &[(-9000, "eur")], 0),
        ("warning_needs_response", &[], 0),
        ("warning_closed", &[], 0),
        ("prevented", &[], 0),
        ("a_status_of_tomorrow", &[], 0),
    ];
    for (status, movements, expected) in cases {
        let row = only(&[O::Charge(charge("ch_1", "pi_1")), O::Dispute(dispute(status, movements))]);
        assert_eq!((row.disputed, row.collected), (expected, 9900), "{status} {movements:?}");
    }
}

#[test]
fn other_currencies_are_never_added() {
    let other = Refund { currency: "eur".to_owned(), ..refund("re_1", "ch_1", 500, "") };
    let claim = Dispute { currency: "eur".to_owned(), ..dispute("lost", &[(-10, "eur")]) };
    let row = only(&[O::Charge(charge("ch_1", "")), O::Refund(other), O::Dispute(claim)]);
    assert_eq!((row.refunded, row.disputed), (0, 0));
}

#[test]
fn sums_are_capped() {
    let invoice = Invoice { amount_paid: i64::MAX, charge: text("ch_1"), ..paid_invoice("in_1") };
    let objects = [
        O::Invoice(invoice),
        O::Refund(refund("re_1", "ch_1", i64::MAX, "")),
        O::Refund(refund("re_2", "ch_1", i64::MAX, "")),
        O::Refund(refund("re_3", "ch_1", i64::MIN, "")),
        O::Dispute(dispute("lost", &[(i64::MIN, "usd"), (i64::MIN, "usd")])),
    ];
    let row = only(&objects);
    assert_eq!((row.collected, row.refunded, row.disputed), (i64::MAX, i64::MAX, i64::MAX));
}

#[test]
fn description_is_read() {
    let renewal = Invoice {
        billing_reason: text("subscription_cycle"),
        number: text("A-0002"),
        ..paid_invoice("in_1")
    };
    assert_eq!(only(&[O::Invoice(renewal)]).description.as_deref(), Some("Subscription renewed (A-0002)"));
    let spoken = Charge { description: Some(format!("  Ü{}", "x".repeat(900))), ..charge("ch_1", "") };
    let description = only(&[O::Charge(spoken)]).description.expect("a description");
    assert_eq!(description.chars().count(), 200);
}

#[test]
fn links_connect_objects_of_a_payment() {
    let invoice = Invoice { payment_intent: text("pi_1"), charge: text("ch_1"), ..paid_invoice("in_1") };
    let embedding = Charge {
        invoice: text("in_1"),
        refunds: vec![refund("re_1", "ch_1", 1, "")],
        ..charge("ch_1", "pi_1")
    };
    let dispute = Dispute { payment_intent: text("pi_1"), ..dispute("lost", &[]) };
    let checkout = |invoice: &str, intent: &str| {
        O::Checkout(Checkout { invoice: text(invoice), payment_intent: text(intent), ..Checkout::default() })
    };
    let cases: [(StripeObject, &[&str]); 9] = [
        (checkout("in_1", "pi_1"), &["in_1", "pi_1"]),
        (checkout("in_1", ""), &[]),
        (checkout("", "pi_1"), &[]),
        (O::Invoice(invoice), &["ch_1", "pi_1"]),
        (O::InvoicePayment(invoice_payment("inpay_1", "in_1", "pi_1", "")), &["in_1", "pi_1"]),
        (O::Charge(embedding), &["in_1", "pi_1", "re_1"]),
        (O::Refund(refund("re_1", "ch_1", 1, "")), &["ch_1"]),
        (O::Dispute(dispute), &["ch_1", "pi_1"]),
        (O::Customer(Customer { id: "cus_1".to_owned(), ..Customer::default() }), &[]),
    ];
    for (object, expected) in cases {
        assert_eq!(links(&object), expected, "{object:?}");
    }
}

/// A renewal in one of the ways it is reported, refunded in part and disputed, and a one-off payment.
fn story() -> impl Strategy<Value = (Vec<StripeObject>, i64)> {
    let amounts = proptest::collection::vec((1..2000_i64, 0..4_usize, any::<bool>()), 0..5);
    (0..5_usize, amounts).prop_map(|(way, amounts)| {
        let (_, mut objects) = linked_in_every_way().swap_remove(way);
        let mut expected = 0;
        for (number, (amount, status, is_embedded)) in amounts.into_iter().enumerate() {
            let status = ["succeeded", "pending", "failed", ""][status];
            let refund = refund(&format!("re_{number}"), "ch_1", amount, status);
            expected += if status == "failed" { 0 } else { amount };
            let charge =
                objects.iter_mut().find_map(|it| if let O::Charge(it) = it { Some(it) } else { None });
            if let (true, Some(charge)) = (is_embedded, charge) {
                charge.refunds.push(refund.clone());
            }
            objects.push(O::Refund(refund));
        }
        objects.push(O::Dispute(dispute("lost", &[(-100, "usd")])));
        (objects, expected)
    })
}

proptest! {
    #[test]
    fn rows_do_not_depend_on_order(
        (shuffled, expected) in story().prop_flat_map(|(objects, expected)| {
            let doubled = [objects.clone(), objects].concat();
            (Just(doubled).prop_shuffle(), Just(expected))
        })
    ) {
        let row = only(&shuffled);
        prop_assert_eq!((row.collected, row.refunded, row.disputed), (9900, expected, 100));
        prop_assert_eq!(row.payment_intent.as_deref(), Some("pi_1"));
    }

    /// Whatever is missing, money is never counted twice and a payment intent never shown twice.
    #[test]
    fn missing_objects_cause_no_double_counting(
        (known, expected) in story().prop_flat_map(|(objects, expected)| {
            let count = objects.len();
            (subsequence(objects, 0..=count), Just(expected))
        })
    ) {
        let rows = settle(&known);
        let has_invoice = known.iter().any(|object| matches!(object, O::Invoice(_)));
        let has_charge = known.iter().any(|object| matches!(object, O::Charge(_)));
        let is_claimed = known.iter().any(|object| match object {
            O::InvoicePayment(_) => true,
            O::Invoice(it) => it.payment_intent.is_some() || it.charge.is_some(),
            O::Charge(it) => it.invoice.is_some(),
            _ => false,
        });
        prop_assert_eq!(rows.len(), usize::from(has_invoice) + usize::from(has_charge && !is_claimed));
        prop_assert!(rows.iter().map(|row| row.refunded).sum::<i64>() <= expected);
        let intents = rows.iter().filter(|row| row.payment_intent.is_some()).count();
        prop_assert!(intents <= 1);
    }
}
