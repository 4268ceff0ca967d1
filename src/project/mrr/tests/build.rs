//! Builders of subscriptions, prices and discounts.

use std::collections::HashMap;

use crate::project::mrr::Catalogue;
use crate::project::stripe::{
    Coupon, Discount, InvoiceLine, Item, Price, PriceTier, Subscription, TaxRate, TransformQuantity,
};

/// 2026-03-01 00:00 UTC
pub const NOW: i64 = 1_772_323_200;
pub const DAY: i64 = 86_400;

pub fn price(unit_amount: &str, interval: &str, count: u32) -> Price {
    Price {
        id: format!("price_{unit_amount}_{interval}_{count}"),
        currency: Some("usd".to_owned()),
        unit_amount: Some(unit_amount.to_owned()),
        interval: Some(interval.to_owned()),
        interval_count: Some(count),
        ..Price::default()
    }
}

pub fn item(unit_amount: &str, interval: &str, count: u32) -> Item {
    of_price(price(unit_amount, interval, count), 1)
}

pub fn of_price(price: Price, quantity: u64) -> Item {
    Item { id: format!("si_{}", price.id), price, quantity: Some(quantity), ..Item::default() }
}

pub fn monthly(unit_amount: &str) -> Item {
    item(unit_amount, "month", 1)
}

pub fn seats(unit_amount: &str, quantity: u64) -> Item {
    Item { quantity: Some(quantity), ..monthly(unit_amount) }
}

pub fn packages(quantity: u64, round_up: bool) -> Item {
    let transform_quantity = Some(TransformQuantity { divide_by: 50, round_up });
    of_price(Price { transform_quantity, ..price("1000", "month", 1) }, quantity)
}

pub fn metered() -> Item {
    of_price(Price { metered: true, ..price("300", "month", 1) }, 1)
}

/// `tiers`: the last unit of each, its unit amount and its flat amount.
pub fn tiered(mode: &str, tiers: &[(Option<u64>, &str, Option<&str>)]) -> Price {
    let tiers = tiers.iter().map(|(up_to, unit, flat)| PriceTier {
        up_to: *up_to,
        unit_amount: Some((*unit).to_owned()),
        flat_amount: flat.map(str::to_owned),
    });
    Price {
        unit_amount: None,
        tiers_mode: Some(mode.to_owned()),
        tiers: tiers.collect(),
        ..price("tiers", "month", 1)
    }
}

pub fn plain_tiers(mode: &str) -> Price {
    tiered(mode, &[(Some(5), "700", None), (Some(10), "650", None), (None, "600", None)])
}

pub fn flat_tiers(mode: &str) -> Price {
    tiered(mode, &[(Some(5), "100", Some("1000")), (None, "80", Some("500"))])
}

/// A tiered price whose tiers the event does not show.
pub fn hidden_tiers() -> Price {
    Price { tiers: Vec::new(), ..plain_tiers("graduated") }
}

pub fn active(items: impl IntoIterator<Item = Item>) -> Subscription {
    Subscription {
        id: "sub_1".to_owned(),
        customer: "cus_1".to_owned(),
        status: "active".to_owned(),
        currency: Some("usd".to_owned()),
        items: items.into_iter().collect(),
        ..Subscription::default()
    }
}

pub fn of_status(status: &str) -> Subscription {
    Subscription { status: status.to_owned(), ..active([monthly("2900")]) }
}

pub fn paused_as(behavior: &str) -> Subscription {
    Subscription { pause_behavior: Some(behavior.to_owned()), ..active([monthly("2900")]) }
}

/// A subscription of $29 a month with its own `discounts`.
pub fn discounted(discounts: impl IntoIterator<Item = Discount>) -> Subscription {
    with_discounts(active([monthly("2900")]), discounts)
}

pub fn with_discounts(
    subscription: Subscription,
    discounts: impl IntoIterator<Item = Discount>,
) -> Subscription {
    Subscription { discounts: discounts.into_iter().collect(), ..subscription }
}

pub fn item_discount(item: Item, discount: Discount) -> Item {
    Item { discounts: vec![discount], ..item }
}

/// In a trial until `end`.
pub fn on_trial(item: Item, end: i64) -> Item {
    Item { trial_end: Some(end), ..item }
}

