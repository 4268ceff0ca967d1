//! Properties of every subscription.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::build::*;
use crate::project::mrr::{Catalogue, dependencies, of_subscription};
use crate::project::stripe::{
    AMOUNT_MAX, Coupon, Discount, InvoiceLine, Item, Price, PriceTier, Subscription, TaxRate,
    TransformQuantity,
};

fn minor(subscription: &Subscription) -> i64 {
    of_subscription(subscription, &[], &Catalogue::default(), NOW).minor
}

prop_compose! {
    fn sane_item()(
        unit in 0_u32..100_000,
        interval in prop::sample::select(vec!["day", "week", "month", "year"]),
        count in 1_u32..60,
        quantity in 0_u64..50,
    ) -> Item {
        of_price(price(&unit.to_string(), interval, count), quantity)
    }
}

/// Numbers, including some that Stripe would never write.
fn wild_decimal() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9]{1,8}(\\.[0-9]{1,12})?", "-?[0-9.eE+-]{0,44}", ".{0,12}", Just("1e20".to_owned())]
}

fn wild_count() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..100, any::<u64>()]
}

fn wild_word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![8 => prop::sample::select(words).prop_map(str::to_owned), 1 => ".{0,6}"]
}

prop_compose! {
    fn wild_tier()(
        up_to in option::of(wild_count()),
        unit_amount in option::of(wild_decimal()),
        flat_amount in option::of(wild_decimal()),
    ) -> PriceTier {
        PriceTier { up_to, unit_amount, flat_amount }
    }
}

prop_compose! {
    fn wild_price()(
        unit_amount in option::of(wild_decimal()),
        interval in option::of(wild_word(&["day", "week", "month", "year"])),
        interval_count in option::of(prop_oneof![0_u32..14, any::<u32>()]),
        metered in prop::bool::weighted(0.1),
        divide in option::of((wild_count(), any::<bool>())),
        tiers_mode in option::of(wild_word(&["graduated", "volume"])),
        tiers in vec(wild_tier(), 0..4),
        currency in option::of(wild_word(&["usd"])),
        tax_behavior in option::of(wild_word(&["inclusive", "exclusive"])),
    ) -> Price {
        let transform_quantity =
            divide.map(|(divide_by, round_up)| TransformQuantity { divide_by, round_up });
        let id = "price_1".to_owned();
        Price {
            id, currency, unit_amount, interval, interval_count, metered, transform_quantity, tiers_mode, tiers,
            tax_behavior, ..Price::default()
        }
    }
}

prop_compose! {
    fn wild_discount()(
        percent_off in option::of(wild_decimal()),
        amount_off in option::of(any::<i64>()),
        currency in option::of(wild_word(&["usd"])),
        duration in wild_word(&["forever", "repeating", "once"]),
        duration_in_months in option::of(any::<u32>()),
        start in option::of(any::<i64>()),
        end in option::of(any::<i64>()),
        shows_coupon in any::<bool>(),
        in_dollars in option::of(any::<i64>()),
    ) -> Discount {
        let id = "spring".to_owned();
        let coupon = Coupon { id, percent_off, amount_off, currency, duration, duration_in_months,
            currency_options: in_dollars.map(|off| ("usd".to_owned(), off)).into_iter().collect() };
        Discount { id: "di_1".to_owned(), coupon: shows_coupon.then_some(coupon), start, end, ..Discount::default() }
    }
}

prop_compose! {
    fn wild_tax_rate()(inclusive in any::<bool>(), percentage in option::of(wild_decimal())) -> TaxRate {
        TaxRate { id: "txr_1".to_owned(), inclusive, percentage }
    }
}

prop_compose! {
    fn wild_item()(
        price in wild_price(),
        quantity in option::of(wild_count()),
        trial_end in option::of(any::<i64>()),
        discounts in vec(wild_discount(), 0..3),
        tax_rates in vec(wild_tax_rate(), 0..3),
    ) -> Item {
        Item { id: "si_1".to_owned(), price, quantity, trial_end, discounts, tax_rates }
    }
}

