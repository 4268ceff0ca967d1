//! Histories with expected movements.

use super::*;
use crate::project::stripe::{Invoice, InvoiceLine};

fn sub(status: &str, cents: u32) -> Subscription {
    subscription("a", status, cents)
}

fn other(status: &str, cents: u32) -> Subscription {
    subscription("b", status, cents)
}

fn check(name: &str, versions: Vec<Version>, now: i64, expected: &[&str]) {
    assert_eq!(reported(&all(versions, now)), expected, "{name}");
}

#[test]
fn foreign_amount_off_counts_from_its_invoice() {
    let mut euros = half_off("di_1");
    euros.coupon = Some(Coupon {
        percent_off: None,
        amount_off: Some(500),
        currency: Some("eur".to_owned()),
        ..euros.coupon.unwrap()
    });
    let invoice = |id: &str, amounts: &[(&str, i64)]| {
        StripeObject::Invoice(Invoice {
            id: id.to_owned(),
            subscription: Some("a".to_owned()),
            discount_amounts: amounts.iter().map(|(id, amount)| ((*id).to_owned(), *amount)).collect(),
            ..Invoice::default()
        })
    };
    check(
        "an invoice that shows another discount alone leaves it as it was",
        vec![
            on(0, with(sub("active", 2900), [euros])),
            on(1, invoice("in_1", &[("di_1", 450), ("di_2", 1)])),
            on(2, invoice("in_2", &[("di_2", 3)])),
            on(3, invoice("in_3", &[("di_1", 400)])),
        ],
        9,
        &["0 new +2900 2900 a_0", "1 contraction -450 2450 in_1_1", "3 expansion +50 2500 in_3_3"],
    );
}

#[test]
fn single_subscription_lifecycle() {
    check("nothing", vec![], 9, &[]);
    check("an attempt", vec![on(0, sub("incomplete", 2900))], 9, &[]);
    check(
        "trial to paid",
        vec![on(0, sub("trialing", 2900)), on(14, sub("active", 2900))],
        20,
        &["14 new +2900 2900 a_14"],
    );
    check(
        "up, down, late with paying, paused, on again, ended",
        vec![
            on(0, sub("active", 2900)),
            on(1, sub("active", 4900)),
            on(2, sub("active", 900)),
            on(3, sub("past_due", 900)),
            on(4, sub("paused", 900)),
            on(5, sub("active", 900)),
            on(6, sub("canceled", 900)),
        ],
        9,
        &[
            "0 new +2900 2900 a_0",
            "1 expansion +2000 4900 a_1",
            "2 contraction -4000 900 a_2",
            "4 churn -900 0 a_4",
            "5 reactivation +900 900 a_5",
            "6 churn -900 0 a_6",
        ],
    );
    check(
        "what is reported after the end, or of its very second, was before it",
        vec![
            on(0, sub("active", 2900)),
            on(3, sub("canceled", 2900)),
            Version { is_final: false, ..on(3, sub("active", 9900)) },
            on(5, sub("active", 4900)),
        ],
        9,
        &["0 new +2900 2900 a_0", "3 churn -2900 0 a_3"],
    );
    check(
        "a status nobody knows leaves the one before it effective",
        vec![
            on(0, sub("active", 2900)),
            on(1, sub("on_holiday", 4900)),
            on(2, sub("on_holiday", 900)),
            on(3, sub("paused", 900)),
            on(4, sub("on_holiday", 900)),
        ],
        9,
        &[
            "0 new +2900 2900 a_0",
            "1 expansion +2000 4900 a_1",
            "2 contraction -4000 900 a_2",
            "3 churn -900 0 a_3",
        ],
    );
}

#[test]
fn movements_of_one_second_are_netted() {
    check(
        "the second one is expansion, the end of one is contraction",
        vec![
            on(0, sub("active", 2900)),
            on(1, other("active", 1000)),
            on(2, sub("canceled", 2900)),
            on(3, other("canceled", 1000)),
        ],
        9,
        &[
            "0 new +2900 2900 a_0",
            "1 expansion +1000 3900 b_1",
            "2 contraction -2900 1000 a_2",
            "3 churn -1000 0 b_3",
        ],
    );
    check(
        "a change of subscription within a second is the difference",
        vec![on(0, sub("active", 2900)), on(1, sub("canceled", 2900)), on(1, other("active", 4900))],
        9,
        &["0 new +2900 2900 a_0", "1 expansion +2000 4900 a_1"],
    );
    check(
        "and none where there is no difference",
        vec![on(0, sub("active", 2900)), on(1, sub("canceled", 2900)), on(1, other("active", 2900))],
        9,
        &["0 new +2900 2900 a_0"],
    );
    check(
        "currencies are ledgers of their own",
        vec![
            on(0, sub("active", 2900)),
            on(0, in_euros(other("active", 1000))),
            on(1, in_euros(sub("active", 2900))),
        ],
        9,
        &[
            "eur 0 new +1000 1000 b_0",
            "0 new +2900 2900 a_0",
            "eur 1 expansion +2900 3900 a_1",
            "1 churn -2900 0 a_1",
        ],
    );
}

