//! Tax included in a price: its share, and the amount without it.

use num_traits::{One, Signed, Zero};

use super::Catalogue;
use super::amount::shows_terms;
use super::ratio::{Ratio, decimal, whole};
use crate::project::stripe::{Item, Price, Subscription, TaxRate};

/// The tax that an item's amount includes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Included {
    /// None: it comes on top, or there is none.
    Nothing,
    /// This share of the net amount: a fifth at 20 %.
    Share(Ratio),
    /// It includes tax, or may, and the rate is unknown.
    Unknown,
}

/// The tax that the amount of `item` includes. Tax rates decide if there are any: the item's own, else the
/// subscription's. Otherwise the price says whether tax is included.
pub fn included(subscription: &Subscription, item: &Item, catalogue: &Catalogue) -> Included {
    let rates = rates(subscription, item);
    let is_inclusive = |behavior: Option<&str>| behavior == Some("inclusive");
    let behavior = || behavior(subscription, item, catalogue);
    if rates.is_empty() {
        return match behavior() {
            // The account's setting decides then, and no event shows it.
            None if subscription.automatic_tax => Included::Unknown,
            behavior if is_inclusive(behavior) => Included::Unknown,
            _ => Included::Nothing,
        };
    }
    let Some(shares) = rates.iter().map(share).collect::<Option<Vec<Ratio>>>() else {
        return Included::Unknown;
    };
    let inclusive = || rates.iter().zip(&shares).filter(|(rate, _)| rate.inclusive);
    let total: Ratio = inclusive().map(|(_, share)| share).sum();
    match inclusive().next() {
        Some(_) if total.is_zero() => Included::Nothing,
        Some(_) => Included::Share(total),
        // The price includes tax, but the rates are exclusive.
        None if is_inclusive(behavior()) => Included::Unknown,
        None => Included::Nothing,
    }
}

/// Whether the item's price does not show if tax is included, so that the catalogue must.
pub fn lacks_tax_behavior(subscription: &Subscription, item: &Item) -> bool {
    subscription.automatic_tax
        && rates(subscription, item).is_empty()
        && item.price.tax_behavior.is_none()
        && !item.price.metered
}

/// `left` (the sum of `parts` after discounts) without tax. Each part is an item's amount and its included
/// tax; discounts on the sum reduce each part in proportion.
pub fn without(left: Ratio, parts: &[(&Ratio, &Included)]) -> Ratio {
    let has_tax = parts.iter().any(|(_, included)| matches!(included, Included::Share(_)));
    let gross: Ratio = parts.iter().map(|(amount, _)| *amount).sum();
    if !has_tax || gross.is_zero() {
        return left;
    }
    let net: Ratio = parts.iter().map(|(amount, included)| net(amount, included)).sum();
    left * net / gross
}

fn net(amount: &Ratio, included: &Included) -> Ratio {
    match included {
        Included::Share(share) => amount / (Ratio::one() + share),
        Included::Nothing | Included::Unknown => amount.clone(),
    }
}

fn rates<'a>(subscription: &'a Subscription, item: &'a Item) -> &'a [TaxRate] {
    if item.tax_rates.is_empty() { &subscription.default_tax_rates } else { &item.tax_rates }
}

fn share(rate: &TaxRate) -> Option<Ratio> {
    let percentage = decimal(rate.percentage.as_deref()?)?;
    (!percentage.is_negative()).then(|| percentage / whole(100))
}

/// The tax behavior of the item's price, else of the same price in the catalogue if the value depends on it.
fn behavior<'a>(subscription: &Subscription, item: &'a Item, catalogue: &'a Catalogue) -> Option<&'a str> {
    let own = |price: &'a Price| price.tax_behavior.as_deref();
    let use_catalogue = lacks_tax_behavior(subscription, item) || !shows_terms(&item.price);
    let from_catalogue = || catalogue.prices.get(&item.price.id).filter(|_| use_catalogue);
    own(&item.price).or_else(|| from_catalogue().and_then(own))
}