prop_compose! {
    fn wild_catalogue()(price in wild_price(), discount in wild_discount(), amount in any::<i64>()) -> Catalogue {
        let line = InvoiceLine { price: Some(price.id.clone()), subscription_item: None, amount };
        let mut catalogue = knowing_price(price);
        catalogue.discounts.insert("di_1".to_owned(), discount);
        catalogue.newest_invoice_lines.insert("sub_1".to_owned(), vec![line]);
        catalogue.discount_amounts.insert("sub_1".to_owned(), [("di_1".to_owned(), amount)].into());
        catalogue
    }
}

proptest! {
    #[test]
    fn any_input_has_a_valid_amount(
        items in vec(wild_item(), 0..4),
        own in vec(wild_discount(), 0..3),
        of_customer in vec(wild_discount(), 0..2),
        catalogue in wild_catalogue(),
        default_tax_rates in vec(wild_tax_rate(), 0..2),
        automatic_tax in any::<bool>(),
        now in prop_oneof![Just(NOW), any::<i64>()],
    ) {
        let subscription = Subscription { default_tax_rates, automatic_tax, ..with_discounts(active(items), own) };
        let mrr = of_subscription(&subscription, &of_customer, &catalogue, now);
        prop_assert!((0..=AMOUNT_MAX).contains(&mrr.minor));
        prop_assert!(mrr.changes_at.is_none_or(|moment| moment > now));
        prop_assert!(dependencies(&subscription).is_sorted());
    }

    #[test]
    fn item_order_does_not_matter(
        (items, shuffled) in vec(sane_item(), 1..6).prop_flat_map(|items| (Just(items.clone()), Just(items).prop_shuffle())),
        off in 0_u32..10_000,
    ) {
        let discount = || [percent(&format!("{}.{:02}", off / 100, off % 100), "forever")];
        let value = |items| minor(&with_discounts(active(items), discount()));
        prop_assert_eq!(value(items), value(shuffled));
    }

    #[test]
    fn exclusive_tax_changes_nothing(items in vec(sane_item(), 1..6), percent in 0_u32..40, off in 0_i64..5_000) {
        let value = |items: Vec<Item>, rates: Vec<TaxRate>| {
            let subscription = with_discounts(active(items), [amount(off, "usd")]);
            let subscription = Subscription { default_tax_rates: rates, ..subscription };
            of_subscription(&subscription, &[], &Catalogue::default(), NOW)
        };
        let untaxed = value(items.clone(), Vec::new());
        let exclusive: Vec<Item> = items.iter().map(|item| saying("exclusive", item.clone())).collect();
        prop_assert_eq!(&value(exclusive.clone(), Vec::new()), &untaxed);
        prop_assert_eq!(&value(exclusive, vec![tax_rate(&percent.to_string(), false)]), &untaxed);
        prop_assert_eq!(&value(items, vec![tax_rate("0", true)]), &untaxed);
    }

    #[test]
    fn adding_and_removing_tax_gives_the_price(
        items in vec(sane_item(), 1..6),
        thousandths in 0_u32..40_000,
        percent_off in 0_u32..100,
    ) {
        // Only percentage discounts: an amount is taken off the gross price.
        let off = || [percent(&percent_off.to_string(), "forever")];
        let net = minor(&with_discounts(active(items.clone()), off()));
        let gross = items.into_iter().map(|item| {
            let unit: u64 = item.price.unit_amount.as_deref().unwrap_or_default().parse().unwrap();
            let unit = unit * u64::from(100_000 + thousandths);
            let unit_amount = Some(format!("{}.{:05}", unit / 100_000, unit % 100_000));
            Item { price: Price { unit_amount, ..item.price.clone() }, ..saying("inclusive", item) }
        });
        let rates = vec![
            tax_rate(&format!("{}.{:03}", thousandths / 2 / 1000, thousandths / 2 % 1000), true),
            tax_rate(&format!("{}.{:03}", thousandths.div_ceil(2) / 1000, thousandths.div_ceil(2) % 1000), true),
        ];
        let gross = Subscription { default_tax_rates: rates, ..with_discounts(active(gross), off()) };
        let mrr = of_subscription(&gross, &[], &Catalogue::default(), NOW);
        prop_assert_eq!((mrr.minor, mrr.estimated), (net, false));
    }

    #[test]
    fn discount_keeps_tax_shares(items in vec(sane_item(), 1..5), percent_off in 0_u32..101) {
        // The same discount on each item or on all together gives the same value.
        let off = || percent(&percent_off.to_string(), "forever");
        let taxed: Vec<Item> = items.into_iter().enumerate().map(|(at, item)| {
            Item { tax_rates: vec![tax_rate(&(7 * at).to_string(), true)], ..item }
        }).collect();
        let each = taxed.iter().map(|item| item_discount(item.clone(), off()));
        prop_assert_eq!(minor(&active(each)), minor(&with_discounts(active(taxed), [off()])));
    }

    #[test]
    fn zero_discount_changes_nothing(items in vec(sane_item(), 1..6)) {
        let undiscounted = minor(&active(items.clone()));
        for nothing in [percent("0", "forever"), percent("0.00", "forever"), amount(0, "usd")] {
            prop_assert_eq!(minor(&with_discounts(active(items.clone()), [nothing])), undiscounted);
        }
    }

    #[test]
    fn full_discount_gives_zero(items in vec(sane_item(), 1..6), more in 0_u32..500) {
        let all = percent(&(100 + more).to_string(), "forever");
        prop_assert_eq!(minor(&with_discounts(active(items), [all])), 0);
    }

    #[test]
    fn intervals_are_consistent(unit in 0_u32..10_000_000, quantity in 0_u64..1000) {
        let value = |interval, count| {
            minor(&active([of_price(price(&unit.to_string(), interval, count), quantity)]))
        };
        prop_assert_eq!(value("month", 12), value("year", 1));
        prop_assert_eq!(value("day", 7), value("week", 1));
        prop_assert_eq!(value("day", 365), value("year", 1));
    }

    #[test]
    fn single_unbounded_tier_is_a_unit_price(unit in 0_u32..100_000, quantity in any::<u32>()) {
        let unit = unit.to_string();
        let plain = minor(&active([seats(&unit, quantity.into())]));
        for mode in ["graduated", "volume"] {
            let tiered = tiered(mode, &[(None, &unit, None)]);
            prop_assert_eq!(minor(&active([of_price(tiered, quantity.into())])), plain);
        }
    }
}

