//! The application's tables: which columns exist, and how to select them.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use crate::database::sql;
use crate::project::supabase::columns::{Column, Content};

/// A table's columns with their types.
#[derive(Debug)]
pub(in crate::store) struct Table {
    /// The quoted SQL name.
    name: String,
    columns: BTreeMap<String, String>,
}

/// Whitespace around an id that is not part of it.
const SPACE: &str = r"[\s\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]";
/// A UUID as other systems may write it.
const UUID: &str = "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$";

impl Table {
    /// The table `relation`, `schema.table`, with its columns. `None` if it does not exist, is not readable,
    /// or row level security would hide rows: a hidden row must not be mistaken for a deleted one.
    pub(in crate::store) async fn find(
        tx: &mut PgConnection,
        relation: &str,
    ) -> Result<Option<Self>, sqlx::Error> {
        let name = sql::table(relation);
        let columns: Vec<(String, String)> = sqlx::query_as(
            "select attname::text, format_type(atttypid, null) from pg_catalog.pg_attribute
             where attrelid = to_regclass($1) and attnum > 0 and not attisdropped
               and has_table_privilege(attrelid, 'select') and not row_security_active(attrelid)",
        )
        .bind(&name)
        .fetch_all(tx)
        .await?;
        Ok((!columns.is_empty()).then(|| Self { name, columns: columns.into_iter().collect() }))
    }

    pub(in crate::store) fn name(&self) -> &str {
        &self.name
    }

    pub(in crate::store) fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// The type of the key, `id`; `None` if there is no such column.
    pub(in crate::store) fn key_type(&self) -> Option<&str> {
        self.columns.get("id").map(String::as_str)
    }

    /// SQL: the row `t` as JSON, with those of the `columns` that the table has, as in an event.
    pub(in crate::store) fn row(&self, columns: &[Column]) -> String {
        let there = columns.iter().filter_map(|column| {
            let (kind, name) = (self.columns.get(&column.name)?, sql::name(&column.name));
            Some(match (column.content, kind.as_str()) {
                (Content::Size, "json" | "jsonb") => {
                    format!("{kind}_build_object('size', t.{name} -> 'size') as {name}")
                }
                _ => format!("t.{name}"),
            })
        });
        format!("(select row_to_json(r)::text from (select {}) r)", there.collect::<Vec<_>>().join(", "))
    }

    /// SQL: `text` cast to the key's type; null if it cannot be a key of this table.
    pub(in crate::store) fn key(&self, text: &str) -> String {
        match self.key_type() {
            Some("uuid") => uuid(text),
            Some(number @ ("bigint" | "integer" | "smallint")) => {
                format!("case when {text} ~ '^[0-9]{{1,18}}$' then {text}::bigint::{number} end")
            }
            Some(other) => format!("{text}::{other}"),
            None => "null".to_owned(),
        }
    }

    /// SQL: whether the table has a row whose id is `text`, in any of its spellings (`project::supabase`
    /// accepts UUIDs in all forms).
    pub(in crate::store) fn holds(&self, text: &str) -> String {
        let by_key = format!("exists (select from {} t where t.id = {})", self.name, self.key(text));
        if matches!(self.key_type(), Some("uuid" | "bigint" | "integer" | "smallint")) {
            return by_key;
        }
        let bare = |id: &str| format!("regexp_replace(lower({id}), '{SPACE}|urn:uuid:|[{{}}-]', '', 'g')");
        format!("({by_key} or {} in (select {} from {} t))", bare(text), bare("t.id::text"), self.name)
    }
}

/// SQL: `text` as a UUID, or null.
pub(in crate::store) fn uuid(text: &str) -> String {
    format!("case when btrim({text}) ~ '{UUID}' then btrim({text})::uuid end")
}
