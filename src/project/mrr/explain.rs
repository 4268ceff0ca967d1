//! Why a subscription's MRR is what it is, step by step, in the words of `docs/mrr.md`.

use num_traits::Zero;
use serde::Serialize;

use super::discount::{Deduction, Reduction};
use super::ratio::{Ratio, whole};
use super::tax::Included;
use super::value::{self, Breakdown, ItemBreakdown};
use super::{Catalogue, Mrr, has_mrr};
use crate::project::stripe::{Discount, Price, Subscription};

/// Printed next to the number. The full definition is `docs/mrr.md`.
pub const DEFINITION: &str = "What active and past-due subscriptions bring in an average month (12 in 365 days), after recurring \
     discounts, before tax.";

/// How one subscription's MRR was computed. Amounts are minor units, exact fractions as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = MrrExplanation)]
pub struct Explanation {
    /// Its id.
    pub subscription: String,
    /// The customer it is of.
    pub customer: String,
    /// Its status.
    pub status: String,
    /// Lower case.
    pub currency: String,
    /// Why the value is zero, if because of its status or a pause.
    pub worth_nothing: Option<String>,
    /// Its items, each with its value.
    pub items: Vec<ItemExplanation>,
    /// Taken off the sum of the items, in this order.
    pub discounts: Vec<String>,
    /// The tax included in the rest, taken out last; `None` if no tax is included or known.
    pub tax: Option<String>,
    /// Before rounding.
    pub exact: String,
    /// The sum, minor units.
    pub mrr: i64,
    /// Something had to be assumed.
    pub estimated: bool,
    /// A discount's terms are not known.
    pub unresolved_discount: bool,
}

/// One item's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = MrrItemExplanation)]
pub struct ItemExplanation {
    /// Its id.
    pub item: String,
    /// Its price.
    pub price: String,
    /// How many.
    pub quantity: u64,
    /// `28 days`; `None` for a one-off price.
    pub interval: Option<String>,
    /// Its amount per interval.
    pub per_interval: Option<String>,
    /// The share of the interval that is one month: `365/336`.
    pub factor: Option<String>,
    /// Taken off it, in this order.
    pub discounts: Vec<String>,
    /// Per month, after discounts, including tax.
    pub monthly: String,
    /// The tax in it, if any or possibly.
    pub tax: Option<String>,
    /// Why its value is zero.
    pub worth_nothing: Option<&'static str>,
}

/// Explains the MRR of `subscription` at `now`, with the arguments of [`super::of_subscription`].
#[must_use]
pub fn explain(
    subscription: &Subscription,
    customer_discounts: &[Discount],
    catalogue: &Catalogue,
    now: i64,
) -> Explanation {
    let breakdown = value::breakdown(subscription, customer_discounts, catalogue, now);
    let worth_nothing = (!has_mrr(subscription)).then(|| why_zero(subscription));
    let (mrr, exact, tax) = if worth_nothing.is_some() {
        (Mrr::default(), Ratio::zero(), Ratio::zero())
    } else {
        (breakdown.mrr.clone(), breakdown.exact.clone(), breakdown.tax.clone())
    };
    Explanation {
        subscription: subscription.id.clone(),
        customer: subscription.customer.clone(),
        status: subscription.status.clone(),
        currency: breakdown.mrr.currency.clone(),
        items: breakdown.items.iter().map(|item| of_item(item, now)).collect(),
        discounts: discounts_on_sum(&breakdown),
        tax: (!tax.is_zero()).then(|| tax.to_string()),
        exact: exact.to_string(),
        mrr: mrr.minor,
        estimated: mrr.estimated,
        unresolved_discount: mrr.unresolved_discount,
        worth_nothing,
    }
}

/// Why its status or a pause makes the value zero.
fn why_zero(subscription: &Subscription) -> String {
    if subscription.is_unreported_import {
        return "no event has reported its items yet".to_owned();
    }
    match (subscription.effective_status(), subscription.pause_behavior.as_deref()) {
        (Some("active" | "past_due"), Some(behavior)) => format!("collection is paused: {behavior}"),
        (Some(status), _) => format!("{status} subscriptions bring nothing"),
        (None, _) => format!("the status {:?} is not known", subscription.status),
    }
}

/// The discounts taken off the sum of the items.
fn discounts_on_sum(breakdown: &Breakdown<'_>) -> Vec<String> {
    let whose = if breakdown.of_customer { ", of the customer" } else { "" };
    let factor = breakdown.factor.as_ref();
    breakdown.reductions.iter().map(|reduction| deduction_text(reduction, factor) + whose).collect()
}

fn of_item(breakdown: &ItemBreakdown<'_>, now: i64) -> ItemExplanation {
    let ItemBreakdown { item, price, amount, factor, reductions, monthly, tax } = breakdown;
    let is_on_trial = item.trial_end.is_some_and(|end| end > now);
    let worth_nothing = match (price.metered, is_on_trial, factor) {
        (true, ..) => Some("metered: what it will bring is not agreed"),
        (_, true, _) => Some("inside a trial of its own"),
        (.., None) => Some("its price does not recur at an interval that we know"),
        _ => None,
    };
    ItemExplanation {
        item: item.id.clone(),
        price: price.id.clone(),
        quantity: item.quantity.unwrap_or(1),
        interval: interval(price),
        per_interval: amount.as_ref().map(Ratio::to_string),
        factor: factor.as_ref().map(Ratio::to_string),
        discounts: reductions.iter().map(|reduction| deduction_text(reduction, factor.as_ref())).collect(),
        monthly: monthly.to_string(),
        tax: included(tax, price),
        worth_nothing,
    }
}

fn interval(price: &Price) -> Option<String> {
    let unit = price.interval.as_deref()?;
    Some(match price.interval_count.unwrap_or(1) {
        0 | 1 => unit.to_owned(),
        count => format!("{count} {unit}s"),
    })
}

fn included(tax: &Included, price: &Price) -> Option<String> {
    match tax {
        Included::Nothing => None,
        Included::Share(share) => Some(format!("{} % tax included", share * whole(100))),
        Included::Unknown if price.tax_behavior.as_deref() == Some("inclusive") => {
            Some("its tax included, at a rate that is not known".to_owned())
        }
        Included::Unknown => Some("tax possibly included: unknown".to_owned()),
    }
}

fn deduction_text(reduction: &Reduction<'_>, factor: Option<&Ratio>) -> String {
    let coupon = reduction.coupon;
    let id = &coupon.id;
    if let Some(percent) = &coupon.percent_off {
        return format!("{id}: {percent} %");
    }
    let Some(factor) = factor else { return format!("{id}: nothing, no interval is known") };
    let other = coupon.currency.as_deref().unwrap_or("no currency");
    match reduction.deduction {
        Deduction::Amount(amount) => format!("{id}: {amount} × {factor}"),
        Deduction::LastInvoiced(amount) => {
            format!("{id}: {amount} × {factor}, as last invoiced (its own amount is in {other})")
        }
        Deduction::Share(_) | Deduction::OtherCurrency => format!("{id}: nothing, it is in {other}"),
    }
}
