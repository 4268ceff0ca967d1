//! Discounts: which apply at a moment, and how much they take off.

use num_traits::One;
use time::{Date, Month, OffsetDateTime};

use super::Catalogue;
use super::ratio::{Ratio, decimal, never_negative, whole};
use crate::project::stripe::{Coupon, Discount};

/// The discounted subscription and the moment.
#[derive(Clone, Copy)]
pub struct BillingContext<'a, 'c> {
    /// The subscription's id.
    pub subscription: &'c str,
    /// The currency that it is billed in.
    pub currency: &'c str,
    pub catalogue: &'a Catalogue,
    pub now: i64,
}

/// The discounts that apply on one level at one moment.
#[derive(Default)]
pub struct ActiveDiscounts<'a> {
    /// In list order.
    pub reductions: Vec<Reduction<'a>>,
    /// There is a discount with unknown terms.
    pub unresolved: bool,
    /// Something about one had to be assumed.
    pub estimated: bool,
}

impl ActiveDiscounts<'_> {
    /// Whether there is no discount, known or unknown.
    pub const fn is_empty(&self) -> bool {
        self.reductions.is_empty() && !self.unresolved
    }
}

/// What one discount takes off.
pub struct Reduction<'a> {
    pub coupon: &'a Coupon,
    pub deduction: Deduction,
}

/// How much it takes off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deduction {
    /// This share of the rest.
    Share(Ratio),
    /// An amount in the billed currency, each interval.
    Amount(i64),
    /// An amount in another currency; the last invoice that shows it took this off in the billed currency.
    LastInvoiced(i64),
    /// An amount in another currency, unknown in the billed one: nothing off.
    OtherCurrency,
}

impl Deduction {
    /// The amount it takes off, if it is one.
    pub const fn amount(&self) -> Option<i64> {
        match self {
            Self::Amount(amount) | Self::LastInvoiced(amount) => Some(*amount),
            Self::Share(_) | Self::OtherCurrency => None,
        }
    }

    const fn is_assumed(&self) -> bool {
        matches!(self, Self::LastInvoiced(_) | Self::OtherCurrency)
    }
}

/// The terms of one discount.
enum Terms<'a> {
    Unknown,
    Ended,
    /// Applies until `end`, or forever; `guessed` if it should have an end but shows none.
    Active {
        coupon: &'a Coupon,
        end: Option<i64>,
        guessed: bool,
    },
}

/// Those of `discounts` that apply. One with only an id is looked up in the catalogue.
pub fn active<'a>(
    discounts: impl IntoIterator<Item = &'a Discount>,
    billed: BillingContext<'a, '_>,
) -> ActiveDiscounts<'a> {
    let mut active = ActiveDiscounts::default();
    for discount in discounts {
        match terms(discount, billed.catalogue) {
            Terms::Unknown => active.unresolved = true,
            Terms::Active { coupon, end, guessed } if end.is_none_or(|end| end > billed.now) => {
                let deduction = deduction(coupon, &discount.id, billed);
                active.estimated |= guessed || deduction.is_assumed();
                active.reductions.push(Reduction { coupon, deduction });
            }
            Terms::Active { .. } | Terms::Ended => {}
        }
    }
    active
}

/// How much `coupon` takes off, as the discount of this id.
fn deduction(coupon: &Coupon, discount: &str, billed: BillingContext<'_, '_>) -> Deduction {
    if let Some(percent) = coupon.percent_off.as_deref().and_then(decimal) {
        return Deduction::Share(never_negative(percent) / whole(100));
    }
    if let Some(amount) = amount_in(coupon, billed.currency) {
        return Deduction::Amount(amount);
    }
    let invoiced = billed.catalogue.discount_amounts.get(billed.subscription);
    let taken = invoiced.and_then(|amounts| amounts.get(discount));
    taken.map_or(Deduction::OtherCurrency, |amount| Deduction::LastInvoiced(*amount))
}

/// The amount that a coupon takes off in `currency`, if shown. Zero is zero in any currency.
fn amount_in(coupon: &Coupon, currency: &str) -> Option<i64> {
    let off = coupon.amount_off.unwrap_or_default().max(0);
    let is_own = coupon.currency.as_deref() == Some(currency);
    let option = || coupon.currency_options.get(currency).map(|off| (*off).max(0));
    if is_own || off == 0 { Some(off) } else { option() }
}

/// Whether only an invoice shows what `discount` takes off in `currency`.
pub fn needs_invoice(discount: &Discount, currency: &str, catalogue: &Catalogue) -> bool {
    let Terms::Active { coupon, .. } = terms(discount, catalogue) else { return false };
    coupon.percent_off.as_deref().and_then(decimal).is_none() && amount_in(coupon, currency).is_none()
}

