//! Moments, amounts and counts as pages show them.

use std::fmt;

use askama::filters::HtmlSafe;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::money::format_minor_units;

const MACHINE: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
const TO_SECONDS: StaticFormatDescription =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
const TO_MINUTES: StaticFormatDescription = format_description!("[year]-[month]-[day] [hour]:[minute]");

/// Shown if there is no value.
const NOTHING: &str = "–";

/// A moment, if there is one, as an element: in UTC, which stays in its title when a script writes the reader's own time.
pub(in crate::console) struct Moment(Option<OffsetDateTime>);

/// The element of `moment`.
pub(in crate::console) fn moment(moment: impl IntoMoment) -> Moment {
    Moment(moment.into_moment())
}

impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(moment) = self.0.and_then(|moment| moment.checked_to_offset(UtcOffset::UTC)) else {
            return out.write_str(NOTHING);
        };
        let text = |form| moment.format(form).map_err(|_| fmt::Error);
        let (machine, seconds, minutes) = (text(MACHINE)?, text(TO_SECONDS)?, text(TO_MINUTES)?);
        write!(out, r#"<time datetime="{machine}" title="{seconds} UTC">{minutes}</time>"#)
    }
}

// Digits and the text above, nothing of a stranger's.
impl HtmlSafe for Moment {}

/// What may be a moment: templates give references.
pub(in crate::console) trait IntoMoment {
    /// The moment, if there is one.
    fn into_moment(self) -> Option<OffsetDateTime>;
}

impl IntoMoment for OffsetDateTime {
    fn into_moment(self) -> Option<OffsetDateTime> {
        Some(self)
    }
}

impl IntoMoment for Option<OffsetDateTime> {
    fn into_moment(self) -> Option<OffsetDateTime> {
        self
    }
}

impl<T: IntoMoment + Copy> IntoMoment for &T {
    fn into_moment(self) -> Option<OffsetDateTime> {
        (*self).into_moment()
    }
}

/// An amount in minor units, in its currency's units.
pub(in crate::console) fn money(amount: impl AsAmount, currency: impl AsCurrency) -> String {
    format_minor_units(amount.minor_units(), currency.code().filter(|code| !code.is_empty()))
}

/// What may be an amount: templates give references.
pub(in crate::console) trait AsAmount {
    /// In minor units.
    fn minor_units(&self) -> i64;
}

impl AsAmount for i64 {
    fn minor_units(&self) -> i64 {
        *self
    }
}

impl<T: AsAmount> AsAmount for &T {
    fn minor_units(&self) -> i64 {
        (*self).minor_units()
    }
}

/// What may name a currency: templates give references.
pub(in crate::console) trait AsCurrency {
    /// Its code, if there is one.
    fn code(&self) -> Option<&str>;
}

impl AsCurrency for String {
    fn code(&self) -> Option<&str> {
        Some(self)
    }
}

impl<T: AsCurrency> AsCurrency for Option<T> {
    fn code(&self) -> Option<&str> {
        self.as_ref()?.code()
    }
}

impl<T: AsCurrency> AsCurrency for &T {
    fn code(&self) -> Option<&str> {
        (*self).code()
    }
}

/// What is there, or a sign that nothing is.
pub(in crate::console) fn text(text: &Option<String>) -> &str {
    text.as_deref().filter(|text| !text.is_empty()).unwrap_or(NOTHING)
}

/// So long ago, in the largest unit that fits.
pub(in crate::console) fn age(since: OffsetDateTime, now: OffsetDateTime) -> String {
    lasting((now - since).whole_seconds().max(0))
}

/// So many a second.
pub(in crate::console) fn rate(per_second: &f64) -> String {
    if *per_second >= 10.0 { format!("{per_second:.0}") } else { format!("{per_second:.2}") }
}

/// A time in seconds that may be a fraction of one.
pub(in crate::console) fn latency(latency_s: &Option<f64>) -> String {
    match latency_s {
        Some(latency) if *latency < 1.0 => format!("{:.0} ms", latency * 1000.0),
        Some(latency) if *latency < 10.0 => format!("{latency:.1} s"),
        longer => seconds(longer),
    }
}

/// A time in seconds, in the largest unit that fits.
pub(in crate::console) fn seconds(seconds: &Option<f64>) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "rounded on purpose")]
    seconds.map_or_else(|| NOTHING.to_owned(), |seconds| lasting(seconds.round() as i64))
}

fn lasting(seconds: i64) -> String {
    let (count, unit) = match seconds {
        0..60 => (seconds, "s"),
        60..3_600 => (seconds / 60, "min"),
        3_600..86_400 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{count} {unit}")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_moment_stands_in_utc_and_says_so() {
        let shown = moment(datetime!(2026-11-20 01:02:03 +02:00)).to_string();
        assert_eq!(
            shown,
            r#"<time datetime="2026-11-19T23:02:03Z" title="2026-11-19 23:02:03 UTC">2026-11-19 23:02</time>"#
        );
        assert_eq!(moment(None::<OffsetDateTime>).to_string(), "–");
    }

    #[test]
    fn an_age_is_shown_in_one_unit() {
        let now = datetime!(2026-11-20 12:00 UTC);
        for (seconds, expected) in
            [(-5, "0 s"), (59, "59 s"), (3_599, "59 min"), (7_200, "2 h"), (200_000, "2 d")]
        {
            assert_eq!(age(now - time::Duration::seconds(seconds), now), expected);
        }
    }
}
