//! Exact fractions: from decimal text, and back to whole minor units.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Pow, ToPrimitive, Zero};

use crate::project::stripe::AMOUNT_MAX;

/// An exact fraction of any size.
pub type Ratio = BigRational;

/// The longest text read: what comes from Stripe has far fewer digits.
const TEXT_MAX_BYTES: usize = 40;
/// The largest exponent and the most decimal places read; Stripe writes at most twelve. Without a bound ten
/// bytes could need a gigabyte, and a few long percentages minutes of CPU.
const PLACES_MAX: i32 = 20;

/// A whole number.
pub fn whole(number: impl Into<BigInt>) -> Ratio {
    Ratio::from_integer(number.into())
}

/// `numerator` over `denominator`, which must not be zero.
pub fn fraction(numerator: u32, denominator: u32) -> Ratio {
    Ratio::new(numerator.into(), denominator.into())
}

/// A decimal such as `33.5`, `-7` or `1e-7`, exactly. `None` if the text is not a number or out of bounds.
pub fn decimal(text: &str) -> Option<Ratio> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (int, frac) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_plain = frac.bytes().all(|byte| byte.is_ascii_digit());
    if text.len() > TEXT_MAX_BYTES || !is_plain {
        return None;
    }
    let digits: BigInt = format!("{int}{frac}").parse().ok()?;
    let shift = exponent.checked_sub(i32::try_from(frac.len()).ok()?)?;
    if !(-PLACES_MAX..=PLACES_MAX).contains(&shift) {
        return None;
    }
    let power = whole(BigInt::from(10).pow(shift.unsigned_abs()));
    Some(if shift < 0 { whole(digits) / power } else { whole(digits) * power })
}

/// The nearest whole number, half to even, and whether it was capped at the largest amount.
pub fn round_half_even(exact: &Ratio) -> (i64, bool) {
    let below = exact.floor();
    let rest = exact - &below;
    let half = fraction(1, 2);
    let is_odd = !(below.to_integer() % 2_u32).is_zero();
    let rounded = if rest > half || (rest == half && is_odd) { below + Ratio::one() } else { below };
    match rounded.to_integer().to_i64().filter(|whole| (-AMOUNT_MAX..=AMOUNT_MAX).contains(whole)) {
        Some(whole) => (whole, false),
        None if exact < &Ratio::zero() => (-AMOUNT_MAX, true),
        None => (AMOUNT_MAX, true),
    }
}

/// At least zero.
pub fn never_negative(exact: Ratio) -> Ratio {
    if exact < Ratio::zero() { Ratio::zero() } else { exact }
}

#[cfg(test)]
mod tests {
    use super::{decimal, fraction, round_half_even, whole};
    use crate::project::stripe::AMOUNT_MAX;

    #[test]
    fn decimals_are_read_exactly() {
        let cases = [
            ("0", whole(0)),
            ("-7", whole(-7)),
            ("9900", whole(9900)),
            ("33.5", fraction(67, 2)),
            ("-0.5", -fraction(1, 2)),
            (".5", fraction(1, 2)),
            ("0.000000000001", fraction(1, 1_000_000) * fraction(1, 1_000_000)),
            ("1e-7", fraction(1, 10_000_000)),
            ("1.5E3", whole(1500)),
        ];
        for (text, exact) in cases {
            assert_eq!(decimal(text), Some(exact), "{text}");
        }
    }

    #[test]
    fn invalid_or_huge_decimals_are_rejected() {
        for text in [
            "",
            ".",
            "-",
            "abc",
            "1.-5",
            "1_0.0x",
            "1e999999999",
            "1e-2147483648",
            "0.000000000000000000001",
            "1e",
            "NaN",
            "inf",
            &"9".repeat(41),
        ] {
            assert_eq!(decimal(text), None, "{text}");
        }
    }

    #[test]
    fn halves_round_to_even() {
        let halves = [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2)];
        for (numerator, rounded) in halves {
            assert_eq!(round_half_even(&(whole(numerator) / whole(2))), (rounded, false), "{numerator}/2");
        }
        assert_eq!(round_half_even(&fraction(20641, 10)), (2064, false));
        assert_eq!(round_half_even(&fraction(20659, 10)), (2066, false));
    }

    #[test]
    fn amounts_out_of_range_are_capped() {
        assert_eq!(round_half_even(&whole(u128::MAX)), (AMOUNT_MAX, true));
        assert_eq!(round_half_even(&-whole(u128::MAX)), (-AMOUNT_MAX, true));
    }
}
