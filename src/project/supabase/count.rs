//! What a row of each table counts for.

use serde_json::Value;
use uuid::Uuid;

use super::tables::ActivityTables;
use super::{field, profile};

/// The largest file believed, 1 PiB: no provider stores larger ones, and sums of them fit 64 bits.
pub const MAX_FILE_BYTES: i64 = 1 << 50;

/// A row's owner and what it counts, before it is known whether the row is still there.
pub struct Count {
    pub row_id: Option<String>,
    pub user_id: Option<Uuid>,
    pub counted: bool,
    pub amount: i64,
}

/// None for a table that counts for nothing. A profile table without `is_active` has one row per user.
pub fn count(tables: &ActivityTables, relation: &str, row: &Value) -> Option<Count> {
    let plain = Count {
        row_id: field::id_like_uuid(&row["id"]),
        user_id: field::uuid(&row["user_id"]),
        counted: true,
        amount: 0,
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

/// `owner_id` is the younger column; text, and not always a user.
fn file_owner(row: &Value) -> Option<Uuid> {
    field::uuid(&row["owner_id"]).or_else(|| field::uuid(&row["owner"]))
}

/// Storage writes a number; older rows and hand-made ones hold text.
fn file_bytes(row: &Value) -> i64 {
    let size = &row["metadata"]["size"];
    let bytes = match size {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.as_i64().or_else(|| number.as_u64().map(|_| i64::MAX)),
        _ => None,
    };
    bytes.unwrap_or(0).clamp(0, MAX_FILE_BYTES)
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}
