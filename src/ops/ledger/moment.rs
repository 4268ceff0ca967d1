//! Moments and months as people write them.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::Serialize;
use time::format_description::StaticFormatDescription;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, UtcOffset};

const DATE: StaticFormatDescription = format_description!("[year]-[month]-[day]");

/// The years that a question may be about: a year on either side is left for offsets and for the end of a period.
const YEARS: RangeInclusive<i32> = 1..=9998;

/// A date, moment or month that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoment {
    /// Neither a date nor a moment, or no month.
    #[error("invalid {1} {0:?}: expected {2}")]
    Form(String, &'static str, &'static str),
    /// Out of range.
    #[error("{0:?} is out of range: give a year from 0001 to 9998")]
    Year(String),
}

/// `moment` in UTC, unless its year is out of range.
fn in_range(moment: OffsetDateTime, text: &str) -> Result<OffsetDateTime, InvalidMoment> {
    let moment = moment.checked_to_offset(UtcOffset::UTC).filter(|utc| YEARS.contains(&utc.year()));
    moment.ok_or_else(|| InvalidMoment::Year(text.to_owned()))
}

/// A date (`2026-03-31`: its last microsecond in UTC) or a moment (`2026-03-31T12:00:00Z`).
///
/// # Errors
/// If it is neither, or out of range.
pub fn parse_moment(text: &str) -> Result<OffsetDateTime, InvalidMoment> {
    if let Ok(date) = Date::parse(text, &DATE) {
        let begin = in_range(date.midnight().assume_utc(), text)?;
        return Ok(begin + Duration::DAY - Duration::MICROSECOND);
    }
    let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| {
        InvalidMoment::Form(text.to_owned(), "date", "2026-03-31 or RFC 3339, as 2026-03-31T12:00:00Z")
    })?;
    in_range(moment, text)
}

/// A date (`2026-03-31`: its first moment in UTC) or a moment (`2026-03-31T12:00:00Z`).
///
/// # Errors
/// If it is neither, or out of range.
pub fn parse_since(text: &str) -> Result<OffsetDateTime, InvalidMoment> {
    match Date::parse(text, &DATE) {
        Ok(date) => in_range(date.midnight().assume_utc(), text),
        Err(_) => parse_moment(text),
    }
}

/// A calendar month in UTC, written `2026-03`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Month {
    /// Its first day.
    first: Date,
}

impl Month {
    /// The month of `moment`.
    #[must_use]
    pub fn of(moment: OffsetDateTime) -> Self {
        let date = moment.to_offset(time::UtcOffset::UTC).date();
        Self { first: date.replace_day(1).unwrap_or(date) }
    }

    /// Its first moment.
    #[must_use]
    pub const fn begin(self) -> OffsetDateTime {
        self.first.midnight().assume_utc()
    }

    /// Its last day.
    #[must_use]
    pub fn last_day(self) -> Date {
        let days = self.first.month().length(self.first.year());
        self.first.replace_day(days).unwrap_or(self.first)
    }

    /// The month `count` months later, or earlier where it is negative; none beyond what a date can be.
    #[must_use]
    pub fn plus(self, count: i32) -> Option<Self> {
        let index =
            (self.first.year() * 12 + i32::from(u8::from(self.first.month())) - 1).checked_add(count)?;
        let month = u8::try_from(index.rem_euclid(12) + 1).ok()?;
        let first = Date::from_calendar_date(index.div_euclid(12), month.try_into().ok()?, 1).ok()?;
        Some(Self { first })
    }
}

impl FromStr for Month {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let first = Date::parse(&format!("{text}-01"), &DATE)
            .map_err(|_| InvalidMoment::Form(text.to_owned(), "month", "2026-03"))?;
        in_range(first.midnight().assume_utc(), text)?;
        Ok(Self { first })
    }
}

impl fmt::Display for Month {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:04}-{:02}", self.first.year(), u8::from(self.first.month()))
    }
}

impl From<Month> for String {
    fn from(month: Month) -> Self {
        month.to_string()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_date_means_its_end() {
        assert_eq!(parse_moment("2026-03-31"), Ok(datetime!(2026-03-31 23:59:59.999999 UTC)));
        assert_eq!(parse_moment("2026-03-31T12:00:00+02:00"), Ok(datetime!(2026-03-31 10:00 UTC)));
        for text in ["", "2026-02-30", "yesterday", "2026-03", "2026-03-31T12:00:00"] {
            assert!(parse_moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn dates_out_of_range_are_refused() {
        for text in [
            "9999-12-31T23:59:59-23:59",
            "9999-01-01T00:00:00Z",
            "9999-12-31",
            "-9999-01-01",
            "0000-12-31",
            "0001-01-01T00:00:00+23:59",
        ] {
            assert_eq!(parse_moment(text), Err(InvalidMoment::Year(text.to_owned())));
            assert_eq!(parse_since(text), Err(InvalidMoment::Year(text.to_owned())));
        }
        for month in ["9999-01", "-0001-05", "0000-12"] {
            assert_eq!(month.parse::<Month>(), Err(InvalidMoment::Year(month.to_owned())));
        }
        assert_eq!(parse_moment("9998-12-31"), Ok(datetime!(9998-12-31 23:59:59.999999 UTC)));
        assert_eq!(parse_since("0001-01-01"), Ok(datetime!(0001-01-01 0:00 UTC)));
    }

    #[test]
    fn since_a_date_means_since_its_beginning() {
        assert_eq!(parse_since("2026-03-31"), Ok(datetime!(2026-03-31 0:00 UTC)));
        assert_eq!(parse_since("2026-03-31T12:00:00Z"), Ok(datetime!(2026-03-31 12:00 UTC)));
        assert!(parse_since("yesterday").is_err());
    }

    #[test]
    fn months_follow_each_other_over_the_years() {
        let month: Month = "2026-11".parse().unwrap();
        assert_eq!(month.begin(), datetime!(2026-11-01 0:00 UTC));
        for (count, text) in
            [(0, "2026-11"), (1, "2026-12"), (2, "2027-01"), (-11, "2025-12"), (-23, "2024-12")]
        {
            assert_eq!(month.plus(count).unwrap().to_string(), text);
        }
        assert_eq!(Month::of(datetime!(2026-03-01 00:30 +01:00)).to_string(), "2026-02");
        assert_eq!("2028-02".parse::<Month>().unwrap().last_day().to_string(), "2028-02-29");
        assert!("2026-13".parse::<Month>().is_err());
        let last: Month = "9998-12".parse().unwrap();
        assert_eq!(last.plus(12).and_then(|it| it.plus(1)), None);
        assert_eq!(last.plus(i32::MAX), None);
    }
}
