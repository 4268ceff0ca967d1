//! A subscription's value at one moment: its items, their discounts, then the discounts on them all.

use num_traits::Zero;

use super::amount::{known_price, per_interval};
use super::discount::{Billed, Reduction, Running, running, take_off};
use super::factor::monthly;
use super::ratio::{Ratio, never_negative, round_half_even};
use super::tax::{self, Included};
use super::{Catalogue, Mrr};
use crate::project::stripe::{Discount, Item, Price, Subscription};

/// The value at `now` of a subscription that counts.
pub fn at(
    subscription: &Subscription,
    customer_discounts: &[Discount],
    catalogue: &Catalogue,
    now: i64,
) -> Mrr {
    reckon(subscription, customer_discounts, catalogue, now).mrr
}

/// A value with all the steps to it.
pub struct Reckoned<'a> {
    pub items: Vec<ReckonedItem<'a>>,
    /// Taken off the sum of the items, in this order.
    pub reductions: Vec<Reduction<'a>>,
    /// What turned their amounts into monthly ones.
    pub factor: Option<Ratio>,
    pub of_customer: bool,
    /// The tax in what the discounts leave, which is taken out last.
    pub tax: Ratio,
    /// Before rounding.
    pub exact: Ratio,
    pub mrr: Mrr,
}

/// One item's part in it.
pub struct ReckonedItem<'a> {
    pub item: &'a Item,
    pub price: &'a Price,
    /// What it asks for per interval; none where it is worth nothing.
    pub amount: Option<Ratio>,
    pub factor: Option<Ratio>,
    /// Taken off it, in this order.
    pub reductions: Vec<Reduction<'a>>,
    /// A month, after them, with the tax that is in it.
    pub monthly: Ratio,
    pub tax: Included,
}

/// The same as [`at`], with all the steps.
pub fn reckon<'a>(
    subscription: &'a Subscription,
    customer_discounts: &'a [Discount],
    catalogue: &'a Catalogue,
    now: i64,
) -> Reckoned<'a> {
    let currency = currency(subscription);
    let billed = Billed { subscription: &subscription.id, currency: &currency, catalogue, now };
    let mut reckoning = Reckoning { subscription, billed, mrr: Mrr::default() };
    let items: Vec<_> = subscription.items.iter().map(|item| reckoning.item(item)).collect();
    let sum = items.iter().map(|item| &item.monthly).sum();
    let (running, of_customer) = reckoning.discounts(customer_discounts);
    let (factor, left) = reckoning.after_discounts(sum, &running.reductions);
    let exact = reckoning.before_tax(left.clone(), &items);
    let tax = left - &exact;
    let (minor, was_cut) = round_half_even(&exact);
    let estimated = reckoning.mrr.estimated || was_cut || subscription.items_truncated;
    let unresolved_discount = reckoning.mrr.unresolved_discount;
    let mrr = Mrr { minor, estimated, unresolved_discount, currency, changes_at: None };
    Reckoned { items, reductions: running.reductions, factor, of_customer, tax, exact, mrr }
}

/// The currency it is billed in: its own, else that of the first item whose price names one.
pub fn currency(subscription: &Subscription) -> String {
    let of_items = || subscription.items.iter().find_map(|item| item.price.currency.clone());
    subscription.currency.clone().or_else(of_items).unwrap_or_default()
}

/// One reckoning under way, and the doubts that come up in it.
struct Reckoning<'a, 'c> {
    subscription: &'a Subscription,
    billed: Billed<'a, 'c>,
    /// Only its flags.
    mrr: Mrr,
}

impl<'a> Reckoning<'a, '_> {
    /// An item's monthly amount after its own discounts. Metered items and items inside a trial bring
    /// nothing yet.
    fn item(&mut self, item: &'a Item) -> ReckonedItem<'a> {
        let Billed { catalogue, now, currency, .. } = self.billed;
        let price = known_price(&item.price, catalogue);
        let nothing = |factor| ReckonedItem {
            item,
            price,
            amount: None,
            factor,
            reductions: Vec::new(),
            monthly: Ratio::zero(),
            tax: Included::Nothing,
        };
        if price.metered || item.trial_end.is_some_and(|end| end > now) {
            return nothing(monthly(price));
        }
        let Some(factor) = monthly(price) else {
            self.mrr.estimated = true;
            return nothing(None);
        };
        let amount = per_interval(self.subscription, item, price, currency, catalogue);
        self.mrr.estimated |= amount.estimated;
        let running = running(&item.discounts, self.billed);
        self.note(&running);
        let gross = never_negative(&amount.exact * &factor);
        let left = running.reductions.iter().fold(gross, |left, it| take_off(left, &it.off, Some(&factor)));
        ReckonedItem {
            amount: Some(amount.exact),
            factor: Some(factor),
            reductions: running.reductions,
            monthly: left,
            tax: tax::included(self.subscription, item, catalogue),
            ..nothing(None)
        }
    }

    /// The subscription's own running discounts, or else those of the customer, and whether it is these.
    fn discounts(&mut self, customer_discounts: &'a [Discount]) -> (Running<'a>, bool) {
        let own = running(&self.subscription.discounts, self.billed);
        let is_customers = own.is_empty();
        let of_customer = customer_discounts.iter().filter(|discount| discount.is_on_customer());
        let running = if is_customers { running(of_customer, self.billed) } else { own };
        self.note(&running);
        (running, is_customers)
    }

    /// What `reductions` leave of the sum of the `items`.
    fn after_discounts(&mut self, items: Ratio, reductions: &[Reduction<'_>]) -> (Option<Ratio>, Ratio) {
        let (factor, is_common) = self.common_factor();
        let takes_amount = reductions.iter().any(|it| it.off.amount().is_some_and(|off| off > 0));
        self.mrr.estimated |= takes_amount && !is_common;
        let left = reductions.iter().fold(items, |left, it| take_off(left, &it.off, factor.as_ref()));
        (factor, left)
    }

    /// What is `left` of the items' sum without the tax that they include.
    fn before_tax(&mut self, left: Ratio, items: &[ReckonedItem<'_>]) -> Ratio {
        let is_unknown = |item: &ReckonedItem<'_>| item.tax == Included::Unknown && !item.monthly.is_zero();
        self.mrr.estimated |= !left.is_zero() && items.iter().any(is_unknown);
        let parts: Vec<_> = items.iter().map(|item| (&item.monthly, &item.tax)).collect();
        tax::without(left, &parts)
    }

    /// The first item's monthly factor, and whether all items share it: an amount off is taken once per
    /// invoice, and with different intervals it is not known how many of those there are in a month.
    fn common_factor(&self) -> (Option<Ratio>, bool) {
        let mut factors = self
            .subscription
            .items
            .iter()
            .filter_map(|item| monthly(known_price(&item.price, self.billed.catalogue)));
        let first = factors.next();
        let is_common = factors.all(|factor| Some(&factor) == first.as_ref());
        (first, is_common)
    }

    const fn note(&mut self, running: &Running<'_>) {
        self.mrr.unresolved_discount |= running.unresolved;
        self.mrr.estimated |= running.estimated;
    }
}
