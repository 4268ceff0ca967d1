//! Short notations for histories and their movements.

mod cases;
mod laws;

use super::{BEGINNING, History, Movement, Version, movements};
use crate::project::mrr::Catalogue;
use crate::project::stripe::{Coupon, Customer, Discount, Item, Price, StripeObject, Subscription};

/// 2026-03-01 00:00 UTC
const T: i64 = 1_772_323_200;
const DAY: i64 = 86_400;

/// `cents` a month.
fn item(cents: u32) -> Item {
    let price = Price {
        id: format!("price_{cents}"),
        currency: Some("usd".to_owned()),
        unit_amount: Some(cents.to_string()),
        interval: Some("month".to_owned()),
        ..Price::default()
    };
    Item { id: "si_1".to_owned(), price, ..Item::default() }
}

fn subscription(id: &str, status: &str, cents: u32) -> Subscription {
    Subscription {
        id: id.to_owned(),
        customer: "cus_1".to_owned(),
        status: status.to_owned(),
        currency: Some("usd".to_owned()),
        items: vec![item(cents)],
        ..Subscription::default()
    }
}

fn in_euros(subscription: Subscription) -> Subscription {
    let mut subscription = Subscription { currency: Some("eur".to_owned()), ..subscription };
    for item in &mut subscription.items {
        item.price.currency = Some("eur".to_owned());
    }
    subscription
}

fn half_off(id: &str) -> Discount {
    let coupon = Coupon {
        id: "half".to_owned(),
        percent_off: Some("50".to_owned()),
        duration: "forever".to_owned(),
        ..Coupon::default()
    };
    let coupon = Some(coupon);
    Discount { id: id.to_owned(), customer: Some("cus_1".to_owned()), coupon, ..Discount::default() }
}

fn until(discount: Discount, end: i64) -> Discount {
    let coupon = discount.coupon.map(|coupon| Coupon { duration: "repeating".to_owned(), ..coupon });
    Discount { coupon, end: Some(end), ..discount }
}

fn with(subscription: Subscription, discounts: impl IntoIterator<Item = Discount>) -> Subscription {
    Subscription { discounts: discounts.into_iter().collect(), ..subscription }
}

fn customer(discount: Option<Discount>) -> StripeObject {
    StripeObject::Customer(Customer { id: "cus_1".to_owned(), discount, ..Customer::default() })
}

/// A version of an object from day `day` on; the event id names both.
fn on(day: i64, state: impl Into<StripeObject>) -> Version {
    let state = state.into();
    let event_id = format!("evt_{}_{day}", state.id());
    let is_final = match &state {
        StripeObject::Subscription(it) => it.status == "canceled",
        StripeObject::Discount(it) => it.deleted,
        _ => false,
    };
    Version { at: T + day * DAY, is_final, event_id, state }
}

impl From<Subscription> for StripeObject {
    fn from(subscription: Subscription) -> Self {
        Self::Subscription(subscription)
    }
}

impl From<Discount> for StripeObject {
    fn from(discount: Discount) -> Self {
        Self::Discount(discount)
    }
}

/// All movements by day `now`.
fn all(versions: Vec<Version>, now: i64) -> Vec<Movement> {
    let history = History { versions, ..History::default() };
    movements(history, &mut Catalogue::default(), BEGINNING, T + now * DAY)
}

/// `day kind delta after cause`, the cause without its `evt_`, `clock` for none.
fn reported(movements: &[Movement]) -> Vec<String> {
    let line = |it: &Movement| {
        assert_eq!(it.mrr_before + it.delta, it.mrr_after);
        let day = (it.effective_at - T) / DAY;
        let cause = it.cause_event_id.as_deref().map_or("clock", |id| &id["evt_".len()..]);
        let (kind, delta, after) = (it.kind.as_str(), it.delta, it.mrr_after);
        let currency = if it.currency == "usd" { "" } else { "eur " };
        format!("{currency}{day} {kind} {delta:+} {after} {cause}")
    };
    movements.iter().map(line).collect()
}
