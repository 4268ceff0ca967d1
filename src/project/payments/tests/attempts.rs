//! When an open invoice counts as failed.

use proptest::prelude::*;

use super::{O, charge, invoice_payment, only, paid_invoice, text};
use crate::project::stripe::{Charge, FailedAttempt, Invoice, StripeObject};

fn open(attempt_count: i64, amount_paid: i64, last_failure: Option<FailedAttempt>) -> StripeObject {
    let paid = paid_invoice("in_1");
    let status = "open".to_owned();
    O::Invoice(Invoice { status, attempt_count, amount_paid, last_failure, paid_at: None, ..paid })
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
fn failed(at: i64, attempt_count: i64, amount_paid: i64) -> Option<FailedAttempt> {
    Some(FailedAttempt { at, attempt_count, amount_paid })
}

/// A charge of the invoice, created at `created`.
fn attempt(created: i64, status: &str) -> StripeObject {
    let id = format!("ch_{created}_{status}");
    let invoice = text("in_1");
    O::Charge(Charge { created, status: status.to_owned(), invoice, ..charge(&id, &format!("pi_{created}")) })
}

#[test]
fn open_invoice_fails_with_its_last_attempt() {
    let cases: [(&str, StripeObject, Vec<StripeObject>, &str); 15] = [
        ("nobody tried", open(0, 0, None), vec![], "open"),
        ("a bank debit is under way", open(1, 0, None), vec![], "open"),
        ("its charge is reported, too", open(1, 0, None), vec![attempt(100, "pending")], "open"),
        ("it fails days later", open(1, 0, failed(500, 1, 0)), vec![attempt(100, "failed")], "failed"),
        (
            "the failed charge is not reported",
            open(1, 0, failed(500, 1, 0)),
            vec![attempt(100, "pending")],
            "failed",
        ),
        ("the failed charge alone is reported", open(1, 0, None), vec![attempt(100, "failed")], "failed"),
        ("the next attempt is counted", open(2, 0, failed(500, 1, 0)), vec![attempt(100, "failed")], "open"),
        (
            "a payer's own attempt is not",
            open(1, 0, failed(500, 1, 0)),
            vec![attempt(600, "pending")],
            "open",
        ),
        ("nor when it fails", open(1, 0, failed(500, 1, 0)), vec![attempt(600, "failed")], "failed"),
        ("the second fails", open(2, 0, failed(700, 2, 0)), vec![attempt(600, "failed")], "failed"),
        ("only its charge says so", open(2, 0, failed(500, 1, 0)), vec![attempt(600, "failed")], "failed"),
        ("a part is paid", open(1, 400, None), vec![attempt(100, "succeeded")], "open"),
        ("a part is paid after a failure", open(1, 400, failed(500, 1, 0)), vec![], "open"),
        ("the rest fails", open(1, 400, failed(500, 1, 400)), vec![attempt(100, "succeeded")], "failed"),
        (
            "a failure and another attempt in one second",
            open(1, 0, None),
            vec![attempt(100, "failed"), attempt(100, "pending")],
            "open",
        ),
    ];
    for (case, invoice, attempts, expected) in cases {
        let row = only(&[vec![invoice], attempts].concat());
        assert_eq!(row.status, expected, "{case}");
        let amount = if case.contains("part") || case.contains("rest") { 400 } else { 0 };
        assert_eq!(row.collected, amount, "{case}");
    }
}

#[test]
fn attempt_is_linked_by_any_reference() {
    let names_invoice = O::InvoicePayment(invoice_payment("inpay_1", "in_1", "pi_1", ""));
    let failing = O::Charge(Charge { status: "failed".to_owned(), ..charge("ch_1", "pi_1") });
    assert_eq!(only(&[open(1, 0, None), names_invoice, failing.clone()]).status, "failed");
    let O::Invoice(invoice) = open(1, 0, None) else { unreachable!() };
    let by_intent = O::Invoice(Invoice { payment_intent: text("pi_1"), ..invoice });
    assert_eq!(only(&[by_intent, failing.clone()]).status, "failed");
    assert_eq!(only(&[open(1, 0, None), failing]).status, "open", "nothing links it");
}

#[test]
fn final_invoice_has_not_failed() {
    for (status, expected) in [("paid", "succeeded"), ("void", "void"), ("uncollectible", "uncollectible")] {
        let O::Invoice(invoice) = open(1, 0, failed(500, 1, 0)) else { unreachable!() };
        let ended = O::Invoice(Invoice { status: status.to_owned(), ..invoice });
        assert_eq!(only(&[ended, attempt(100, "failed")]).status, expected);
    }
}

proptest! {
    /// Attempts one after the other, each reported by its charge, by the invoice's event, or by both.
    #[test]
    fn last_attempt_decides(
        attempts in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..6),
        is_under_way in any::<bool>(),
    ) {
        let mut last_failure = None;
        let mut objects = Vec::new();
        for (number, (by_charge, by_event)) in (1_i64..).zip(&attempts) {
            if *by_charge || !by_event {
                objects.push(attempt(100 * number, "failed"));
            }
            if *by_event {
                last_failure = failed(100 * number + 50, number, 0);
            }
        }
        let count = i64::try_from(attempts.len()).expect("a few");
        if is_under_way {
            objects.push(attempt(100 * (count + 1), "pending"));
        }
        objects.push(open(count + i64::from(is_under_way), 0, last_failure));
        let expected = if is_under_way { "open" } else { "failed" };
        prop_assert_eq!(only(&objects).status, expected);
    }
}
