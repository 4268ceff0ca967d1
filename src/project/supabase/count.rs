//! What a row of each table counts for: used for events, imports and reconciliation.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::tables::ActivityTables;
use super::{field, profile};

/// The largest plausible file, 1 PiB: no provider stores larger ones, and sums fit 64 bits.
const MAX_FILE_BYTES: i64 = 1 << 50;

/// A row's owner and what it counts for, whether or not it still exists.
pub struct Count {
    pub row_id: Option<String>,
    pub user_id: Option<Uuid>,
    pub counted: bool,
    pub amount: i64,
    /// `updated_at`, by which reports of the row are ordered; `None` if the table has none.
    pub at: Option<OffsetDateTime>,
}

/// What an application row or a file counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// `schema.table`
    pub relation: String,
    /// The row's primary key.
    pub row_id: String,
    /// Its owner; `None` if that is not a user.
    pub user_id: Option<Uuid>,
    /// It counts towards its metric (not deleted, not a draft, …).
    pub counted: bool,
    /// Bytes of a file, filled percent of a profile; otherwise 0.
    pub amount: i64,
}

/// What `row`, read by [`super::columns`], counts for. `None` if its table does not count. A profile table
/// without `is_active` has one row per user.
pub fn count(tables: &ActivityTables, relation: &str, row: &Value) -> Option<Count> {
    let plain = Count {
        row_id: field::id_like_uuid(&row["id"]),
        user_id: field::uuid(&row["user_id"]),
        counted: true,
        amount: 0,
        at: field::moment(&row["updated_at"]),
    };
    match relation {
        "storage.objects" => Some(Count { user_id: file_owner(row), amount: file_bytes(row), ..plain }),
        "public.user_profiles" => {
            let is_active = row.get("is_active").is_none_or(is_true);
            let counted = is_active && !is_true(&row["is_draft"]);
            Some(Count { counted, amount: profile::filled_percent(row), ..plain })
        }
        _ => {
            let table = tables.of(relation)?;
            let user_id = field::uuid(&row[&table.owner]);
            Some(Count { user_id, counted: table.counts(row), ..plain })
        }
    }
}

/// `owner_id` is the newer column; it is text, and not always a user id.
fn file_owner(row: &Value) -> Option<Uuid> {
    field::uuid(&row["owner_id"]).or_else(|| field::uuid(&row["owner"]))
}

/// Storage writes a number; older and manual rows have text. Any whole number counts.
fn file_bytes(row: &Value) -> i64 {
    let size = &row["metadata"]["size"];
    let bytes = match size {
        Value::String(text) => whole_bytes(text.trim()),
        Value::Number(number) => whole_bytes(&number.to_string()),
        _ => None,
    };
    bytes.unwrap_or(0)
}

/// A decimal number, with optional sign, point and exponent: 0 if negative, capped at the largest plausible
/// size; `None` if it is not a whole number.
fn whole_bytes(text: &str) -> Option<i64> {
    let (is_negative, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let digits = [whole, fraction].concat();
    let (leading, trailing) = (digits.trim_start_matches('0'), digits.trim_end_matches('0'));
    if leading.is_empty() {
        return Some(0);
    }
    // The place of the last digit that is not 0, counted from the point.
    let zeros = i64::try_from(digits.len() - trailing.len()).ok()?;
    let lowest = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
    if lowest < 0 {
        return None;
    }
    if is_negative {
        return Some(0);
    }
    let significant = leading.trim_end_matches('0');
    let length = lowest.checked_add(i64::try_from(significant.len()).ok()?)?;
    if length > 18 {
        return Some(MAX_FILE_BYTES);
    }
    let bytes: i64 = significant.parse().ok()?;
    Some(bytes.saturating_mul(10_i64.pow(u32::try_from(lowest).ok()?)).min(MAX_FILE_BYTES))
}

/// A boolean, or its text.
fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or(value.as_str() == Some("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_number_sizes_count_in_any_notation() {
        let cases = [
            ("12", Some(12)),
            ("+12", Some(12)),
            ("-12", Some(0)),
            ("0", Some(0)),
            ("-0.0", Some(0)),
            ("007", Some(7)),
            ("12.00", Some(12)),
            ("12.5", None),
            ("1e3", Some(1000)),
            ("1.5E+3", Some(1500)),
            ("1500e-2", Some(15)),
            ("1500e-3", None),
            ("1125899906842624", Some(MAX_FILE_BYTES)),
            ("1125899906842623", Some(MAX_FILE_BYTES - 1)),
            ("9223372036854775808", Some(MAX_FILE_BYTES)),
            ("1e400", Some(MAX_FILE_BYTES)),
            ("0e999999999999999999", Some(0)),
            ("1e99999999999999999999", None),
            ("", None),
            ("+", None),
            ("--1", None),
            ("1e", None),
            (".5", None),
            ("0x10", None),
            ("12 kB", None),
            ("NaN", None),
        ];
        for (text, expected) in cases {
            assert_eq!(whole_bytes(text), expected, "{text}");
        }
    }
}
