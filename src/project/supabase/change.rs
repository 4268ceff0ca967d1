//! The change of one row from a webhook or a trigger, parsed column by column, so that other columns, however
//! long or deep, do not matter. And the form in which a webhook's change is stored.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::columns;
use super::tables::ActivityTables;
use crate::project::order::ChangeKind;

/// A body as sent, or as stored.
#[derive(Deserialize)]
struct ReceivedChange<'a> {
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
    /// Only in stored bodies.
    #[serde(borrow, default)]
    kept: Option<&'a RawValue>,
}

/// What is stored of a row besides the used columns.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Fingerprints {
    /// The table was not counted: only the rows' ids are stored.
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

/// A body as stored.
#[derive(Serialize)]
struct Stored<'a> {
    #[serde(rename = "type")]
    operation: &'a str,
    schema: &'a str,
    table: &'a str,
    record: Value,
    old_record: Value,
    kept: Fingerprints,
}

/// What is stored of a row that does not count.
const NAMES: [&str; 2] = ["id", "updated_at"];

fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    serde_json::from_str::<String>(raw?.get()).ok().map(Cow::Owned)
}

impl<'a> ReceivedChange<'a> {
    fn of(body: &'a [u8]) -> Result<Option<Self>, serde_json::Error> {
        let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if is_object { serde_json::from_slice(body).map(Some) } else { Ok(None) }
    }

    fn relation(&self) -> Option<String> {
        Some(format!("{}.{}", text(self.schema)?, text(self.table)?))
    }

    fn kept(&self) -> Option<Fingerprints> {
        serde_json::from_str(self.kept?.get()).ok()
    }

    /// The fingerprints of the whole rows: as stored, or from the rows themselves.
    fn fingerprints(&self) -> Fingerprints {
        let print = |row: Option<&RawValue>| columns::fingerprint(row?.get(), None);
        self.kept().unwrap_or_else(|| Fingerprints {
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
    pub change_kind: ChangeKind,
    pub record: Value,
    pub old_record: Value,
    /// The rows' fingerprints, if the change is ordered by them.
    pub state: Option<String>,
    pub old_state: Option<String>,
}

impl Change {
    /// `None` if it is not the change of a row (`TRUNCATE`), or its table does not count. `is_numbered`:
    /// fingerprints are not needed.
    pub fn of(
        body: &[u8],
        is_numbered: bool,
        tables: &ActivityTables,
    ) -> Result<Option<Self>, serde_json::Error> {
        let Some(received) = ReceivedChange::of(body)? else { return Ok(None) };
        let change_kind = match text(received.operation).as_deref() {
            Some("INSERT") => ChangeKind::Created,
            Some("UPDATE") => ChangeKind::Updated,
            Some("DELETE") => ChangeKind::Deleted,
            _ => return Ok(None),
        };
        let Some(relation) = received.relation() else { return Ok(None) };
        let known = columns::of(tables, &relation);
        if known.is_none() && !relation.starts_with("auth.") {
            return Ok(None);
        }
        let row = |row: Option<&RawValue>| {
            let row = row.map_or("null", RawValue::get);
            known.as_ref().map_or_else(|| columns::read_all(row), |columns| columns::read(row, columns))
        };
        let (record, old_record) = (row(received.record), row(received.old_record));
        let fingerprints =
            if is_numbered || known.is_none() { Fingerprints::default() } else { received.fingerprints() };
        if fingerprints.names_only {
            return Ok(None);
        }
        let Fingerprints { record: state, old_record: old_state, .. } = fingerprints;
        Ok(Some(Self { relation, change_kind, record, old_record, state, old_state }))
    }
}

/// A Database Webhook's body as it is stored: the used columns of the rows, and their fingerprints, because
/// changes of one moment are ordered by the whole previous row. For a table that does not count, only the
/// rows' ids. `None`: left as it is (`auth`, which has its own list).
#[must_use]
pub fn reduced(body: &[u8], tables: &ActivityTables) -> Option<Vec<u8>> {
    let mut received = ReceivedChange::of(body).ok()??;
    // Ignores a field of that name from the sender.
    received.kept = None;
    let (schema, table) = (text(received.schema)?, text(received.table)?);
    if schema == "auth" {
        return None;
    }
    let mut fingerprints = received.fingerprints();
    let known = columns::of(tables, &format!("{schema}.{table}")).unwrap_or_else(|| {
        fingerprints = Fingerprints { names_only: true, ..Fingerprints::default() };
        NAMES.iter().map(|name| columns::whole(name)).collect()
    });
    let row = |row: Option<&RawValue>| row.map_or(Value::Null, |row| columns::read(row.get(), &known));
    let stored = Stored {
        operation: &text(received.operation)?,
        schema: &schema,
        table: &table,
        record: row(received.record),
        old_record: row(received.old_record),
        kept: fingerprints,
    };
    serde_json::to_vec(&stored).ok()
}

/// The fingerprints of the whole rows in an event's body.
pub(crate) fn fingerprints(body: &[u8]) -> Option<Fingerprints> {
    Some(ReceivedChange::of(body).ok()??.fingerprints())
}

/// The change from the whole row with the fingerprint `from` to `row`, the one in the table, in the stored
/// form of a webhook's change with its `columns`.
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
        kept: Fingerprints {
            names_only: false,
            record: columns::fingerprint(row, Some(&columns)),
            old_record: from,
            columns,
        },
    })
}
