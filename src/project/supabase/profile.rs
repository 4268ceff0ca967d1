//! How complete a profile is.

use serde_json::Value;

/// The columns of `public.user_profiles` that count for every profile.
pub const EXPECTED: [&str; 4] = ["first_name", "last_name", "email", "phone"];

/// Columns that count only if the table has them. All others describe preferences, not the person, and do not
/// count.
pub const WHERE_PRESENT: [&str; 6] =
    ["date_of_birth", "gender", "profile_picture_url", "city", "country", "timezone"];

/// The filled share of the profile's columns in percent, 0 to 100, half up.
pub fn filled_percent(profile: &Value) -> i64 {
    let expected = EXPECTED.iter().map(|column| profile.get(column).unwrap_or(&Value::Null));
    let present = WHERE_PRESENT.iter().filter_map(|column| profile.get(column));
    let (mut filled, mut total) = (0, 0);
    for value in expected.chain(present) {
        filled += i64::from(is_filled(value));
        total += 1;
    }
    (filled * 200 + total) / (total * 2)
}

pub(super) fn is_filled(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}
