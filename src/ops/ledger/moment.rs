//! Moments and months as people write them.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use time::format_description::StaticFormatDescription;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};

const DATE: StaticFormatDescription = format_description!("[year]-[month]-[day]");

/// Neither a date nor a moment, or no month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no {1}")]
pub struct InvalidMoment(String, &'static str);

/// A date (`2026-03-31`: its last microsecond in UTC) or a moment (`2026-03-31T12:00:00Z`).
///
/// # Errors
/// If it is neither.
pub fn parse_moment(text: &str) -> Result<OffsetDateTime, InvalidMoment> {
    let end_of =
        |date: Date| date.next_day().map(|next| next.midnight().assume_utc() - Duration::MICROSECOND);
    Date::parse(text, &DATE)
        .ok()
        .and_then(end_of)
        .or_else(|| OffsetDateTime::parse(text, &Rfc3339).ok())
        .ok_or_else(|| {
            InvalidMoment(text.to_owned(), "date (2026-03-31) and no moment (2026-03-31T12:00:00Z)")
        })
}

/// A date (`2026-03-31`: its first moment in UTC) or a moment (`2026-03-31T12:00:00Z`).
///
/// # Errors
/// If it is neither.
pub fn parse_since(text: &str) -> Result<OffsetDateTime, InvalidMoment> {
    let begin_of = |date: Date| date.midnight().assume_utc();
    Date::parse(text, &DATE).map(begin_of).or_else(|_| parse_moment(text))
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

    /// The month `count` months later, or earlier where it is negative; none beyond what a date can be.
    #[must_use]
    pub fn plus(self, count: i32) -> Option<Self> {
        let index = self.first.year() * 12 + i32::from(u8::from(self.first.month())) - 1 + count;
        let month = u8::try_from(index.rem_euclid(12) + 1).ok()?;
        let first = Date::from_calendar_date(index.div_euclid(12), month.try_into().ok()?, 1).ok()?;
        Some(Self { first })
    }
}

impl FromStr for Month {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Date::parse(&format!("{text}-01"), &DATE)
            .map(|first| Self { first })
            .map_err(|_| InvalidMoment(text.to_owned(), "month (2026-03)"))
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
        assert!("2026-13".parse::<Month>().is_err());
        assert!("9999-12".parse::<Month>().unwrap().plus(1).is_none());
    }
}
