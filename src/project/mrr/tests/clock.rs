//! When the clock changes a value, what a value depends on, and which discount is the customer's.

use super::build::*;
use crate::project::mrr::{
    Catalogue, coupon_without_terms, customer_discounts, dependencies, needs_lines, of_subscription,
};
use crate::project::stripe::{Customer, Discount, Item, Price, Subscription};

fn changes_at(subscription: &Subscription, customer: &[Discount]) -> Option<i64> {
    of_subscription(subscription, customer, &Catalogue::default(), NOW).changes_at
}

fn ending(days: i64, off: &str) -> Discount {
    until(NOW + days * DAY, percent(off, "repeating"))
}

#[test]
fn value_changes_at_discount_or_trial_end() {
    let trial = on_trial(monthly("1000"), NOW + 3 * DAY);
    let half_off_for_five_days = item_discount(monthly("2900"), ending(5, "50"));
    let cases = [
        ("nothing ends", active([monthly("2900")]), None),
        ("a discount for ever", discounted([percent("25", "forever")]), None),
        ("a repeating discount", discounted([ending(9, "25")]), Some(NOW + 9 * DAY)),
        ("the earlier of two", discounted([ending(9, "25"), ending(4, "10")]), Some(NOW + 4 * DAY)),
        (
            "a discount of nothing ends first",
            discounted([ending(2, "0"), ending(9, "25")]),
            Some(NOW + 9 * DAY),
        ),
        ("one that has ended", discounted([ending(-1, "25")]), None),
        ("an item's trial", active([monthly("2900"), trial]), Some(NOW + 3 * DAY)),
        ("a free item's trial", active([on_trial(monthly("0"), NOW + DAY)]), None),
        ("an item's discount", active([half_off_for_five_days]), Some(NOW + 5 * DAY)),
        (
            "no revenue yet",
            Subscription { status: "trialing".to_owned(), ..discounted([ending(9, "25")]) },
            None,
        ),
        ("three months", discounted([three_months_from(1_768_435_200)]), Some(1_776_211_200)),
    ];
    for (name, subscription, moment) in cases {
        assert_eq!(changes_at(&subscription, &[]), moment, "{name}");
    }
}

#[test]
fn customer_discount_starts_and_ends_by_clock() {
    let customer = percent("10", "forever");
    assert_eq!(changes_at(&active([monthly("2900")]), &[ending(6, "10")]), Some(NOW + 6 * DAY));
    assert_eq!(changes_at(&discounted([ending(9, "25")]), &[ending(6, "10")]), Some(NOW + 9 * DAY));
    assert_eq!(changes_at(&discounted([ending(9, "10")]), &[customer]), None, "10 % either way");
}

#[test]
fn many_ends_are_checked_in_steps() {
    let discounts = (1..=20).map(|days| ending(days, "0")).chain([ending(99, "50")]);
    assert_eq!(changes_at(&discounted(discounts), &[]), Some(NOW + 8 * DAY));
}

#[test]
fn value_depends_on_missing_catalogue_entries() {
    let bare_price = Price { id: "price_bare".to_owned(), ..Price::default() };
    let item = Item { discounts: vec![by_id("di_item")], ..of_price(bare_price, 1) };
    let mut subscription = active([item, monthly("2900"), metered(), of_price(hidden_tiers(), 2)]);
    subscription.discounts =
        vec![by_coupon_id("spring"), by_id("di_2"), percent("10", "forever"), by_id("di_2")];
    assert_eq!(
        dependencies(&subscription),
        ["di_2", "di_item", "price_bare", "price_tiers_month_1", "spring"]
    );
    assert!(dependencies(&active([monthly("2900")])).is_empty());
}

#[test]
fn invoice_lines_are_needed_without_price() {
    let nothing = Catalogue::default();
    let hidden = || active([metered(), of_price(hidden_tiers(), 2)]);
    let in_euros = Subscription { currency: Some("eur".to_owned()), ..active([monthly("2900")]) };
    assert!(needs_lines(&hidden(), &nothing));
    assert!(!needs_lines(&hidden(), &knowing_price(plain_tiers("graduated"))));
    assert!(needs_lines(&in_euros, &nothing));
    assert!(!needs_lines(&active([monthly("2900"), metered()]), &nothing));
}

#[test]
fn discount_by_id_may_depend_on_its_coupon() {
    assert_eq!(coupon_without_terms(&by_coupon_id("spring")), Some("spring"));
    assert_eq!(coupon_without_terms(&percent("10", "forever")), None);
    assert_eq!(coupon_without_terms(&by_id("di_1")), None);
}

#[test]
fn last_set_customer_discount_wins() {
    let started = |id: &str, days: i64| Discount {
        id: id.to_owned(),
        start: Some(NOW + days * DAY),
        ..percent("10", "forever")
    };
    let gone = |discount: Discount| Discount { deleted: true, ..discount };
    let on_subscription = Discount { subscription: Some("sub_1".to_owned()), ..started("di_9", 9) };
    let shows = |discount| Customer { discount: Some(discount), ..Customer::default() };
    let ids = |customer: Option<&Customer>, reported: &[Discount]| {
        customer_discounts(customer, reported).into_iter().map(|discount| discount.id).collect::<Vec<_>>()
    };

    assert_eq!(ids(None, &[started("di_1", 1), started("di_2", 2), on_subscription]), ["di_2"]);
    assert_eq!(ids(None, &[started("di_1", 1), gone(started("di_2", 2))]), [""; 0]);
    assert_eq!(ids(Some(&shows(started("di_2", 2))), &[started("di_1", 1)]), ["di_2"]);
    assert_eq!(ids(Some(&shows(started("di_1", 1))), &[gone(started("di_1", 1))]), [""; 0]);
    let again = shows(started("discount:cus_1", 2));
    assert_eq!(ids(Some(&again), &[gone(started("discount:cus_1", 1))]), ["discount:cus_1"]);
    assert_eq!(ids(None, &[]), [""; 0]);
}

#[test]
fn other_discounts_are_not_customer_level() {
    let elsewhere = Discount { subscription: Some("sub_2".to_owned()), ..percent("50", "forever") };
    let on_an_item = Discount { subscription_item: Some("si_2".to_owned()), ..percent("50", "forever") };
    let subscription = active([monthly("2900")]);
    let mrr = of_subscription(&subscription, &[elsewhere, on_an_item], &Catalogue::default(), NOW);
    assert_eq!(mrr.minor, 2900);
}
