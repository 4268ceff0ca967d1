//! Whole calendar months between two moments.

use time::{OffsetDateTime, UtcOffset};

/// Whole calendar months from `start` to `end`, in UTC and to the second; never negative.
///
/// A month ends at the same day and time of the next one or, if that month is too short, on its last day:
/// from 31 January to 28 February is a whole month, as it is for Stripe's billing periods. (By Postgres'
/// `age` it is 28 days, and a member renewed on the last day of each month would seem a month short.)
#[must_use]
pub fn whole_months(start: OffsetDateTime, end: OffsetDateTime) -> i32 {
    let (start, end) = (start.to_offset(UtcOffset::UTC), end.to_offset(UtcOffset::UTC));
    let months = (end.year() - start.year()) * 12 + month_number(end) - month_number(start);
    let last_day = end.month().length(end.year());
    let is_reached = (end.day(), end.time()) >= (start.day().min(last_day), start.time());
    (months - i32::from(!is_reached)).max(0)
}

fn month_number(moment: OffsetDateTime) -> i32 {
    i32::from(u8::from(moment.month()))
}
