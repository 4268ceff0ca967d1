//! The worked cases of `docs/mrr.md`: the table there gives the values, this file builds the
//! subscriptions.

use super::build::*;
use crate::project::mrr::{Catalogue, Mrr, of_subscription};
use crate::project::stripe::{Coupon, Discount, Item, Price, Subscription, TaxRate};

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/mrr.md"));

#[test]
fn documented_cases_have_their_values() {
    let documented = documented();
    let computed: Vec<(&str, String)> = cases().into_iter().map(|(name, mrr)| (name, shown(&mrr))).collect();
    assert!(documented.len() >= 40, "the document's table was not found");
    for (name, value) in &documented {
        let found = computed.iter().find(|(case, _)| case == name).map(|(_, value)| value.as_str());
        assert_eq!(found, Some(*value), "{name}");
    }
    assert_eq!(documented.len(), computed.len(), "a case is missing from the document");
}

/// The rows of the document's table of cases: the case and its value.
fn documented() -> Vec<(&'static str, &'static str)> {
    let rows = DOCUMENT.lines().skip_while(|line| !line.starts_with("| case |")).skip(2);
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    cells.filter_map(|cells| Some((*cells.get(1)?, *cells.get(3)?))).collect()
}

/// A value as the document writes it.
fn shown(mrr: &Mrr) -> String {
    match (mrr.estimated, mrr.unresolved_discount) {
        (false, false) => mrr.minor.to_string(),
        (true, false) => format!("{} (estimated)", mrr.minor),
        (false, true) => format!("{} (unresolved)", mrr.minor),
        (true, true) => format!("{} (estimated, unresolved)", mrr.minor),
    }
}

fn cases() -> Vec<(&'static str, Mrr)> {
    let discounted = [discounts(), other_currencies(), several_discounts(), levels()].concat();
    let taxed = [taxes(), unknown_taxes(), discounted_taxes()].concat();
    [intervals(), quantities(), tiers(), estimates(), discounted, taxed, lives()].concat()
}

fn plain(items: impl IntoIterator<Item = Item>) -> Mrr {
    value(&active(items))
}

fn value(subscription: &Subscription) -> Mrr {
    of_subscription(subscription, &[], &Catalogue::default(), NOW)
}

fn knowing(catalogue: &Catalogue, subscription: &Subscription) -> Mrr {
    of_subscription(subscription, &[], catalogue, NOW)
}

fn yen(unit_amount: &str, interval: &str) -> Mrr {
    let currency = || Some("jpy".to_owned());
    let price = Price { currency: currency(), ..price(unit_amount, interval, 1) };
    let mrr = value(&Subscription { currency: currency(), ..active([of_price(price, 1)]) });
    assert_eq!(mrr.currency, "jpy");
    mrr
}

fn intervals() -> Vec<(&'static str, Mrr)> {
    vec![
        ("$29 a month", plain([monthly("2900")])),
        ("$120 a year", plain([item("12000", "year", 1)])),
        ("$99 every 28 days", plain([item("9900", "day", 28)])),
        ("$149 every 28 days", plain([item("14900", "day", 28)])),
        ("$19 every 28 days", plain([item("1900", "day", 28)])),
        ("$99 every 4 weeks", plain([item("9900", "week", 4)])),
        ("$25 a week", plain([item("2500", "week", 1)])),
        ("$50 every 2 weeks", plain([item("5000", "week", 2)])),
        ("$1 a day", plain([item("100", "day", 1)])),
        ("$30 every 3 months", plain([item("3000", "month", 3)])),
        ("$200 every 6 months", plain([item("20000", "month", 6)])),
        ("$500 every 2 years", plain([item("50000", "year", 2)])),
        ("$0.30 a year", plain([item("30", "year", 1)])),
        ("$0.42 a year", plain([item("42", "year", 1)])),
        ("free plan", plain([monthly("0")])),
        ("JPY 980 a month", yen("980", "month")),
        ("JPY 9,800 a year", yen("9800", "year")),
    ]
}

