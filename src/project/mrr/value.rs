//! A subscription's value at one moment: its items, their discounts, then the discounts on the sum.

use num_traits::Zero;

use super::amount::{per_interval, price_with_terms};
use super::discount::{ActiveDiscounts, BillingContext, Reduction, active, deduct};
use super::factor::monthly;
use super::ratio::{Ratio, never_negative, round_half_even};
use super::tax::{self, Included};
use super::{Catalogue, Mrr};
use crate::project::stripe::{Discount, Item, Price, Subscription};

/// The value at `now` of a subscription whose status lets it bring revenue.
pub fn at(
    subscription: &Subscription,
    customer_discounts: &[Discount],
    catalogue: &Catalogue,
    now: i64,
) -> Mrr {
    breakdown(subscription, customer_discounts, catalogue, now).mrr
}

/// A value with all steps.
pub struct Breakdown<'a> {
    pub items: Vec<ItemBreakdown<'a>>,
    /// Taken off the sum of the items, in this order.
    pub reductions: Vec<Reduction<'a>>,
    /// Converts their amounts to monthly ones.
    pub factor: Option<Ratio>,
    pub of_customer: bool,
    /// The tax included after discounts, taken out last.
    pub tax: Ratio,
    /// Before rounding.
    pub exact: Ratio,
    pub mrr: Mrr,
}

/// One item's part in it.
pub struct ItemBreakdown<'a> {
    pub item: &'a Item,
    pub price: &'a Price,
    /// Its amount per interval; `None` if its value is zero.
    pub amount: Option<Ratio>,
    pub factor: Option<Ratio>,
    /// Taken off it, in this order.
    pub reductions: Vec<Reduction<'a>>,
    /// A month, after them, with the tax that is in it.
    pub monthly: Ratio,
    pub tax: Included,
}

/// The same as [`at`], with all steps.
pub fn breakdown<'a>(
    subscription: &'a Subscription,
    customer_discounts: &'a [Discount],
    catalogue: &'a Catalogue,
    now: i64,
) -> Breakdown<'a> {
    let currency = currency(subscription);
    let billed = BillingContext { subscription: &subscription.id, currency: &currency, catalogue, now };
    let mut calculation = Calculation { subscription, billed, mrr: Mrr::default() };
    let items: Vec<_> = subscription.items.iter().map(|item| calculation.item(item)).collect();
    let sum = items.iter().map(|item| &item.monthly).sum();
    let (active, of_customer) = calculation.discounts(customer_discounts);
    let (factor, left) = calculation.after_discounts(sum, &active.reductions);
    let exact = calculation.before_tax(left.clone(), &items);
    let tax = left - &exact;
    let (minor, was_capped) = round_half_even(&exact);
    let estimated = calculation.mrr.estimated || was_capped || subscription.items_truncated;
    let unresolved_discount = calculation.mrr.unresolved_discount;
    let mrr = Mrr { minor, estimated, unresolved_discount, currency, changes_at: None };
    Breakdown { items, reductions: active.reductions, factor, of_customer, tax, exact, mrr }
}

/// The billed currency: its own, else that of the first item's price that has one.
pub fn currency(subscription: &Subscription) -> String {
    let of_items = || subscription.items.iter().find_map(|item| item.price.currency.clone());
    subscription.currency.clone().or_else(of_items).unwrap_or_default()
}

/// A valuation in progress, and the flags raised so far.
struct Calculation<'a, 'c> {
    subscription: &'a Subscription,
    billed: BillingContext<'a, 'c>,
    /// Only its flags.
    mrr: Mrr,
}

impl<'a> Calculation<'a, '_> {
    /// An item's monthly amount after its own discounts. Metered items and items in a trial count as zero.
    fn item(&mut self, item: &'a Item) -> ItemBreakdown<'a> {
        let BillingContext { catalogue, now, currency, .. } = self.billed;
        let price = price_with_terms(&item.price, catalogue);
        let nothing = |factor| ItemBreakdown {
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
        let active = active(&item.discounts, self.billed);
        self.note(&active);
        let gross = never_negative(&amount.exact * &factor);
        let left =
            active.reductions.iter().fold(gross, |left, it| deduct(left, &it.deduction, Some(&factor)));
        ItemBreakdown {
            amount: Some(amount.exact),
            factor: Some(factor),
            reductions: active.reductions,
            monthly: left,
            tax: tax::included(self.subscription, item, catalogue),
            ..nothing(None)
        }
    }

    /// The subscription's own active discounts, or else those of the customer, and whether they are the
    /// customer's.
    fn discounts(&mut self, customer_discounts: &'a [Discount]) -> (ActiveDiscounts<'a>, bool) {
        let own = active(&self.subscription.discounts, self.billed);
        let is_customers = own.is_empty();
        let of_customer = customer_discounts.iter().filter(|discount| discount.is_on_customer());
        let active = if is_customers { active(of_customer, self.billed) } else { own };
        self.note(&active);
        (active, is_customers)
    }

    /// The sum of the `items` after `reductions`.
    fn after_discounts(&mut self, items: Ratio, reductions: &[Reduction<'_>]) -> (Option<Ratio>, Ratio) {
        let (factor, is_common) = self.common_factor();
        let takes_amount = reductions.iter().any(|it| it.deduction.amount().is_some_and(|off| off > 0));
        self.mrr.estimated |= takes_amount && !is_common;
        let left = reductions.iter().fold(items, |left, it| deduct(left, &it.deduction, factor.as_ref()));
        (factor, left)
    }

    /// `left` of the items' sum, without the included tax.
    fn before_tax(&mut self, left: Ratio, items: &[ItemBreakdown<'_>]) -> Ratio {
        let is_unknown = |item: &ItemBreakdown<'_>| item.tax == Included::Unknown && !item.monthly.is_zero();
        self.mrr.estimated |= !left.is_zero() && items.iter().any(is_unknown);
        let parts: Vec<_> = items.iter().map(|item| (&item.monthly, &item.tax)).collect();
        tax::without(left, &parts)
    }

    /// The first item's monthly factor, and whether all items share it: an amount off applies once per
    /// invoice, and with different intervals the number of invoices per month is unknown.
    fn common_factor(&self) -> (Option<Ratio>, bool) {
        let mut factors = self
            .subscription
            .items
            .iter()
            .filter_map(|item| monthly(price_with_terms(&item.price, self.billed.catalogue)));
        let first = factors.next();
        let is_common = factors.all(|factor| Some(&factor) == first.as_ref());
        (first, is_common)
    }

    const fn note(&mut self, active: &ActiveDiscounts<'_>) {
        self.mrr.unresolved_discount |= active.unresolved;
        self.mrr.estimated |= active.estimated;
    }
}