/// The customer-level discount. A customer has at most one at a time, and the last one set decides: when it
/// ends, an earlier one that it replaced does not come back. `shown`: the one that the customer object shows;
/// `reported`: those from discount events. One without an id (older API versions) is the same as the one with
/// the same start and an id.
pub fn of_customer<'a>(shown: Option<&'a Discount>, reported: &'a [Discount]) -> Option<&'a Discount> {
    let on_customer = reported.iter().chain(shown).filter(|discount| discount.is_on_customer());
    let last = on_customer.max_by_key(|it| (it.start, !it.has_stand_in_id(), &it.id, it.deleted));
    last.filter(|newest| !newest.deleted)
}

/// When a discount ends by the clock.
pub fn end(discount: &Discount, catalogue: &Catalogue) -> Option<i64> {
    match terms(discount, catalogue) {
        Terms::Active { end, .. } => end,
        Terms::Unknown | Terms::Ended => None,
    }
}

fn terms<'a>(discount: &'a Discount, catalogue: &'a Catalogue) -> Terms<'a> {
    let shown = discount.coupon.is_some() || discount.coupon_id.is_some();
    let discount = if shown { discount } else { catalogue.discounts.get(&discount.id).unwrap_or(discount) };
    if discount.deleted {
        return Terms::Ended;
    }
    let by_id = || discount.coupon_id.as_ref().and_then(|id| catalogue.coupons.get(id));
    let Some(coupon) = discount.coupon.as_ref().or_else(by_id).filter(|it| has_amount(it)) else {
        return Terms::Unknown;
    };
    match coupon.duration.as_str() {
        "forever" => Terms::Active { coupon, end: discount.end, guessed: false },
        "repeating" => {
            let end = discount.end.or_else(|| months_after(discount.start?, coupon.duration_in_months?));
            Terms::Active { coupon, end, guessed: end.is_none() }
        }
        "once" => Terms::Ended,
        _ => Terms::Unknown,
    }
}

fn has_amount(coupon: &Coupon) -> bool {
    coupon.percent_off.as_deref().and_then(decimal).is_some() || coupon.amount_off.is_some()
}

/// The same day and hour `months` later, or the last day of that month where it is shorter.
fn months_after(start: i64, months: u32) -> Option<i64> {
    let start = OffsetDateTime::from_unix_timestamp(start).ok()?;
    let month_index =
        i64::from(start.year()) * 12 + i64::from(u8::from(start.month()) - 1) + i64::from(months);
    let year = i32::try_from(month_index.div_euclid(12)).ok()?;
    let month = Month::try_from(u8::try_from(month_index.rem_euclid(12) + 1).ok()?).ok()?;
    let day = start.day().min(month.length(year));
    let date = Date::from_calendar_date(year, month, day).ok()?;
    Some(start.replace_date(date).unix_timestamp())
}

/// The rest of `amount`. `factor`: from an amount per interval to one per month; `None` if there is no
/// interval.
pub fn deduct(amount: Ratio, deduction: &Deduction, factor: Option<&Ratio>) -> Ratio {
    match (deduction, deduction.amount(), factor) {
        (Deduction::Share(share), ..) => never_negative(amount * (Ratio::one() - share)),
        (_, Some(off), Some(factor)) => never_negative(amount - whole(off) * factor),
        _ => amount,
    }
}

#[cfg(test)]
mod tests {
    use super::{Discount, months_after, of_customer};

    #[test]
    fn discount_without_id_is_matched_by_start() {
        let reported = |id: &str, start, deleted| Discount {
            id: id.to_owned(),
            customer: Some("cus_1".to_owned()),
            start: Some(start),
            deleted,
            ..Discount::default()
        };
        let old = reported("discount:cus_1", 100, false);
        for (same, expected) in
            [(reported("di_1", 100, true), None), (reported("di_1", 100, false), Some("di_1"))]
        {
            let both = [old.clone(), same];
            assert_eq!(of_customer(None, &both).map(|it| it.id.as_str()), expected);
        }
        let earlier = [reported("di_1", 99, true), old];
        assert_eq!(of_customer(None, &earlier).map(|it| it.id.as_str()), Some("discount:cus_1"));
    }

    #[test]
    fn discount_months_end_on_last_day_of_short_months() {
        let cases = [
            // 2026-01-31 12:00 -> 2026-02-28 12:00
            (1_769_860_800, 1, 1_772_280_000),
            // 2024-01-31 12:00 -> 2024-02-29 12:00, a leap year
            (1_706_702_400, 1, 1_709_208_000),
            // 2025-11-15 00:00 -> 2026-02-15 00:00, over the end of the year
            (1_763_164_800, 3, 1_771_113_600),
            // 2025-03-01 00:00 -> 2026-03-01 00:00
            (1_740_787_200, 12, 1_772_323_200),
        ];
        for (start, months, end) in cases {
            assert_eq!(months_after(start, months), Some(end), "{start} + {months} months");
        }
        assert_eq!(months_after(0, u32::MAX), None);
        assert_eq!(months_after(i64::MAX, 1), None);
    }
}
