//! The amount of one subscription item per billing interval, before discounts.

use num_traits::Zero;

use super::Catalogue;
use super::ratio::{Ratio, decimal, whole};
use crate::project::stripe::{InvoiceLine, Item, Price, PriceTier, Subscription, TransformQuantity};

/// An amount in minor units per interval.
pub struct Amount {
    pub exact: Ratio,
    /// Taken from an invoice line, or assumed to be zero.
    pub estimated: bool,
}

/// The price with the terms to use: the item's own, else the catalogue's if it has more.
pub fn price_with_terms<'a>(price: &'a Price, catalogue: &'a Catalogue) -> &'a Price {
    if shows_terms(price) {
        return price;
    }
    catalogue.prices.get(&price.id).filter(|known| shows_terms(known)).unwrap_or(price)
}

/// Whether the price alone shows what a quantity of it costs.
pub fn shows_terms(price: &Price) -> bool {
    price.metered || price.unit_amount.is_some() || !price.tiers.is_empty()
}

/// The amount of `item` per interval of `price`, or if the price does not show it, what was billed last.
pub fn per_interval(
    subscription: &Subscription,
    item: &Item,
    price: &Price,
    currency: &str,
    catalogue: &Catalogue,
) -> Amount {
    match by_price(item, price, currency) {
        Some(exact) => Amount { exact, estimated: false },
        None => Amount { exact: last_billed(subscription, item, catalogue), estimated: true },
    }
}

/// The amount by the price. `None` if the price is in another currency than the subscription: the billed
/// amount is not shown.
pub fn by_price(item: &Item, price: &Price, currency: &str) -> Option<Ratio> {
    let is_foreign = price.currency.as_deref().is_some_and(|own| own != currency);
    if is_foreign { None } else { of_price(price, item.quantity.unwrap_or(1)) }
}

/// The amount for `quantity` units; `None` if the price does not show it.
fn of_price(price: &Price, quantity: u64) -> Option<Ratio> {
    if let Some(unit) = &price.unit_amount {
        return Some(decimal(unit)? * whole(packages(price.transform_quantity.as_ref(), quantity)));
    }
    match price.tiers_mode.as_deref()? {
        "graduated" => graduated(&price.tiers, quantity),
        "volume" => volume(&price.tiers, quantity),
        _ => None,
    }
}

/// The number of units billed when they are sold in packages.
fn packages(transform: Option<&TransformQuantity>, quantity: u64) -> u64 {
    match transform {
        Some(TransformQuantity { divide_by: 0, .. }) | None => quantity,
        Some(it) if it.round_up => quantity.div_ceil(it.divide_by),
        Some(it) => quantity / it.divide_by,
    }
}

/// Each unit at the price of its tier, plus the flat amount of every tier reached; the first tier is reached
/// even with no units. Units beyond a bounded last tier are priced like those in it.
fn graduated(tiers: &[PriceTier], quantity: u64) -> Option<Ratio> {
    let mut total = Ratio::zero();
    let mut filled = 0;
    for (index, tier) in tiers.iter().enumerate() {
        let is_last = index + 1 == tiers.len();
        let end = tier.up_to.filter(|_| !is_last).unwrap_or(u64::MAX).min(quantity);
        total += cost(tier, end.saturating_sub(filled))?;
        filled = filled.max(end);
        if filled >= quantity {
            return Some(total);
        }
    }
    None
}

/// All units at the price of the tier of the whole quantity, plus its flat amount.
fn volume(tiers: &[PriceTier], quantity: u64) -> Option<Ratio> {
    let reached = tiers.iter().find(|tier| tier.up_to.is_none_or(|up_to| quantity <= up_to));
    cost(reached.or(tiers.last())?, quantity)
}

fn cost(tier: &PriceTier, units: u64) -> Option<Ratio> {
    let part = |text: &Option<String>| text.as_deref().map_or(Some(Ratio::zero()), decimal);
    Some(part(&tier.unit_amount)? * whole(units) + part(&tier.flat_amount)?)
}

/// The item's amount on the newest invoice; zero if there is none.
fn last_billed(subscription: &Subscription, item: &Item, catalogue: &Catalogue) -> Ratio {
    let lines = catalogue.newest_invoice_lines.get(&subscription.id).map_or(&[][..], Vec::as_slice);
    let is_items = |line: &&InvoiceLine| line.subscription_item.as_deref() == Some(&item.id);
    let is_prices = |line: &&InvoiceLine| line.price.as_deref() == Some(&item.price.id);
    let line = lines.iter().rfind(is_items).or_else(|| lines.iter().rfind(is_prices));
    line.map_or_else(Ratio::zero, |line| whole(line.amount))
}
