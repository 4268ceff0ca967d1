//! What is read of a row: the few columns that say whose it is, whether it counts and for how much.
//!
//! One list for all who look at rows. Triggers copy these columns, of a webhook's row no others are stored, and they
//! alone are selected where tables are read. [`read`] then makes the same of each, so that a row counts for the same
//! whichever way it comes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::profile;
use super::tables::{ActivityTable, ActivityTables};

/// A column that is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// Without it the rows mean nothing; others are read where the table has them.
    pub is_needed: bool,
    pub content: Content,
}

/// How much of a column's value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// All of it.
    Whole,
    /// Of a file's metadata the size, as the text that it is written in: numbers may be of any length.
    Size,
    /// Whether it is filled.
    Presence,
}

impl Content {
    fn read(self, raw: &str) -> Value {
        // Too deep, too large a number, half a character: nothing that could name a row or a user.
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

/// A column that is read where there is one.
pub(super) fn whole(name: &str) -> Column {
    column(name, false, Content::Whole)
}

fn column(name: &str, is_needed: bool, content: Content) -> Column {
    Column { name: name.to_owned(), is_needed, content }
}

/// What is read of the rows of `relation`; none where they count for nothing.
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

/// The columns of a row in JSON; none where it is no object.
pub(super) fn raw_row(row: &str) -> Option<RawRow<'_>> {
    serde_json::from_str(row).ok()
}

/// Of a row in JSON the `columns`, as far as it has them; null where it is no row.
#[must_use]
pub fn read(row: &str, columns: &[Column]) -> Value {
    let Some(row) = raw_row(row) else { return Value::Null };
    let there = columns.iter().filter_map(|column| {
        let raw = row.get(column.name.as_str())?;
        Some((column.name.clone(), column.content.read(raw.get())))
    });
    Value::Object(there.collect())
}

/// All columns of a row in JSON, null where one can't be read.
pub(super) fn read_all(row: &str) -> Value {
    let Some(row) = raw_row(row) else { return Value::Null };
    row.into_iter().map(|(name, raw)| (name.into_owned(), Content::Whole.read(raw.get()))).collect()
}

/// What tells two states of a row apart, whichever of its columns differ: a hash over all of them (or over those
/// that are named), null and absent being the same. None where it is no row.
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

/// Of two states of one row: no more is needed.
const FINGERPRINT_BYTES: usize = 16;

/// One way of writing a value, whatever its spaces, escapes and order of keys.
fn canonical(raw: &str) -> Cow<'_, str> {
    let is_plain = !raw.starts_with(['{', '[']) && !raw.contains('\\');
    let written = || serde_json::from_str::<Value>(raw).map(|value| value.to_string());
    if is_plain { Cow::Borrowed(raw) } else { written().map_or(Cow::Borrowed(raw), Cow::Owned) }
}