#[test]
fn clock_makes_movements() {
    let discounted = || with(sub("active", 2000), [until(half_off("di_1"), T + 30 * DAY)]);
    check(
        "a discount that ends",
        vec![on(0, discounted())],
        60,
        &["0 new +1000 1000 a_0", "30 expansion +1000 2000 clock"],
    );
    check("not before its second", vec![on(0, discounted())], 29, &["0 new +1000 1000 a_0"]);
    check(
        "nor if it was taken off before",
        vec![on(0, discounted()), on(10, sub("active", 2000)), on(40, sub("active", 2000))],
        60,
        &["0 new +1000 1000 a_0", "10 expansion +1000 2000 a_10"],
    );
    check(
        "an event that changes nothing in the second of the end is not its cause",
        vec![on(0, discounted()), on(30, other("incomplete", 700)), on(31, other("active", 700))],
        60,
        &["0 new +1000 1000 a_0", "30 expansion +1000 2000 clock", "31 expansion +700 2700 b_31"],
    );
    let mut on_trial = sub("active", 2000);
    on_trial.items.push(Item { trial_end: Some(T + 7 * DAY), ..item(500) });
    check(
        "an item's trial",
        vec![on(0, on_trial)],
        60,
        &["0 new +2000 2000 a_0", "7 expansion +500 2500 clock"],
    );
}

#[test]
fn customer_discount_counts_until_removed() {
    let started = |day: i64| Discount { start: Some(T + day * DAY), ..half_off("di_1") };
    let gone = |discount: Discount| Discount { deleted: true, ..discount };
    let paying = || on(0, sub("active", 2000));
    check(
        "from its beginning to its deletion",
        vec![paying(), on(5, started(5)), on(9, gone(started(5)))],
        20,
        &["0 new +2000 2000 a_0", "5 contraction -1000 1000 di_1_5", "9 expansion +1000 2000 di_1_9"],
    );
    check(
        "also where only its deletion is reported",
        vec![paying(), on(9, gone(started(5)))],
        20,
        &["0 new +2000 2000 a_0", "5 contraction -1000 1000 di_1_9", "9 expansion +1000 2000 di_1_9"],
    );
    check(
        "as the customer shows it",
        vec![paying(), on(3, customer(None)), on(5, customer(Some(started(5)))), on(9, customer(None))],
        20,
        &["0 new +2000 2000 a_0", "5 contraction -1000 1000 cus_1_5", "9 expansion +1000 2000 cus_1_9"],
    );
    check(
        "and to its own end",
        vec![paying(), on(5, until(started(5), T + 8 * DAY))],
        20,
        &["0 new +2000 2000 a_0", "5 contraction -1000 1000 di_1_5", "8 expansion +1000 2000 clock"],
    );
}

#[test]
fn late_terms_apply_to_history_except_discount_end() {
    let by_id = || with(sub("active", 2000), [Discount { id: "di_1".to_owned(), ..Discount::default() }]);
    let reported = Discount { subscription: Some("a".to_owned()), ..half_off("di_1") };
    let gone = Discount { deleted: true, ..reported.clone() };
    check(
        "a discount known by its id",
        vec![on(0, by_id()), on(9, gone)],
        20,
        &["0 new +1000 1000 a_0", "9 expansion +1000 2000 di_1_9"],
    );
    let mut bare = sub("active", 0);
    bare.items[0].price = Price { id: "price_1".to_owned(), ..Price::default() };
    let price = Price { id: "price_1".to_owned(), ..item(1500).price };
    let mut catalogue = Catalogue { prices: [("price_1".to_owned(), price)].into(), ..Catalogue::default() };
    let history = History { versions: vec![on(0, bare)], ..History::default() };
    let movements = movements(history, &mut catalogue, BEGINNING, T + 9 * DAY);
    assert_eq!(super::reported(&movements), ["0 new +1500 1500 a_0"]);
}

#[test]
fn without_price_invoices_count_from_creation() {
    let mut hidden = sub("active", 0);
    hidden.items[0].price = Price { unit_amount: None, ..item(0).price };
    let invoice = |id: &str, day: i64, amount: i64| {
        let lines =
            InvoiceLine { subscription_item: Some("si_1".to_owned()), amount, ..InvoiceLine::default() };
        let (id, subscription) = (id.to_owned(), Some("a".to_owned()));
        on(
            day,
            StripeObject::Invoice(Invoice {
                id,
                subscription,
                recurring_lines: vec![lines],
                ..Invoice::default()
            }),
        )
    };
    check(
        "two invoices",
        vec![on(0, hidden), invoice("in_1", 0, 4500), invoice("in_2", 30, 6000)],
        60,
        &["0 new +4500 4500 a_0", "30 expansion +1500 6000 in_2_30"],
    );
}

#[test]
fn reports_ahead_of_our_clock_are_effective() {
    let ends = until(half_off("di_1"), T + 3 * DAY);
    let half = || with(sub("active", 2000), [ends.clone()]);
    let versions = vec![on(0, half()), on(5, half())];
    let expected = ["0 new +1000 1000 a_0", "3 expansion +1000 2000 clock"];
    check("ahead", versions.clone(), 2, &expected);
    check("in time", versions, 9, &expected);
}