#[test]
fn huge_quantity_is_capped_and_estimated() {
    let mrr = of_subscription(&active([seats("9999999999", u64::MAX)]), &[], &Catalogue::default(), NOW);
    assert_eq!((mrr.minor, mrr.estimated), (AMOUNT_MAX, true));
}

#[test]
fn truncated_items_make_an_estimate() {
    let subscription = Subscription { items_truncated: true, ..active([monthly("2900")]) };
    assert!(of_subscription(&subscription, &[], &Catalogue::default(), NOW).estimated);
}

#[test]
fn items_of_one_price_use_their_own_lines() {
    let named = |id: &str| Item { id: id.to_owned(), ..of_price(hidden_tiers(), 2) };
    let line = |id: &str, amount| InvoiceLine {
        price: Some(hidden_tiers().id),
        subscription_item: Some(id.to_owned()),
        amount,
    };
    let lines = vec![line("si_a", 1000), line("si_b", 200)];
    let catalogue =
        Catalogue { newest_invoice_lines: [("sub_1".to_owned(), lines)].into(), ..Catalogue::default() };
    let value = |items: Vec<Item>| of_subscription(&active(items), &[], &catalogue, NOW).minor;
    assert_eq!(value(vec![named("si_a"), named("si_b")]), 1200);
    assert_eq!(value(vec![named("si_replaced")]), 200, "else the last line of the price");
}
