//! The change of one row as a webhook or a trigger tells it: read from its text column by column, so that nothing
//! else in the row matters, however long or deep it is. And the form in which a webhook's is stored.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::columns;
use super::tables::ActivityTables;
use crate::project::order::Stage;

/// As it was sent, or as it is kept.
#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(borrow, default, rename = "type")]
    operation: Option<&'a RawValue>,
    #[serde(borrow, default)]
    schema: Option<&'a RawValue>,
    #[serde(borrow, default)]
    table: Option<&'a RawValue>,
    #[serde(borrow, default)]
    record: Option<&'a RawValue>,
    #[serde(borrow, default)]
    old_record: Option<&'a RawValue>,
    /// Only in what we keep.
    #[serde(borrow, default)]
    kept: Option<&'a RawValue>,
}

/// What of a row is kept beside the columns that are read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// The table was none of those that count: only the rows' names are here, and they say nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub names_only: bool,
    /// The whole rows' fingerprints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_record: Option<String>,
    /// The columns that the rows had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
}

/// As it is stored.
#[derive(Serialize)]
struct Stored<'a> {
    #[serde(rename = "type")]
    operation: &'a str,
    schema: &'a str,
    table: &'a str,
    record: Value,
    old_record: Value,
    kept: Kept,
}

/// What is kept of a row that counts for nothing.
const NAMES: [&str; 2] = ["id", "updated_at"];

fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    serde_json::from_str::<String>(raw?.get()).ok().map(Cow::Owned)
}

impl<'a> Sent<'a> {
    fn of(body: &'a [u8]) -> Result<Option<Self>, serde_json::Error> {
        let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if is_object { serde_json::from_slice(body).map(Some) } else { Ok(None) }
    }

    fn relation(&self) -> Option<String> {
        Some(format!("{}.{}", text(self.schema)?, text(self.table)?))
    }

    fn kept(&self) -> Option<Kept> {
        serde_json::from_str(self.kept?.get()).ok()
    }

    /// What is known of the whole rows: as it was kept, or from the rows themselves.
    fn wholes(&self) -> Kept {
        let print = |row: Option<&RawValue>| columns::fingerprint(row?.get(), None);
        self.kept().unwrap_or_else(|| Kept {
            names_only: false,
            record: print(self.record),
            old_record: print(self.old_record),
            columns: names(self.record).or_else(|| names(self.old_record)).unwrap_or_default(),
        })
    }
}

fn names(row: Option<&RawValue>) -> Option<Vec<String>> {
    Some(columns::raw_row(row?.get())?.into_keys().map(Cow::into_owned).collect())
}

/// A change of one row.
pub(super) struct Change {
    pub relation: String,
    pub stage: Stage,
    pub record: Value,
    pub old_record: Value,
    /// The rows' fingerprints, where the change is told apart from others by them.
    pub state: Option<String>,
    pub old_state: Option<String>,
}

impl Change {
    /// None for what is not the change of a row (`TRUNCATE`), or of one whose table counts for nothing.
    /// `is_numbered`: nobody will ask how the rows looked.
    pub fn of(
        body: &[u8],
        is_numbered: bool,
        tables: &ActivityTables,
    ) -> Result<Option<Self>, serde_json::Error> {
        let Some(sent) = Sent::of(body)? else { return Ok(None) };
        let stage = match text(sent.operation).as_deref() {
            Some("INSERT") => Stage::Created,
            Some("UPDATE") => Stage::Updated,
            Some("DELETE") => Stage::Deleted,
            _ => return Ok(None),
        };
        let Some(relation) = sent.relation() else { return Ok(None) };
        let known = columns::of(tables, &relation);
        if known.is_none() && !relation.starts_with("auth.") {
            return Ok(None);
        }
        let row = |row: Option<&RawValue>| {
            let row = row.map_or("null", RawValue::get);
            known.as_ref().map_or_else(|| columns::read_all(row), |columns| columns::read(row, columns))
        };
        let (record, old_record) = (row(sent.record), row(sent.old_record));
        let wholes = if is_numbered || known.is_none() { Kept::default() } else { sent.wholes() };
        if wholes.names_only {
            return Ok(None);
        }
        let Kept { record: state, old_record: old_state, .. } = wholes;
        Ok(Some(Self { relation, stage, record, old_record, state, old_state }))
    }
}

/// A Database Webhook's body as it is stored: of the rows the columns that are read, and their fingerprints, since
/// changes of one moment are put in order by how the whole row looked before. Of a table that counts for nothing the
/// rows' names alone. None: it is left as it is (`auth`, which has a list of its own).
#[must_use]
pub fn kept(body: &[u8], tables: &ActivityTables) -> Option<Vec<u8>> {
    let mut sent = Sent::of(body).ok()??;
    // What the sender calls so is none of ours.
    sent.kept = None;
    let (schema, table) = (text(sent.schema)?, text(sent.table)?);
    if schema == "auth" {
        return None;
    }
    let mut whole = sent.wholes();
    let known = columns::of(tables, &format!("{schema}.{table}")).unwrap_or_else(|| {
        whole = Kept { names_only: true, ..Kept::default() };
        NAMES.iter().map(|name| columns::whole(name)).collect()
    });
    let row = |row: Option<&RawValue>| row.map_or(Value::Null, |row| columns::read(row.get(), &known));
    let stored = Stored {
        operation: &text(sent.operation)?,
        schema: &schema,
        table: &table,
        record: row(sent.record),
        old_record: row(sent.old_record),
        kept: whole,
    };
    serde_json::to_vec(&stored).ok()
}

/// What an event's body says of the whole rows.
pub(crate) fn wholes(body: &[u8]) -> Option<Kept> {
    Some(Sent::of(body).ok()??.wholes())
}

/// The change that leads from the whole row with the fingerprint `from` to `row`, which is as it stands in the table:
/// in the form in which a webhook's is stored, with the `columns` that such a one has.
pub(crate) fn correction(
    relation: &str,
    row: &str,
    from: Option<String>,
    columns: Vec<String>,
    tables: &ActivityTables,
) -> Result<Value, serde_json::Error> {
    let (schema, table) = relation.split_once('.').unwrap_or_default();
    let known = columns::of(tables, relation).unwrap_or_default();
    serde_json::to_value(Stored {
        operation: "UPDATE",
        schema,
        table,
        record: columns::read(row, &known),
        old_record: Value::Null,
        kept: Kept {
            names_only: false,
            record: columns::fingerprint(row, Some(&columns)),
            old_record: from,
            columns,
        },
    })
}