fn quantities() -> Vec<(&'static str, Mrr)> {
    let of_a_year = || item("100", "year", 1);
    vec![
        ("5 seats at $12", plain([seats("1200", 5)])),
        ("no quantity given", plain([Item { quantity: None, ..monthly("1200") }])),
        ("quantity 0", plain([seats("1200", 0)])),
        ("1001 units at half a cent", plain([seats("0.5", 1001)])),
        ("monthly and yearly item", plain([monthly("2000"), item("12000", "year", 1)])),
        ("three items of $1 a year", plain([of_a_year(), of_a_year(), of_a_year()])),
        ("metered item with a licensed one", plain([monthly("2000"), metered()])),
        ("only a metered item", plain([metered()])),
        ("101 units in packages of 50, rounded up", plain([packages(101, true)])),
        ("101 units in packages of 50, rounded down", plain([packages(101, false)])),
    ]
}

fn tiers() -> Vec<(&'static str, Mrr)> {
    let quarterly = Price { interval_count: Some(3), ..plain_tiers("graduated") };
    let hidden = active([of_price(hidden_tiers(), 12)]);
    vec![
        ("12 units, graduated", plain([of_price(plain_tiers("graduated"), 12)])),
        ("5 units, graduated", plain([of_price(plain_tiers("graduated"), 5)])),
        ("6 units, graduated, each tier with a flat amount", plain([of_price(flat_tiers("graduated"), 6)])),
        (
            "0 units, graduated, the first tier with a flat amount",
            plain([of_price(flat_tiers("graduated"), 0)]),
        ),
        ("12 units, volume", plain([of_price(plain_tiers("volume"), 12)])),
        ("5 units, volume", plain([of_price(plain_tiers("volume"), 5)])),
        ("6 units, volume, each tier with a flat amount", plain([of_price(flat_tiers("volume"), 6)])),
        ("12 units, graduated, every 3 months", plain([of_price(quarterly, 12)])),
        ("tiers from the catalogue", knowing(&knowing_price(plain_tiers("graduated")), &hidden)),
    ]
}

fn estimates() -> Vec<(&'static str, Mrr)> {
    let quarterly = of_price(Price { interval_count: Some(3), ..hidden_tiers() }, 12);
    let in_euros = |item| Subscription { currency: Some("eur".to_owned()), ..active([item]) };
    let foreign = monthly("2900");
    vec![
        (
            "tiers unknown, last invoiced $45 for 3 months",
            knowing(&last_billed(&quarterly, 4500), &active([quarterly.clone()])),
        ),
        ("tiers unknown, never invoiced", plain([quarterly])),
        (
            "price in dollars, billed in euros, last invoiced EUR 27",
            knowing(&last_billed(&foreign, 2700), &in_euros(foreign.clone())),
        ),
        ("price in dollars, billed in euros, never invoiced", value(&in_euros(foreign))),
    ]
}

fn discounts() -> Vec<(&'static str, Mrr)> {
    let repeating = |end| value(&discounted([until(end, percent("25", "repeating"))]));
    let on = |item, discount| value(&with_discounts(active([item]), [discount]));
    let deleted = Discount { deleted: true, ..percent("25", "forever") };
    vec![
        ("25 % off for ever", value(&discounted([percent("25", "forever")]))),
        ("33.33 % off for ever", value(&discounted([percent("33.33", "forever")]))),
        ("33.33 % off every 28 days", on(item("9900", "day", 28), percent("33.33", "forever"))),
        ("100 % off for ever", value(&discounted([percent("100", "forever")]))),
        ("$5 off for ever", value(&discounted([amount(500, "usd")]))),
        ("$50 off, yearly $600", on(item("60000", "year", 1), amount(5000, "usd"))),
        ("$10 off, $99 every 28 days", on(item("9900", "day", 28), amount(1000, "usd"))),
        ("$50 off a price of $29", value(&discounted([amount(5000, "usd")]))),
        ("25 % off once", value(&discounted([percent("25", "once")]))),
        ("25 % off, repeating, running", repeating(NOW + DAY)),
        ("25 % off, repeating, ended", repeating(NOW - DAY)),
        ("25 % off, repeating, its last second", repeating(NOW)),
        (
            "25 % off for 3 months from 2026-01-15, no end given",
            value(&discounted([three_months_from(1_768_435_200)])),
        ),
        (
            "25 % off for 3 months from 2025-11-15, no end given",
            value(&discounted([three_months_from(1_763_164_800)])),
        ),
        ("25 % off, deleted", value(&discounted([deleted]))),
    ]
}

