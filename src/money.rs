//! Amounts of money as text.

/// Currencies whose amounts Stripe sends in whole units.
const WITHOUT_MINOR_UNIT: [&str; 15] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"];
/// Currencies with three decimal places.
const WITH_THOUSANDTHS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// An amount in minor units, in the currency's units: `1,234.50 USD`. Without a currency nothing was ever
/// paid: `0`.
#[must_use]
pub fn format_minor_units(amount: i64, currency: Option<&str>) -> String {
    let Some(currency) = currency else { return amount.to_string() };
    let decimals = decimals(currency);
    let sign = if amount < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", amount.unsigned_abs(), width = decimals + 1);
    let (units, fraction) = digits.split_at(digits.len() - decimals);
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{}{point}{fraction} {}", in_thousands(units), currency.to_ascii_uppercase())
}

/// The decimal places of a currency's amounts, as Stripe counts its minor units
/// (<https://docs.stripe.com/currencies#zero-decimal>). `ingest.minor_units_in` says the same in SQL.
#[must_use]
pub fn decimals(currency: &str) -> usize {
    match currency.to_ascii_lowercase().as_str() {
        code if WITHOUT_MINOR_UNIT.contains(&code) => 0,
        code if WITH_THOUSANDTHS.contains(&code) => 3,
        _ => 2,
    }
}

fn in_thousands(digits: &str) -> String {
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amount_is_formatted_in_currency_units() {
        for (amount, currency, text) in [
            (0, None, "0"),
            (0, Some("usd"), "0.00 USD"),
            (5, Some("usd"), "0.05 USD"),
            (99, Some("eur"), "0.99 EUR"),
            (4_900, Some("usd"), "49.00 USD"),
            (123_456_789, Some("usd"), "1,234,567.89 USD"),
            (-123_450, Some("USD"), "-1,234.50 USD"),
            (1_500, Some("jpy"), "1,500 JPY"),
            (0, Some("krw"), "0 KRW"),
            (1_234_567, Some("kwd"), "1,234.567 KWD"),
            (12_300, Some("isk"), "123.00 ISK"),
            (i64::MIN, Some("usd"), "-92,233,720,368,547,758.08 USD"),
            (i64::MAX, Some("jpy"), "9,223,372,036,854,775,807 JPY"),
        ] {
            assert_eq!(format_minor_units(amount, currency), text);
        }
    }
}
