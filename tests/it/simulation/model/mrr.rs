//! What a subscription is worth, by the words of the definition: every amount a fraction, rounded once.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

use std::collections::BTreeMap;

use super::super::stripe_sim::objects::{Discount, Invoice, Item, Off, Price, Subscription, TaxRate, Tier};

/// The moment at which something is valued, and what stands around it then.
pub struct Scene<'a> {
    pub now: i64,
    /// On the customer's own level.
    pub discount: Option<&'a Discount>,
    /// The subscription's invoices so far.
    pub invoices: Vec<&'a Invoice>,
    /// As they are known by now: their terms have no history.
    pub prices: &'a BTreeMap<String, Price>,
}

/// A subscription's worth, and what had to be assumed.
#[derive(Default)]
pub struct Worth {
    pub minor: i64,
    pub estimated: bool,
    pub unresolved: bool,
}

fn fraction(top: i64, bottom: i64) -> BigRational {
    BigRational::new(BigInt::from(top), BigInt::from(bottom))
}

pub fn worth(it: &Subscription, scene: &Scene<'_>) -> Worth {
    let mut worth = Worth::default();
    let status = it.known_status.as_deref().unwrap_or_default();
    let is_written_off = matches!(it.pause, Some("void" | "mark_uncollectible"));
    if !["active", "past_due"].contains(&status) || is_written_off {
        return worth;
    }
    // An event shows ten items at most.
    let items = &it.items[..it.items.len().min(10)];
    worth.estimated = it.items.len() > 10;
    let parts: Vec<BigRational> = items.iter().map(|item| of_item(it, item, scene, &mut worth)).collect();
    let whole: BigRational = parts.iter().sum();
    let mut sum = whole.clone();
    let own: Vec<&Discount> = it.discounts.iter().filter(|one| runs(one, scene.now)).collect();
    let customers = scene.discount.into_iter().filter(|one| runs(one, scene.now));
    let standing: Vec<&Discount> = if own.is_empty() { customers.collect() } else { own };
    for discount in standing {
        let factors: Vec<BigRational> = items.iter().map(|item| monthly(&item.price)).collect();
        if is_known(discount) && amount_off(discount, it, scene).is_some_and(|(off, _)| off > 0) {
            worth.estimated |= factors.iter().any(|one| *one != factors[0]);
        }
        sum = less(sum, discount, it, scene, &factors[0], &mut worth);
    }
    // What is left of each item, and of that what is not tax.
    if !sum.is_zero() {
        let left = sum / &whole;
        sum = BigRational::zero();
        for (item, part) in items.iter().zip(&parts).filter(|(_, part)| !part.is_zero()) {
            let tax = tax_included(it, item, scene);
            worth.estimated |= tax.is_none();
            sum += part * &left / (fraction(1, 1) + tax.unwrap_or_else(BigRational::zero));
        }
    }
    worth.minor = half_even(&sum);
    worth
}

fn of_item(it: &Subscription, item: &Item, scene: &Scene<'_>, worth: &mut Worth) -> BigRational {
    if item.price.metered || item.trial_end.is_some_and(|end| end > scene.now) {
        return BigRational::zero();
    }
    let is_foreign = item.price.currency != it.currency;
    let factor = monthly(&item.price);
    let asked = match item.price.unit_tenths {
        Some(tenths) if !is_foreign => fraction(tenths, 10) * whole(units(item)),
        None if !is_foreign && item.price.tiers_emitted => {
            fraction(of_tiers(&item.price.tiers, item.price.graduated, item.quantity.unwrap_or(1)), 1)
        }
        _ => {
            worth.estimated = true;
            last_invoiced(item, scene)
        }
    };
    let mut left = asked * &factor;
    for discount in item.discounts.iter().filter(|one| runs(one, scene.now)) {
        left = less(left, discount, it, scene, &factor, worth);
    }
    left
}

/// How much tax the item's price holds for each unit of money that it does not; none where that is not known.
fn tax_included(it: &Subscription, item: &Item, scene: &Scene<'_>) -> Option<BigRational> {
    let rates: &[TaxRate] = if item.tax_rates.is_empty() { &it.tax_rates } else { &item.tax_rates };
    // The catalogue is asked of prices whose tiers an event never shows, and where Stripe works out the tax.
    let asks = item.price.unit_tenths.is_none() || it.automatic_tax && rates.is_empty();
    let known = if asks { scene.prices[&item.price.id].tax_behavior } else { None };
    let says = item.price.tax_behavior.or(known);
    let inclusive: Vec<&TaxRate> = rates.iter().filter(|rate| rate.inclusive).collect();
    match (says, rates.is_empty()) {
        (Some("inclusive"), _) if inclusive.is_empty() => None,
        (None, true) if it.automatic_tax => None,
        _ => Some(fraction(inclusive.iter().map(|rate| rate.thousandths).sum(), 100_000)),
    }
}

