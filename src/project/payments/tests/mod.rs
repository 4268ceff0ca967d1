//! One payment as reported by every API version, in every order, with pieces missing.

use super::{Payment, links, resolve};
use crate::project::stripe::{
    BalanceTransaction, Charge, Checkout, Customer, Dispute, Invoice, InvoicePayment, Refund, StripeObject,
};

mod any_order;
mod attempts;
mod invoices;
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
    let mut rows = resolve(objects);
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
        assert_eq!(resolve(&[O::Charge(charge)]), [], "{status} {captured}");
    }
}

#[test]
fn partial_capture_counts_captured_amount() {
    let charge = Charge { amount_captured: 4000, ..charge("ch_1", "pi_1") };
    assert_eq!(only(&[O::Charge(charge)]).collected, 4000);
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
fn refund_of_unknown_charge_makes_no_row() {
    let objects = [O::Refund(refund("re_1", "ch_1", 500, "")), O::Dispute(dispute("lost", &[]))];
    assert_eq!(resolve(&objects), []);
}

#[test]
fn other_currencies_are_never_added() {
    let other = Refund { currency: "eur".to_owned(), ..refund("re_1", "ch_1", 500, "") };
    let dispute = Dispute { currency: "eur".to_owned(), ..dispute("lost", &[(-10, "eur")]) };
    let row = only(&[O::Charge(charge("ch_1", "")), O::Refund(other), O::Dispute(dispute)]);
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
