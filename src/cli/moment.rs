//! Moments for people, in UTC.

use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

const MINUTES: StaticFormatDescription = format_description!("[year]-[month]-[day] [hour]:[minute]");

/// To the minute.
pub(super) fn minutes(moment: OffsetDateTime) -> String {
    moment.to_offset(time::UtcOffset::UTC).format(MINUTES).unwrap_or_default()
}