fn whole(number: u64) -> BigRational {
    BigRational::from_integer(BigInt::from(number))
}

fn units(item: &Item) -> u64 {
    let quantity = item.quantity.unwrap_or(1);
    match item.price.package {
        Some((size, true)) => quantity.div_ceil(size),
        Some((size, false)) => quantity / size,
        None => quantity,
    }
}

/// What `quantity` units cost: each one counted by hand.
pub fn of_tiers(tiers: &[Tier], graduated: bool, quantity: u64) -> i64 {
    let tier_of = |unit: u64| {
        tiers.iter().position(|tier| tier.up_to.is_none_or(|end| unit <= end)).unwrap_or(tiers.len() - 1)
    };
    let reached = tier_of(quantity.max(1));
    if !graduated {
        let tier = &tiers[tier_of(quantity)];
        return tier.unit * i64::try_from(quantity).unwrap() + tier.flat;
    }
    let flat: i64 = tiers[..=reached].iter().map(|tier| tier.flat).sum();
    (1..=quantity).map(|unit| tiers[tier_of(unit)].unit).sum::<i64>() + flat
}

/// The newest of the subscription's invoices that asks for more than a change in mid-period.
fn last_invoiced(item: &Item, scene: &Scene<'_>) -> BigRational {
    let newest = scene
        .invoices
        .iter()
        .filter(|one| one.lines.iter().any(|line| !line.proration))
        .max_by_key(|one| (one.created, one.id.clone()));
    let lines = newest.map_or(&[][..], |invoice| &invoice.lines);
    let of_item = lines.iter().rfind(|line| line.item.id == item.id);
    let line = of_item.or_else(|| lines.iter().rfind(|line| line.item.price.id == item.price.id));
    line.map_or_else(BigRational::zero, |line| fraction(line.amount, 1))
}

fn monthly(price: &Price) -> BigRational {
    let count = i64::from(price.count);
    match price.interval {
        "day" => fraction(365, 12 * count),
        "week" => fraction(365, 84 * count),
        "month" => fraction(1, count),
        _ => fraction(1, 12 * count),
    }
}

/// Whether the discount stands there now. One of unknown terms does: nobody knows that it does not.
fn runs(discount: &Discount, now: i64) -> bool {
    if !is_known(discount) {
        return true;
    }
    discount.coupon.duration != "once" && discount.end.is_none_or(|end| end > now)
}

fn is_known(discount: &Discount) -> bool {
    discount.coupon.emitted
}

/// What the discount takes off in the subscription's currency each interval, and whether that is assumed.
fn amount_off(discount: &Discount, it: &Subscription, scene: &Scene<'_>) -> Option<(i64, bool)> {
    let Off::Amount(off, currency) = discount.coupon.off else { return None };
    if currency == it.currency {
        return Some((off, false));
    }
    let option = discount.coupon.options.iter().find(|(currency, _)| *currency == it.currency);
    if let Some((_, off)) = option {
        return Some((*off, false));
    }
    let shown = scene.invoices.iter().filter(|one| one.lines.iter().any(|line| !line.proration));
    let taken = shown.flat_map(|one| one.discounted.iter().map(move |(id, off)| (one, id, *off)));
    let taken = taken.filter(|(_, id, off)| **id == discount.id && *off > 0);
    let newest = taken.max_by_key(|(one, ..)| (one.created, one.id.clone()));
    Some((newest.map_or(0, |(.., off)| off), true))
}

fn less(
    amount: BigRational,
    discount: &Discount,
    it: &Subscription,
    scene: &Scene<'_>,
    factor: &BigRational,
    worth: &mut Worth,
) -> BigRational {
    if !is_known(discount) {
        worth.unresolved = true;
        return amount;
    }
    let left = match discount.coupon.off {
        Off::Percent(hundredths) => amount * (fraction(1, 1) - fraction(hundredths, 10_000)),
        Off::Amount(..) => {
            let (off, is_assumed) = amount_off(discount, it, scene).unwrap();
            worth.estimated |= is_assumed;
            amount - fraction(off, 1) * factor
        }
    };
    if left.is_negative() { BigRational::zero() } else { left }
}

fn half_even(exact: &BigRational) -> i64 {
    let floor = exact.floor();
    let rest = exact - &floor;
    let floor = floor.to_integer().to_i64().unwrap();
    let half = fraction(1, 2);
    let up = rest > half || (rest == half && floor % 2 != 0);
    floor + i64::from(up)
}
