//! Monthly recurring revenue, in exact arithmetic. `docs/mrr.md` is the definition in words, with worked
//! cases; its table is a test here.

mod amount;
mod discount;
mod explain;
mod factor;
mod ratio;
mod tax;
mod value;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

pub use explain::{DEFINITION, Explanation, ItemExplanation, explain};

use super::stripe::{Coupon, Customer, Discount, InvoiceLine, Item, Price, Subscription};

/// What a subscription's value depends on besides itself.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Prices by id, with the price tiers that subscriptions do not show.
    pub prices: HashMap<String, Price>,
    /// Coupons by id.
    pub coupons: HashMap<String, Coupon>,
    /// Discounts by id, as `customer.discount.*` reported them.
    pub discounts: HashMap<String, Discount>,
    /// By subscription id: the newest invoice's lines without prorations.
    pub newest_invoice_lines: HashMap<String, Vec<InvoiceLine>>,
    /// By subscription id: what each discount, by its id, took off the newest invoice that shows it.
    pub discount_amounts: HashMap<String, BTreeMap<String, i64>>,
}

/// A subscription's MRR at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mrr {
    /// Minor units, rounded half-even once.
    pub minor: i64,
    /// Lower-case ISO code; empty if the subscription has no priced item.
    pub currency: String,
    /// Something had to be assumed.
    pub estimated: bool,
    /// A discount's terms are not known: ids without a coupon.
    pub unresolved_discount: bool,
    /// When the clock alone changes the value next, Unix seconds.
    pub changes_at: Option<i64>,
}

/// The most moments checked for [`Mrr::changes_at`]: each is a valuation.
const MOMENTS_MAX: usize = 8;

/// The MRR of `subscription` at `now` (Unix seconds). `customer_discounts`: those of its customer, in list
/// order, each once (see [`customer_discounts`]); those of a subscription are ignored.
#[must_use]
pub fn of_subscription(
    subscription: &Subscription,
    customer_discounts: &[Discount],
    catalogue: &Catalogue,
    now: i64,
) -> Mrr {
    if !has_mrr(subscription) {
        return Mrr { currency: value::currency(subscription), ..Mrr::default() };
    }
    let at = |moment| value::at(subscription, customer_discounts, catalogue, moment);
    let present = at(now);
    let moments = moments(subscription, customer_discounts, catalogue, now);
    let changes_at = moments.iter().copied().find(|moment| at(*moment).minor != present.minor);
    // If there are more moments than are checked, the next check is due at the last of them.
    let recheck_at = moments.last().copied().filter(|_| moments.len() == MOMENTS_MAX);
    Mrr { changes_at: changes_at.or(recheck_at), ..present }
}

/// The customer-level discounts for [`of_subscription`]: at most one. `customer`: the present state, if
/// known; `reported`: the customer's discounts as `customer.discount.*` reported them, in any order,
/// including deleted ones.
#[must_use]
pub fn customer_discounts(customer: Option<&Customer>, reported: &[Discount]) -> Vec<Discount> {
    let shown = customer.and_then(|customer| customer.discount.as_ref());
    discount::of_customer(shown, reported).cloned().into_iter().collect()
}

/// Whether the subscription's status and pause let it bring revenue.
fn has_mrr(subscription: &Subscription) -> bool {
    let is_written_off =
        matches!(subscription.pause_behavior.as_deref(), Some("void" | "mark_uncollectible"));
    matches!(subscription.effective_status(), Some("active" | "past_due"))
        && !is_written_off
        && !subscription.is_unreported_import
}

/// The moments after `now` at which the clock ends a discount or an item's trial, in order.
fn moments(
    subscription: &Subscription,
    customer_discounts: &[Discount],
    catalogue: &Catalogue,
    now: i64,
) -> Vec<i64> {
    let of_items = subscription.items.iter().flat_map(|item| &item.discounts);
    let discounts = of_items.chain(&subscription.discounts).chain(customer_discounts);
    let ends = discounts.filter_map(|it| discount::end(it, catalogue));
    let trials = subscription.items.iter().filter_map(|item| item.trial_end);
    let mut moments: Vec<i64> = ends.chain(trials).filter(|moment| *moment > now).collect();
    moments.sort_unstable();
    moments.dedup();
    moments.truncate(MOMENTS_MAX);
    moments
}

/// The ids of prices, coupons and discounts that the value of `subscription` depends on beyond what it shows
/// itself: a later event about one of them requires a new valuation. A discount may depend on its coupon in
/// turn: see [`coupon_without_terms`].
#[must_use]
pub fn dependencies(subscription: &Subscription) -> Vec<String> {
    let items = &subscription.items;
    let needs_catalogue =
        |item: &&Item| !amount::shows_terms(&item.price) || tax::lacks_tax_behavior(subscription, item);
    let prices = items.iter().filter(needs_catalogue).map(|item| &item.price);
    let of_items = items.iter().flat_map(|item| &item.discounts);
    let discounts = of_items.chain(&subscription.discounts).filter(|it| it.coupon.is_none());
    let terms = discounts.map(|discount| discount.coupon_id.as_ref().unwrap_or(&discount.id));
    let mut ids: Vec<String> = prices.map(|price| &price.id).chain(terms).cloned().collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Whether the value of `subscription` must be taken from [`Catalogue::newest_invoice_lines`], because neither it nor
/// the catalogue's prices show what an item costs.
#[must_use]
pub fn needs_lines(subscription: &Subscription, catalogue: &Catalogue) -> bool {
    let currency = value::currency(subscription);
    let mut items = subscription.items.iter();
    items.any(|item| {
        let price = amount::price_with_terms(&item.price, catalogue);
        !price.metered && amount::by_price(item, price, &currency).is_none()
    })
}

/// Whether only an invoice shows what a discount of `subscription`, or one of `customer_discounts`, takes
/// off: an amount in another currency. Such amounts are looked up in [`Catalogue::discount_amounts`].
#[must_use]
pub fn needs_discount_amounts(
    subscription: &Subscription,
    customer_discounts: &[&Discount],
    catalogue: &Catalogue,
) -> bool {
    let currency = value::currency(subscription);
    let of_items = subscription.items.iter().flat_map(|item| &item.discounts);
    let mut discounts = of_items.chain(&subscription.discounts).chain(customer_discounts.iter().copied());
    discounts.any(|it| discount::needs_invoice(it, &currency, catalogue))
}

/// The coupon that `discount` names without showing its terms.
#[must_use]
pub fn coupon_without_terms(discount: &Discount) -> Option<&str> {
    discount.coupon_id.as_deref().filter(|_| discount.coupon.is_none())
}