fn other_currencies() -> Vec<(&'static str, Mrr)> {
    let euros = || amount(500, "eur");
    let invoiced = || last_discounted(&euros(), 450);
    let quarterly = || with_discounts(active([item("2900", "month", 3)]), [euros()]);
    vec![
        ("EUR 5 off a price in dollars", value(&discounted([euros()]))),
        (
            "EUR 5 off a price in dollars, $4.50 by the coupon's list",
            knowing(&invoiced(), &discounted([amount_in(450, "usd", euros())])),
        ),
        (
            "EUR 5 off a price in dollars, $4.50 off the newest invoice",
            knowing(&invoiced(), &discounted([euros()])),
        ),
        (
            "EUR 5 off a price in dollars every 3 months, $4.50 off the newest invoice",
            knowing(&invoiced(), &quarterly()),
        ),
        ("EUR 0 off a price in dollars", value(&discounted([amount(0, "eur")]))),
    ]
}

fn several_discounts() -> Vec<(&'static str, Mrr)> {
    let hundred = |discounts: [Discount; 2]| value(&with_discounts(active([monthly("10000")]), discounts));
    let forever = |off| percent(off, "forever");
    let half = || [item_discount(monthly("2000"), forever("50")), monthly("1000")];
    let off_both = |items: [Item; 2]| value(&with_discounts(active(items), [amount(500, "usd")]));
    vec![
        ("20 % off, then 10 % off", hundred([forever("20"), forever("10")])),
        ("10 % off, then $10 off", hundred([forever("10"), amount(1000, "usd")])),
        ("$10 off, then 10 % off", hundred([amount(1000, "usd"), forever("10")])),
        ("50 % off one of two items", plain(half())),
        ("$5 off an item of 3 seats", plain([item_discount(seats("1000", 3), amount(500, "usd"))])),
        ("50 % off an item, then $5 off the subscription", off_both(half())),
        ("$5 off a monthly and a yearly item", off_both([monthly("2000"), item("12000", "year", 1)])),
        (
            "$5 off an item every 4 weeks and one every 28 days",
            off_both([item("1000", "week", 4), item("2000", "day", 28)]),
        ),
    ]
}

fn levels() -> Vec<(&'static str, Mrr)> {
    let of_customer = |subscription: Subscription| {
        of_subscription(&subscription, &[percent("10", "forever")], &Catalogue::default(), NOW)
    };
    let ended = until(NOW - DAY, percent("25", "repeating"));
    let half_off = item_discount(monthly("2900"), percent("50", "forever"));
    let reported = knowing_discount("di_1", percent("25", "forever"));
    let coupon = Coupon {
        id: "spring".to_owned(),
        percent_off: Some("25".to_owned()),
        duration: "forever".to_owned(),
        ..Coupon::default()
    };
    vec![
        ("customer 10 % off", of_customer(active([monthly("2900")]))),
        ("customer 10 % off, subscription 25 % off", of_customer(discounted([percent("25", "forever")]))),
        ("customer 10 % off, subscription 25 % off once", of_customer(discounted([percent("25", "once")]))),
        ("customer 10 % off, subscription 25 % off ended", of_customer(discounted([ended]))),
        ("customer 10 % off, item 50 % off", of_customer(active([half_off]))),
        (
            "customer 10 % off, subscription's discount known by its id alone",
            of_customer(discounted([by_id("di_1")])),
        ),
        ("discount known by its id alone", value(&discounted([by_id("di_1")]))),
        ("discount by id, reported since", knowing(&reported, &discounted([by_id("di_1")]))),
        (
            "discount with the coupon's id, coupon reported since",
            knowing(&knowing_coupon(coupon), &discounted([by_coupon_id("spring")])),
        ),
    ]
}

