//! Reading single fields of what Supabase sends, as its versions and Postgres' JSON write them.

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// Text that says something, or a number as text.
pub fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// An id that is usually a UUID, in the one form that it has everywhere.
pub fn id_like_uuid(value: &Value) -> Option<String> {
    uuid(value).map(|uuid| uuid.to_string()).or_else(|| id(value))
}

/// A UUID.
pub fn uuid(value: &Value) -> Option<Uuid> {
    Uuid::parse_str(value.as_str()?.trim()).ok()
}

/// An e-mail address in lower case.
pub fn email(value: &Value) -> Option<String> {
    let email = value.as_str()?.trim().to_lowercase();
    (!email.is_empty()).then_some(email)
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
    OffsetDateTime::parse(&complete, &Rfc3339).ok()
}
