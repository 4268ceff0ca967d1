//! Coupons, and the discounts that apply them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::project::stripe::field::{
    amount, boolean, count, currency, customer, decimal, id, list, text, time,
};

/// The most discounts read of one subscription or item: Stripe's own limit.
const DISCOUNTS_MAX: usize = 20;

/// The most currencies read of one coupon: Stripe has fewer.
const CURRENCIES_MAX: usize = 200;

const STAND_IN_PREFIX: &str = "discount:";

/// A coupon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Coupon {
    pub id: String,
    /// Decimal text, exactly as the JSON writes it.
    pub percent_off: Option<String>,
    pub amount_off: Option<i64>,
    pub currency: Option<String>,
    /// `amount_off` in other currencies, if shown: by the API on request, never by events.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub currency_options: BTreeMap<String, i64>,
    /// `forever`, `once` or `repeating`.
    pub duration: String,
    pub duration_in_months: Option<u32>,
}

/// A discount: an applied coupon. If an event gives only an id, `coupon` and `coupon_id` are absent. Old ones
/// without an id are named after their owner, which can have only one: `discount:cus_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Discount {
    pub id: String,
    pub customer: Option<String>,
    pub subscription: Option<String>,
    pub subscription_item: Option<String>,
    pub coupon_id: Option<String>,
    pub coupon: Option<Coupon>,
    pub start: Option<i64>,
    pub end: Option<i64>,
    /// `customer.discount.deleted` has reported its end.
    pub deleted: bool,
}

/// A coupon.
pub fn coupon(value: &Value) -> Option<Coupon> {
    Some(Coupon {
        id: id(value)?,
        // Versions between 2018 and 2019 truncate percent_off and have a precise field next to it.
        percent_off: decimal(&value["percent_off_precise"]).or_else(|| decimal(&value["percent_off"])),
        amount_off: amount(&value["amount_off"]),
        currency: currency(&value["currency"]),
        currency_options: currency_options(&value["currency_options"]),
        duration: text(&value["duration"]).unwrap_or_default(),
        duration_in_months: count(&value["duration_in_months"]).and_then(|months| months.try_into().ok()),
    })
}

/// The amount off in each further currency.
fn currency_options(value: &Value) -> BTreeMap<String, i64> {
    let options = value.as_object().into_iter().flatten().take(CURRENCIES_MAX);
    let option = |(code, terms): (&String, &Value)| {
        Some((currency(&Value::from(code.as_str()))?, amount(&terms["amount_off"])?))
    };
    options.filter_map(option).collect()
}

/// A discount: an id alone, or the object with its coupon as an id or in full, in either place.
pub fn discount(value: &Value) -> Option<Discount> {
    if value.is_string() {
        return Some(Discount { id: id(value)?, ..Discount::default() });
    }
    let source = if value["coupon"].is_null() { &value["source"]["coupon"] } else { &value["coupon"] };
    let (customer, subscription) = (customer(value), id(&value["subscription"]));
    Some(Discount {
        id: id(&value["id"]).or_else(|| stand_in_id(subscription.as_deref(), customer.as_deref()))?,
        customer,
        subscription,
        subscription_item: id(&value["subscription_item"]),
        coupon_id: id(source),
        coupon: source.is_object().then(|| coupon(source)).flatten(),
        start: time(&value["start"]),
        end: time(&value["end"]),
        deleted: boolean(&value["deleted"]),
    })
}

/// Discounts had no ids before 2020, when a customer and a subscription each had at most one: the id is made
/// of the owner. The coupon is not part of it, because an update may change it.
fn stand_in_id(subscription: Option<&str>, customer: Option<&str>) -> Option<String> {
    subscription.or(customer).map(|owner| format!("{STAND_IN_PREFIX}{owner}"))
}

/// The discounts of a subscription or an item, as a list or in the old single field. A list of ids next to
/// the single object they refer to is read with that object's terms.
pub fn discounts(owner: &Value) -> Vec<Discount> {
    let single = discount(&owner["discount"]);
    let mut listed: Vec<Discount> =
        list(&owner["discounts"]).iter().take(DISCOUNTS_MAX).filter_map(discount).collect();
    let Some(single) = single else { return listed };
    if listed.is_empty() {
        listed.push(single);
    } else if let Some(same) = listed.iter_mut().find(|it| it.id == single.id && it.coupon.is_none()) {
        *same = single;
    }
    listed
}

/// Whether it applies to one invoice or one checkout only, and so does not recur.
pub fn is_for_one_payment(value: &Value) -> bool {
    ["invoice", "invoice_item", "checkout_session"].into_iter().any(|key| !value[key].is_null())
}

impl Discount {
    /// Whether it is a customer-level discount, not one of a subscription or an item.
    #[must_use]
    pub const fn is_on_customer(&self) -> bool {
        self.subscription.is_none() && self.subscription_item.is_none()
    }

    /// Whether its id is a stand-in: that of the owner's only discount, which may be set again after a
    /// deletion.
    #[must_use]
    pub fn has_stand_in_id(&self) -> bool {
        self.id.starts_with(STAND_IN_PREFIX)
    }
}
