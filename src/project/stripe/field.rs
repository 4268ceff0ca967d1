//! Reads one field of untrusted JSON: a value of the wrong type or out of bounds is treated as absent.
//!
//! Indexing a `Value` by a missing key gives null, so a path such as `&event["data"]["object"]` needs no
//! checks.

use serde_json::Value;

/// The longest id taken. Stripe's stay under 255; a Postgres index holds no key of several kilobytes.
const ID_MAX_BYTES: usize = 255;
/// The longest decimal taken. Stripe's have at most twelve decimal places.
const DECIMAL_MAX_BYTES: usize = 40;
/// The largest amount taken, in minor units, positive or negative: thousands of them still fit an i64.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;
/// The last second of the year 9999, which all date types can hold.
const TIME_MAX: i64 = 253_402_300_799;
/// The most entries read of any list; events embed 10 of most.
const LIST_MAX: usize = 100;

/// Non-empty text. NUL, which Postgres cannot hold, becomes U+FFFD.
pub fn text(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    Some(text.replace('\0', "\u{FFFD}"))
}

/// An id, plain or inside the expanded object.
pub fn id(value: &Value) -> Option<String> {
    let named = if value.is_object() { &value["id"] } else { value };
    text(named).filter(|id| id.len() <= ID_MAX_BYTES)
}

/// A currency code in lower case, as newer API versions write it.
pub fn currency(value: &Value) -> Option<String> {
    text(value).filter(|code| code.len() <= ID_MAX_BYTES).map(|code| code.to_lowercase())
}

/// Whether it is `true`.
pub fn boolean(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

/// A non-negative whole number.
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

/// A decimal number as text. A JSON number gives the shortest text that parses to the same value, which is
/// what a person typed.
pub fn decimal(value: &Value) -> Option<String> {
    let written = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (written.len() <= DECIMAL_MAX_BYTES && written.parse::<f64>().is_ok_and(f64::is_finite))
        .then_some(written)
}

/// The entries of a plain array or one of Stripe's paged lists.
pub fn list(value: &Value) -> &[Value] {
    let entries = value.as_array().or_else(|| value["data"].as_array()).map_or(&[][..], Vec::as_slice);
    &entries[..entries.len().min(LIST_MAX)]
}

/// Whether a list has more entries than the event shows, or than the first `taken`.
pub fn is_truncated(value: &Value, taken: usize) -> bool {
    boolean(&value["has_more"]) || list(value).len() > taken
}

/// The customer that an object belongs to; since 2026 it may be an account that acts as a customer.
pub fn customer(object: &Value) -> Option<String> {
    id(&object["customer"]).or_else(|| id(&object["customer_account"]))
}

/// The values of the metadata `keys`, in the order of the keys; only those that are text.
pub fn user_ids(object: &Value, keys: &[String]) -> Vec<String> {
    keys.iter().filter_map(|key| text(&object["metadata"][key])).collect()
}
