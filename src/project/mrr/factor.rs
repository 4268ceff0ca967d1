//! The monthly share of a billing interval's amount.

use super::ratio::{Ratio, fraction};
use crate::project::stripe::Price;

/// The share of a price's interval that is one month, in years of 365 days and twelve equal months: so a year
/// is twelve months, and 28 days are four weeks. `None` if the price does not recur or its interval is
/// unknown.
pub fn monthly(price: &Price) -> Option<Ratio> {
    let (numerator, denominator) = match price.interval.as_deref()? {
        "day" => (365, 12),
        "week" => (365, 84),
        "month" => (1, 1),
        "year" => (1, 12),
        _ => return None,
    };
    let intervals = price.interval_count.unwrap_or(1).max(1);
    Some(fraction(numerator, denominator) / fraction(intervals, 1))
}
