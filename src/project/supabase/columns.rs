//! The used columns of a row: they say whose it is, whether it counts and for how much.
//!
//! One list for all readers: triggers copy these columns, webhooks' rows are stored with only these, and
//! imports select only these. [`read`] then gives the same result, whichever way a row comes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::profile;
use super::tables::{ActivityTable, ActivityTables};

/// A used column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Required; others are read if the table has them.
    pub is_needed: bool,
    /// What it holds.
    pub content: Content,
}

/// How much of a column's value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Whole,
    /// The size in a file's metadata, as text: numbers may be of any length.
    Size,
    /// Whether it is not empty.
    Presence,
}

impl Content {
    fn read(self, raw: &str) -> Value {
        // Too deep, too large a number, a lone surrogate: cannot be an id of a row or a user.
        let value = || serde_json::from_str(raw).unwrap_or(Value::Null);
        match self {
            Self::Whole => value(),
            Self::Size => size(raw),
            Self::Presence if raw == "null" => Value::Null,
            Self::Presence => {
                let is_filled = serde_json::from_str(raw).map_or(true, |value| profile::is_filled(&value));
                if is_filled { Value::Bool(true) } else { Value::Null }
            }
        }
    }
}

fn size(metadata: &str) -> Value {
    let size = raw_row(metadata).and_then(|members| members.get("size").map(|size| size.get()));
    let text = size.and_then(|size| match size.as_bytes().first() {
        Some(b'0'..=b'9' | b'-') => Some(Value::from(size)),
        Some(b'"') => serde_json::from_str(size).ok(),
        _ => None,
    });
    text.map_or(Value::Null, |text| Value::Object([("size".to_owned(), text)].into_iter().collect()))
}

/// An optional column.
pub(super) fn whole(name: &str) -> Column {
    column(name, false, Content::Whole)
}

fn column(name: &str, is_needed: bool, content: Content) -> Column {
    Column { name: name.to_owned(), is_needed, content }
}

/// The used columns of `relation`; `None` if its rows do not count.
#[must_use]
pub fn of(tables: &ActivityTables, relation: &str) -> Option<Vec<Column>> {
    match relation {
        "storage.objects" => Some(files()),
        "public.user_profiles" => Some(profiles()),
        _ => tables.of(relation).map(counted),
    }
}

fn files() -> Vec<Column> {
    let optional = ["owner_id", "owner", "updated_at"].map(whole);
    let mut columns = vec![column("id", true, Content::Whole), column("metadata", true, Content::Size)];
    columns.extend(optional);
    columns
}

fn profiles() -> Vec<Column> {
    let needed = ["id", "user_id"].map(|name| column(name, true, Content::Whole));
    let flags = ["is_active", "is_draft", "updated_at"].map(whole);
    let filled = profile::EXPECTED.iter().chain(&profile::WHERE_PRESENT);
    let filled = filled.map(|name| column(name, false, Content::Presence));
    needed.into_iter().chain(flags).chain(filled).collect()
}

fn counted(table: &ActivityTable) -> Vec<Column> {
    let mut columns = vec![column("id", true, Content::Whole)];
    let condition = table.condition.as_ref().map(|condition| condition.column.as_str());
    for name in [table.owner.as_str()].into_iter().chain(condition) {
        if columns.iter().all(|known| known.name != name) {
            columns.push(column(name, true, Content::Whole));
        }
    }
    if columns.iter().all(|known| known.name != "updated_at") {
        columns.push(whole("updated_at"));
    }
    columns
}

pub(super) type RawRow<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The columns of a JSON row; `None` if it is not an object.
pub(super) fn raw_row(row: &str) -> Option<RawRow<'_>> {
    serde_json::from_str(row).ok()
}

/// The `columns` of a JSON row, as far as it has them; null if it is not a row.
#[must_use]
pub fn read(row: &str, columns: &[Column]) -> Value {
    let Some(row) = raw_row(row) else { return Value::Null };
    let there = columns.iter().filter_map(|column| {
        let raw = row.get(column.name.as_str())?;
        Some((column.name.clone(), column.content.read(raw.get())))
    });
    Value::Object(there.collect())
}

/// All columns of a JSON row, null for unreadable ones.
pub(super) fn read_all(row: &str) -> Value {
    let Some(row) = raw_row(row) else { return Value::Null };
    row.into_iter().map(|(name, raw)| (name.into_owned(), Content::Whole.read(raw.get()))).collect()
}

/// The fingerprint of a row's state: a hash over all columns (or those named), null and absent being the
/// same. `None` if it is not a row.
#[must_use]
pub fn fingerprint(row: &str, only: Option<&[String]>) -> Option<String> {
    let row = raw_row(row)?;
    let mut hash = Sha256::new();
    for (name, raw) in &row {
        let is_meant = only.is_none_or(|names| names.iter().any(|known| known == name));
        if raw.get() == "null" || !is_meant {
            continue;
        }
        for part in [name.as_ref(), canonical(raw.get()).as_ref()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    Some(hex::encode(&hash.finalize()[..FINGERPRINT_BYTES]))
}

/// Enough to distinguish the states of one row.
const FINGERPRINT_BYTES: usize = 16;

/// A canonical form, independent of whitespace, escapes and order of keys.
fn canonical(raw: &str) -> Cow<'_, str> {
    let is_plain = !raw.starts_with(['{', '[']) && !raw.contains('\\');
    let written = || serde_json::from_str::<Value>(raw).map(|value| value.to_string());
    if is_plain { Cow::Borrowed(raw) } else { written().map_or(Cow::Borrowed(raw), Cow::Owned) }
}
