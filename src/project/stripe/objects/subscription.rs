//! Subscriptions and their items.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::discount::{Discount, discounts};
use super::price::{Price, price};
use super::tax::{TaxRate, tax_rates};
use crate::project::stripe::field::{
    boolean, count, currency, customer, id, is_truncated, list, text, time, user_ids,
};

/// The most items read of one subscription: Stripe's own limit.
const ITEMS_MAX: usize = 20;

/// A subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subscription {
    pub id: String,
    pub customer: String,
    pub created: i64,
    /// As Stripe reports it, known or not.
    pub status: String,
    /// If `status` is unknown: the last known one before it.
    pub known_status: Option<String>,
    /// Imported from the database, and no event has reported it yet: its items are unknown.
    #[serde(rename = "needs_stripe")]
    pub is_unreported_import: bool,
    pub currency: Option<String>,
    pub start_date: Option<i64>,
    pub ended_at: Option<i64>,
    pub canceled_at: Option<i64>,
    pub cancel_at_period_end: bool,
    /// When it is to end, if set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_at: Option<i64>,
    /// `cancellation_details.reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_reason: Option<String>,
    /// `cancellation_details.feedback`. The comment next to it is free text of a person, and is not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_feedback: Option<String>,
    /// The earliest of the items' (or the old top-level) period starts, the latest of the ends.
    pub current_period_start: Option<i64>,
    pub current_period_end: Option<i64>,
    pub trial_start: Option<i64>,
    pub trial_end: Option<i64>,
    /// `pause_collection.behavior`; present if collection is paused, empty if the behavior is not shown.
    pub pause_behavior: Option<String>,
    /// In Stripe's order.
    pub items: Vec<Item>,
    /// The list of items has more than the event shows.
    pub items_truncated: bool,
    /// Subscription-level discounts, in list order.
    pub discounts: Vec<Discount>,
    /// Tax rates of items without their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_tax_rates: Vec<TaxRate>,
    /// Stripe computes the tax for each invoice: the rate is unknown here.
    #[serde(skip_serializing_if = "is_false")]
    pub automatic_tax: bool,
    pub user_ids: Vec<String>,
}

/// One line of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Item {
    pub id: String,
    pub price: Price,
    /// Absent counts as 1.
    pub quantity: Option<u64>,
    /// `current_trial.end_date` (2026 on).
    pub trial_end: Option<i64>,
    pub discounts: Vec<Discount>,
    /// If there are any, the subscription's do not apply.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tax_rates: Vec<TaxRate>,
}

const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A subscription; `None` without an id or a customer.
pub fn subscription(value: &Value, user_id_keys: &[String]) -> Option<Subscription> {
    let created = time(&value["created"]).unwrap_or_default();
    let (current_period_start, current_period_end) = period(value);
    Some(Subscription {
        id: id(value)?,
        customer: customer(value)?,
        created,
        status: text(&value["status"]).unwrap_or_default(),
        known_status: None,
        is_unreported_import: false,
        currency: currency(&value["currency"]).or_else(|| currency(&value["plan"]["currency"])),
        // Until 2019 a subscription's `start` was its last change; `created` is its start.
        start_date: time(&value["start_date"]).or(Some(created).filter(|created| *created > 0)),
        ended_at: time(&value["ended_at"]),
        canceled_at: time(&value["canceled_at"]),
        cancel_at_period_end: boolean(&value["cancel_at_period_end"]),
        cancel_at: time(&value["cancel_at"]),
        cancellation_reason: text(&value["cancellation_details"]["reason"]),
        cancellation_feedback: text(&value["cancellation_details"]["feedback"]),
        current_period_start,
        current_period_end,
        trial_start: time(&value["trial_start"]),
        trial_end: time(&value["trial_end"]),
        pause_behavior: pause_behavior(&value["pause_collection"]),
        items: items(value),
        items_truncated: is_truncated(&value["items"], ITEMS_MAX),
        discounts: discounts(value),
        default_tax_rates: tax_rates(&value["default_tax_rates"]),
        automatic_tax: boolean(&value["automatic_tax"]["enabled"]),
        user_ids: user_ids(value, user_id_keys),
    })
}

fn pause_behavior(pause: &Value) -> Option<String> {
    pause.is_object().then(|| text(&pause["behavior"]).unwrap_or_default())
}

/// The earliest start and the latest end of the items' periods, else the subscription's own (old versions).
fn period(value: &Value) -> (Option<i64>, Option<i64>) {
    let times = |key: &'static str| list(&value["items"]).iter().filter_map(move |item| time(&item[key]));
    (
        times("current_period_start").min().or_else(|| time(&value["current_period_start"])),
        times("current_period_end").max().or_else(|| time(&value["current_period_end"])),
    )
}

/// The items in Stripe's order; in versions without items, the plan and its quantity.
fn items(value: &Value) -> Vec<Item> {
    let listed: Vec<Item> = list(&value["items"])
        .iter()
        .take(ITEMS_MAX)
        .filter(|item| !boolean(&item["deleted"]))
        .filter_map(|listed| item(id(listed)?, listed))
        .collect();
    if listed.is_empty() { item(String::new(), value).into_iter().collect() } else { listed }
}

/// One item, or an old subscription that is its own only item.
fn item(id: String, value: &Value) -> Option<Item> {
    Some(Item {
        id,
        price: price(&value["price"]).or_else(|| price(&value["plan"]))?,
        quantity: count(&value["quantity"]),
        trial_end: time(&value["current_trial"]["end_date"]),
        // A subscription's own discounts are not its item's: only listed items may have any.
        discounts: if value["object"] == "subscription" { Vec::new() } else { discounts(value) },
        tax_rates: tax_rates(&value["tax_rates"]),
    })
}