fn discount(coupon: Coupon) -> Discount {
    Discount {
        id: format!("di_{}", coupon.id),
        coupon_id: Some(coupon.id.clone()),
        coupon: Some(coupon),
        start: Some(NOW - 45 * DAY),
        ..Discount::default()
    }
}

pub fn percent(off: &str, duration: &str) -> Discount {
    discount(Coupon {
        id: format!("p{off}"),
        percent_off: Some(off.to_owned()),
        duration: duration.to_owned(),
        ..Coupon::default()
    })
}

pub fn amount(off: i64, currency: &str) -> Discount {
    discount(Coupon {
        id: format!("a{off}"),
        amount_off: Some(off),
        currency: Some(currency.to_owned()),
        duration: "forever".to_owned(),
        ..Coupon::default()
    })
}

/// `off` in another currency than the coupon's own.
pub fn amount_in(off: i64, currency: &str, mut discount: Discount) -> Discount {
    if let Some(coupon) = &mut discount.coupon {
        coupon.currency_options.insert(currency.to_owned(), off);
    }
    discount
}

pub fn tax_rate(percentage: &str, inclusive: bool) -> TaxRate {
    TaxRate { id: format!("txr_{percentage}"), inclusive, percentage: Some(percentage.to_owned()) }
}

/// A subscription of `item` with its own tax rates.
pub fn taxed(item: Item, rates: impl IntoIterator<Item = TaxRate>) -> Subscription {
    Subscription { default_tax_rates: rates.into_iter().collect(), ..active([item]) }
}

/// The price of `item` with a tax behavior of `inclusive` or `exclusive`.
pub fn saying(behavior: &str, item: Item) -> Item {
    let price = Price { tax_behavior: Some(behavior.to_owned()), ..item.price };
    Item { price, ..item }
}

/// A subscription of `item` with automatic tax.
pub fn automatically_taxed(item: Item) -> Subscription {
    Subscription { automatic_tax: true, ..active([item]) }
}

pub fn until(end: i64, discount: Discount) -> Discount {
    Discount { end: Some(end), ..discount }
}

/// A repeating discount of three months that does not show its end.
pub fn three_months_from(start: i64) -> Discount {
    let mut discount = Discount { start: Some(start), ..percent("25", "repeating") };
    if let Some(coupon) = &mut discount.coupon {
        coupon.duration_in_months = Some(3);
    }
    discount
}

pub fn by_id(id: &str) -> Discount {
    Discount { id: id.to_owned(), ..Discount::default() }
}

pub fn by_coupon_id(coupon: &str) -> Discount {
    Discount { coupon_id: Some(coupon.to_owned()), ..by_id("di_1") }
}

pub fn knowing_price(price: Price) -> Catalogue {
    Catalogue { prices: HashMap::from([(price.id.clone(), price)]), ..Catalogue::default() }
}

pub fn knowing_coupon(coupon: Coupon) -> Catalogue {
    Catalogue { coupons: HashMap::from([(coupon.id.clone(), coupon)]), ..Catalogue::default() }
}

pub fn knowing_discount(id: &str, discount: Discount) -> Catalogue {
    Catalogue { discounts: HashMap::from([(id.to_owned(), discount)]), ..Catalogue::default() }
}

/// The newest invoice of `sub_1` has a line of `amount` for the item.
pub fn last_billed(item: &Item, amount: i64) -> Catalogue {
    let line = |item: &Item, amount| InvoiceLine {
        price: Some(item.price.id.clone()),
        subscription_item: Some(item.id.clone()),
        amount,
    };
    let lines = vec![line(&monthly("1"), 1), line(item, amount), line(&monthly("2"), 2)];
    Catalogue { newest_invoice_lines: HashMap::from([("sub_1".to_owned(), lines)]), ..Catalogue::default() }
}

/// The newest invoice of `sub_1` shows what a discount took off.
pub fn last_discounted(discount: &Discount, amount: i64) -> Catalogue {
    let amounts = [(discount.id.clone(), amount)].into();
    Catalogue { discount_amounts: HashMap::from([("sub_1".to_owned(), amounts)]), ..Catalogue::default() }
}
