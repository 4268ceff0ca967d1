//! Reading one field of somebody else's JSON: what is missing, of the wrong type or absurd is absent.
//!
//! Indexing a `Value` by key gives null where there is nothing, so a path such as `&event["data"]["object"]`
//! needs no checks on its way and every reader below takes the value at its end.

use serde_json::Value;

/// The longest id taken. Stripe's stay under 255; a Postgres index holds no key of several kilobytes.
const ID_MAX_BYTES: usize = 255;
/// The longest decimal taken. Stripe's have at most twelve decimal places.
const DECIMAL_MAX_BYTES: usize = 40;
/// The largest amount taken, in minor units either way: thousands of such still add up within an i64.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;
/// The last second of the year 9999: the last that every clock on the way can show.
const TIME_MAX: i64 = 253_402_300_799;
/// The most entries read of any list; events embed 10 of most.
const LIST_MAX: usize = 100;

/// Text that is not empty. NUL, which Postgres cannot hold, becomes U+FFFD.
pub fn text(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    Some(text.replace('\0', "\u{FFFD}"))
}

/// An id, given as it is or inside the expanded object.
pub fn id(value: &Value) -> Option<String> {
    let named = if value.is_object() { &value["id"] } else { value };
    text(named).filter(|id| id.len() <= ID_MAX_BYTES)
}

/// A currency's code in lower case, as Stripe's own newer versions write it.
pub fn currency(value: &Value) -> Option<String> {
    text(value).filter(|code| code.len() <= ID_MAX_BYTES).map(|code| code.to_lowercase())
}

/// Whether it is `true`.
pub fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

/// A whole number of nothing in particular.
pub fn count(value: &Value) -> Option<u64> {
    value.as_u64()
}

/// An amount in minor units.
pub fn amount(value: &Value) -> Option<i64> {
    value.as_i64().filter(|amount| (-AMOUNT_MAX..=AMOUNT_MAX).contains(amount))
}

/// A moment in Unix seconds.
pub fn time(value: &Value) -> Option<i64> {
    value.as_i64().filter(|seconds| (0..=TIME_MAX).contains(seconds))
}

/// A decimal number as text, whether it was text or a number: as a number, the shortest text that reads
/// back the same, which for anything a person typed is what was typed.
pub fn decimal(value: &Value) -> Option<String> {
    let written = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (written.len() <= DECIMAL_MAX_BYTES && written.parse::<f64>().is_ok_and(f64::is_finite))
        .then_some(written)
}

/// The entries of a list, be it a plain array or one of Stripe's paged lists.
pub fn list(value: &Value) -> &[Value] {
    let entries = value.as_array().or_else(|| value["data"].as_array()).map_or(&[][..], Vec::as_slice);
    &entries[..entries.len().min(LIST_MAX)]
}

/// Whether a list has more entries than the event shows, or than the first `taken`.
pub fn is_truncated(value: &Value, taken: usize) -> bool {
    flag(&value["has_more"]) || list(value).len() > taken
}

/// The customer that an object belongs to; since 2026 it may be an account that acts as one.
pub fn customer(object: &Value) -> Option<String> {
    id(&object["customer"]).or_else(|| id(&object["customer_account"]))
}

/// The values of the metadata `keys`, in the order of the keys; only those that are text.
pub fn user_ids(object: &Value, keys: &[String]) -> Vec<String> {
    keys.iter().filter_map(|key| text(&object["metadata"][key])).collect()
}
