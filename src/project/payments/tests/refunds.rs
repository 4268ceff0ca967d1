//! Refunds, in each of the ways that Stripe reports them.

use proptest::prelude::*;

use super::{O, charge, dispute, invoice_payment, only, paid_invoice, refund, text};
use crate::project::stripe::{Charge, Dispute, Refund, StripeObject};

/// A charge of `amount` of which `captured` was captured at 100, as reported at `as_of`.
fn captured(amount: i64, captured: i64, refunded: i64, as_of: i64) -> Charge {
    Charge {
        amount,
        amount_captured: captured,
        stated_captured: Some(captured),
        captured_at: Some(100),
        amount_refunded: refunded,
        as_of: Some(as_of),
        ..charge("ch_1", "pi_1")
    }
}

/// A refund made at `created`, which has failed at `failed_at`.
fn made(id: &str, amount: i64, created: i64, failed_at: Option<i64>) -> Refund {
    let status = if failed_at.is_some() { "failed" } else { "succeeded" };
    Refund { created, failed_at, ..refund(id, "ch_1", amount, status) }
}

fn refunded(charge: Charge, refunds: &[Refund]) -> (i64, i64) {
    let refunds = refunds.iter().map(|it| O::Refund(it.clone()));
    let objects: Vec<StripeObject> = std::iter::once(O::Charge(charge)).chain(refunds).collect();
    let row = only(&objects);
    (row.collected, row.refunded)
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
fn refund_counts_once_in_any_form() {
    let whole = |refunded| captured(5000, 5000, refunded, 200);
    let one = made("re_1", 2000, 200, None);
    let cases: [(&str, Charge, Vec<Refund>, i64); 7] = [
        ("the amount alone", whole(2000), vec![], 2000),
        ("an object alone", whole(0), vec![one.clone()], 2000),
        ("both", whole(2000), vec![one.clone()], 2000),
        ("the list", Charge { refunds: vec![one.clone()], ..whole(2000) }, vec![], 2000),
        ("all three", Charge { refunds: vec![one.clone()], ..whole(2000) }, vec![one.clone()], 2000),
        ("one of two as an object", whole(3000), vec![one.clone()], 3000),
        ("an object newer than the charge", captured(5000, 5000, 0, 150), vec![one], 2000),
    ];
    for (case, charge, refunds, expected) in cases {
        assert_eq!(refunded(charge, &refunds), (5000, expected), "{case}");
    }
}

#[test]
fn later_failed_refund_is_subtracted() {
    let whole = |refunded, as_of| captured(5000, 5000, refunded, as_of);
    let failed = |failed_at| made("re_1", 2000, 200, Some(failed_at));
    let cases: [(&str, Charge, Vec<Refund>, i64); 7] = [
        ("the charge is older", whole(2000, 200), vec![failed(300)], 0),
        ("the charge is newer", whole(0, 400), vec![failed(300)], 0),
        ("a newer charge has another", whole(1500, 400), vec![failed(300)], 1500),
        ("an older charge has another", whole(3500, 250), vec![failed(300)], 1500),
        ("in the charge's second", whole(2000, 200), vec![failed(200)], 0),
        ("it never was in it", whole(1500, 150), vec![failed(300)], 1500),
        (
            "the list shows it",
            Charge { refunds: vec![failed(399)], ..whole(1500, 400) },
            vec![failed(401)],
            1500,
        ),
    ];
    for (case, charge, refunds, expected) in cases {
        assert_eq!(refunded(charge, &refunds), (5000, expected), "{case}");
    }
}

#[test]
fn most_advanced_refund_state_wins() {
    for (own, embedded, expected) in
        [("pending", "failed", 0), ("failed", "succeeded", 0), ("succeeded", "pending", 500)]
    {
        let charge = Charge { refunds: vec![refund("re_1", "", 500, embedded)], ..charge("ch_1", "pi_1") };
        assert_eq!(
            only(&[O::Charge(charge), O::Refund(refund("re_1", "ch_1", 500, own))]).refunded,
            expected
        );
    }
}

#[test]
fn uncaptured_part_is_not_a_refund() {
    let part = |refunded, as_of| captured(12_950, 7_950, refunded, as_of);
    let rest = || made("re_rest", 5000, 100, None);
    let real = |amount| made("re_1", amount, 200, None);
    let cases: [(&str, Charge, Vec<Refund>, i64); 10] = [
        ("the amount alone", part(5000, 100), vec![], 0),
        ("an object alone", part(0, 100), vec![rest()], 0),
        ("both", part(5000, 100), vec![rest()], 0),
        ("the list", Charge { refunds: vec![rest()], ..part(5000, 100) }, vec![], 0),
        ("all, and a real refund", part(6000, 200), vec![rest(), real(1000)], 1000),
        ("a real refund in the amount alone", part(6000, 200), vec![rest()], 1000),
        ("a real refund as an object alone", part(5000, 100), vec![rest(), real(1000)], 1000),
        ("a real one as large, the rest as an object", part(10_000, 200), vec![rest(), real(5000)], 5000),
        ("a real one as large, the rest not reported", part(5000, 100), vec![real(5000)], 5000),
        ("a version that leaves the rest out", part(1000, 200), vec![real(1000)], 1000),
    ];
    for (case, charge, refunds, expected) in cases {
        assert_eq!(refunded(charge, &refunds), (7_950, expected), "{case}");
    }
}

#[test]
fn expired_authorisation_is_not_a_refund() {
    let released =
        Charge { captured: false, stated_captured: None, captured_at: None, ..captured(5000, 0, 5000, 200) };
    let captured = Charge { id: "ch_2".to_owned(), ..captured(5000, 5000, 0, 300) };
    let objects = [O::Charge(released), O::Charge(captured), O::Refund(made("re_1", 5000, 200, None))];
    let row = only(&objects);
    assert_eq!((row.collected, row.refunded), (5000, 0));
}

#[test]
fn refund_without_charge_belongs_to_payment() {
    let nameless = Refund { charge: None, payment_intent: text("pi_1"), ..made("re_1", 2000, 200, None) };
    assert_eq!(refunded(captured(5000, 5000, 2000, 200), &[nameless]), (5000, 2000));
}

/// How the refunds are reported.
#[derive(Clone, Copy, Debug)]
enum ReportedAs {
    /// The charge's amount; a refund itself only where it fails.
    Amount,
    /// The charge's list.
    List,
    /// An object of its own, and the charge's amount.
    Object,
}

/// Refunds of a charge one after the other, some of which fail later; with the rest that was never captured.
fn history() -> impl Strategy<Value = (Vec<StripeObject>, i64)> {
    let reported = prop_oneof![Just(ReportedAs::Amount), Just(ReportedAs::List), Just(ReportedAs::Object)];
    let steps = proptest::collection::vec((1..2000_i64, proptest::option::of(0..90_i64)), 0..6);
    (reported, 0..5000_i64, steps, any::<bool>()).prop_map(|(reported, uncaptured, steps, is_seen_last)| {
        let rest = (uncaptured > 0).then(|| made("re_rest", uncaptured, 100, None));
        let mut refunds: Vec<Refund> = Vec::new();
        for (number, (amount, fails_after)) in (2_i64..).zip(steps) {
            let created = 1000 * number;
            // Some fail before the next refund, some long after; none in the second of a report, which may show
            // either state.
            let failed_at = fails_after.map(|days| created + 100 * days + 50);
            refunds.push(made(&format!("re_{number}"), amount, created, failed_at));
        }
        // The charge was last reported at its last refund, or after everything.
        let last = refunds.last().map_or(100, |it| it.created);
        let as_of = if is_seen_last { 90_000 } else { last };
        let counted = |it: &&Refund| it.failed_at.is_none_or(|at| at > as_of);
        let amount = uncaptured + refunds.iter().filter(counted).map(|it| it.amount).sum::<i64>();
        let all = || rest.iter().chain(&refunds);
        let as_shown = |it: &Refund| {
            let has_failed = it.failed_at.is_some_and(|at| at <= as_of);
            made(&it.id, it.amount, it.created, has_failed.then_some(as_of - 1))
        };
        let list =
            if matches!(reported, ReportedAs::List) { all().map(as_shown).collect() } else { Vec::new() };
        let is_reported = |it: &&Refund| matches!(reported, ReportedAs::Object) || it.failed_at.is_some();
        let charge = Charge { refunds: list, ..captured(20_000 + uncaptured, 20_000, amount, as_of) };
        let objects =
            all().filter(is_reported).map(|it| O::Refund(it.clone())).chain([O::Charge(charge)]).collect();
        (objects, refunds.iter().filter(|it| it.failed_at.is_none()).map(|it| it.amount).sum())
    })
}

proptest! {
    #[test]
    fn refunded_amount_is_right_in_every_version(
        (objects, expected) in history().prop_flat_map(|(objects, expected)| {
            (Just(objects).prop_shuffle(), Just(expected))
        })
    ) {
        let row = only(&objects);
        prop_assert_eq!((row.collected, row.refunded), (20_000, expected));
    }
}
