//! What a subscription is worth, by the words of the definition: every amount a fraction, rounded once.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive, Zero};

use super::super::stripe_sim::objects::{Discount, Invoice, Item, Off, Price, Subscription, Tier};

/// The moment at which something is valued, and what stands around it then.
pub struct Scene<'a> {
    pub now: i64,
    /// On the customer's own level.
    pub discount: Option<&'a Discount>,
    /// The subscription's invoices so far.
    pub invoices: Vec<&'a Invoice>,
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
    let is_given_up = matches!(it.pause, Some("void" | "mark_uncollectible"));
    if !["active", "past_due"].contains(&status) || is_given_up {
        return worth;
    }
    // An event shows ten items at most.
    let items = &it.items[..it.items.len().min(10)];
    worth.estimated = it.items.len() > 10;
    let mut sum = BigRational::zero();
    for item in items {
        sum += of_item(it, item, scene, &mut worth);
    }
    let own: Vec<&Discount> = it.discounts.iter().filter(|one| runs(one, scene.now)).collect();
    let customers = scene.discount.into_iter().filter(|one| runs(one, scene.now));
    let standing: Vec<&Discount> = if own.is_empty() { customers.collect() } else { own };
    for discount in standing {
        let factors: Vec<BigRational> = items.iter().map(|item| monthly(&item.price)).collect();
        if matches!(discount.coupon.off, Off::Amount(_, currency) if currency == it.currency)
            && is_known(discount)
        {
            worth.estimated |= factors.iter().any(|one| *one != factors[0]);
        }
        sum = less(sum, discount, &it.currency, &factors[0], &mut worth);
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
        None if !is_foreign && item.price.tiers_told => {
            fraction(of_tiers(&item.price.tiers, item.price.graduated, item.quantity.unwrap_or(1)), 1)
        }
        _ => {
            worth.estimated = true;
            last_invoiced(item, scene)
        }
    };
    let mut left = asked * &factor;
    for discount in item.discounts.iter().filter(|one| runs(one, scene.now)) {
        left = less(left, discount, &it.currency, &factor, worth);
    }
    left
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
    discount.coupon.told
}

fn less(
    amount: BigRational,
    discount: &Discount,
    currency: &str,
    factor: &BigRational,
    worth: &mut Worth,
) -> BigRational {
    if !is_known(discount) {
        worth.unresolved = true;
        return amount;
    }
    let left = match discount.coupon.off {
        Off::Percent(hundredths) => amount * (fraction(1, 1) - fraction(hundredths, 10_000)),
        Off::Amount(off, of) if of == currency => amount - fraction(off, 1) * factor,
        Off::Amount(..) => amount,
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
