//! Timestamps as text, in UTC.

use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

const DAYS: StaticFormatDescription = format_description!("[year]-[month]-[day]");
const MINUTES: StaticFormatDescription = format_description!("[year]-[month]-[day] [hour]:[minute]");
const SECONDS: StaticFormatDescription = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// To the day.
pub(super) fn days(moment: OffsetDateTime) -> String {
    format(moment, DAYS)
}

/// To the minute.
pub(super) fn minutes(moment: OffsetDateTime) -> String {
    format(moment, MINUTES)
}

/// To the second.
pub(super) fn seconds(moment: OffsetDateTime) -> String {
    format(moment, SECONDS)
}

fn format(moment: OffsetDateTime, format: StaticFormatDescription) -> String {
    moment.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_else(|_| moment.to_string())
}