fn taxes() -> Vec<(&'static str, Mrr)> {
    let included = |item, percent| value(&taxed(item, [tax_rate(percent, true)]));
    let both = |first, second| value(&taxed(monthly("11498"), [first, second]));
    let own = Item { tax_rates: vec![tax_rate("10", true)], ..monthly("2200") };
    let on_top = taxed(monthly("11000"), [tax_rate("10", true), tax_rate("5", false)]);
    let tiers = Price { tax_behavior: Some("inclusive".to_owned()), ..plain_tiers("graduated") };
    let hidden = taxed(of_price(hidden_tiers(), 12), [tax_rate("20", true)]);
    vec![
        ("$24, 20 % tax included", included(monthly("2400"), "20.0")),
        ("$24, 20 % tax on top", value(&taxed(monthly("2400"), [tax_rate("20", false)]))),
        ("$24, price says that tax is on top, no rate", plain([saying("exclusive", monthly("2400"))])),
        ("$120 a year, 20 % tax included", included(item("12000", "year", 1), "20")),
        ("$114.98, 5 % and 9.975 % tax included", both(tax_rate("5", true), tax_rate("9.975", true))),
        ("$110, 10 % tax included and 5 % on top", value(&on_top)),
        ("$24, 0 % tax included", included(saying("inclusive", monthly("2400")), "0")),
        ("$22, 10 % tax included by the item's rate, 20 % by the subscription's", included(own, "20")),
        (
            "tiers from the catalogue, which says that tax is included, 20 %",
            knowing(&knowing_price(tiers), &hidden),
        ),
    ]
}

fn unknown_taxes() -> Vec<(&'static str, Mrr)> {
    let plan = || monthly("2400");
    let by_id = TaxRate { percentage: None, ..tax_rate("20", true) };
    let on_top = knowing_price(saying("exclusive", plan()).price);
    vec![
        ("$24, tax included at an unknown rate", plain([saying("inclusive", plan())])),
        (
            "$24, tax included by the price and on top by the rate",
            value(&taxed(saying("inclusive", plan()), [tax_rate("20", false)])),
        ),
        ("$24, a tax rate known by its id alone", value(&taxed(plan(), [by_id]))),
        ("$24, automatic tax, included", value(&automatically_taxed(saying("inclusive", plan())))),
        ("$24, automatic tax, on top", value(&automatically_taxed(saying("exclusive", plan())))),
        ("$24, automatic tax, the price says neither", value(&automatically_taxed(plan()))),
        ("$24, automatic tax, the catalogue says on top", knowing(&on_top, &automatically_taxed(plan()))),
        ("free plan, tax included at an unknown rate", plain([saying("inclusive", monthly("0"))])),
    ]
}

fn discounted_taxes() -> Vec<(&'static str, Mrr)> {
    let included = |item| taxed(item, [tax_rate("20", true)]);
    let off = |discount| value(&with_discounts(included(monthly("2400")), [discount]));
    let off_the_item = item_discount(monthly("2400"), amount(600, "usd"));
    let half_taxed = Item { tax_rates: vec![tax_rate("20", true)], ..monthly("2400") };
    let both = with_discounts(active([half_taxed, monthly("2600")]), [amount(1000, "usd")]);
    vec![
        ("$24, 20 % tax included, 25 % off", off(percent("25", "forever"))),
        ("$24, 20 % tax included, $6 off", off(amount(600, "usd"))),
        ("$24, 20 % tax included, $6 off the item", value(&included(off_the_item))),
        ("$24, 20 % tax included, $30 off", off(amount(3000, "usd"))),
        ("$24 with 20 % tax included and $26 without, $10 off", value(&both)),
    ]
}

fn lives() -> Vec<(&'static str, Mrr)> {
    let before =
        |known: &str| Subscription { known_status: Some(known.to_owned()), ..of_status("hibernating") };
    let ending = Subscription { cancel_at_period_end: true, ..active([monthly("2900")]) };
    vec![
        ("past due", value(&of_status("past_due"))),
        ("trialing", value(&of_status("trialing"))),
        ("unpaid", value(&of_status("unpaid"))),
        ("paused", value(&of_status("paused"))),
        ("incomplete", value(&of_status("incomplete"))),
        ("incomplete, expired", value(&of_status("incomplete_expired"))),
        ("canceled", value(&of_status("canceled"))),
        ("a status nobody knows, active before", value(&before("active"))),
        ("a status nobody knows from the start", value(&of_status("hibernating"))),
        ("active, to be canceled at the end of the period", value(&ending)),
        ("collection paused: keep as draft", value(&paused_as("keep_as_draft"))),
        ("collection paused: void", value(&paused_as("void"))),
        ("collection paused: mark uncollectible", value(&paused_as("mark_uncollectible"))),
        ("one of two items inside its trial", plain([monthly("2000"), on_trial(monthly("1000"), NOW + DAY)])),
        (
            "both items after their trial",
            plain([on_trial(monthly("2000"), NOW - DAY), on_trial(monthly("1000"), NOW)]),
        ),
    ]
}
