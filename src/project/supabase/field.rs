//! Reads single fields of what Supabase sends, in all its formats.

use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

use crate::project::identity::folded_email;

/// The longest id or address taken: a Postgres index holds no key of several kilobytes.
const KEY_MAX_BYTES: usize = 1024;

/// Non-empty text that a key column can hold, or a number as text.
pub fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => key(text).map(str::to_owned),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The trimmed text; `None` if it is empty, or Postgres could not hold it.
fn key(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty() && text.len() <= KEY_MAX_BYTES && !text.contains('\0')).then_some(text)
}

/// An id; UUIDs are normalised.
pub fn id_like_uuid(value: &Value) -> Option<String> {
    uuid(value).map(|uuid| uuid.to_string()).or_else(|| id(value))
}

/// A UUID.
pub fn uuid(value: &Value) -> Option<Uuid> {
    Uuid::parse_str(value.as_str()?.trim()).ok()
}

/// An e-mail address, normalised for comparison.
pub fn email(value: &Value) -> Option<String> {
    folded_email(key(value.as_str()?)?)
}

/// A moment as RFC 3339 or as Postgres writes it: with `T` or a space, with a zone in hours or in hours
/// and minutes, or without one, which is UTC.
pub fn moment(value: &Value) -> Option<OffsetDateTime> {
    let text = value.as_str()?.trim().replacen(' ', "T", 1);
    let clock = text.get("YYYY-MM-DDT".len()..)?;
    let complete = match clock.rfind(['+', '-']).map(|sign| clock.len() - sign) {
        None if clock.ends_with(['Z', 'z']) => text,
        None => format!("{text}Z"),
        Some(3) => format!("{text}:00"),
        Some(_) => text,
    };
    // The offset may move the year out of range.
    OffsetDateTime::parse(&complete, &Rfc3339).ok()?.checked_to_offset(UtcOffset::UTC)
}
