//! The application's tables as they are: which of the columns that we read are there, and what a row counts
//! for, in SQL. It says what `project::supabase` says of a row that an event tells.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::parts::Counted;
use crate::database::sql;
use crate::project::supabase::tables::Condition;
use crate::project::supabase::{MAX_FILE_BYTES, PROFILE_COLUMNS, PROFILE_COLUMNS_WHERE_PRESENT};

/// A table's columns with their types.
#[derive(Debug)]
pub(super) struct Table {
    /// As SQL writes it.
    name: String,
    columns: BTreeMap<String, String>,
}

/// A UUID as other systems may write it.
const UUID: &str = "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$";

impl Table {
    /// The table `relation`, `schema.table`, with its columns. None where it is not there, where we may not read it, or where a
    /// policy would hide rows from us: what is not seen must not be taken for gone.
    pub(super) async fn find(tx: &mut PgConnection, relation: &str) -> Result<Option<Self>, sqlx::Error> {
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

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }

    /// The type of the key, `id`; none where there is no such column.
    pub(super) fn key_type(&self) -> Option<&str> {
        self.columns.get("id").map(String::as_str)
    }

    /// A column of the row `t` as a UUID, or null.
    pub(super) fn uuid(&self, column: &str) -> String {
        match self.columns.get(column).map(String::as_str) {
            None => "null::uuid".to_owned(),
            Some("uuid") => format!("t.{}", sql::name(column)),
            Some(_) => uuid(&format!("t.{}::text", sql::name(column))),
        }
    }

    /// Text `text` as the key, to look a row up by it: null where it can be no key of this table.
    pub(super) fn key(&self, text: &str) -> String {
        match self.key_type() {
            Some("uuid") => uuid(text),
            Some(number @ ("bigint" | "integer" | "smallint")) => {
                format!("case when {text} ~ '^[0-9]{{1,18}}$' then {text}::bigint::{number} end")
            }
            Some(other) => format!("{text}::{other}"),
            None => "null".to_owned(),
        }
    }

    /// What a row `t` counts for: its owner, whether it counts, its amount and its moment.
    pub(super) fn counts(&self, counted: &Counted) -> Counts {
        let (user_id, counts, amount) = match counted {
            Counted::Files => (
                format!("coalesce({}, {})", self.uuid("owner_id"), self.uuid("owner")),
                "true".to_owned(),
                self.file_bytes(),
            ),
            Counted::Profiles => (self.uuid("user_id"), self.is_active_profile(), self.filled_percent()),
            Counted::Mapped(table) => {
                (self.uuid(&table.owner), self.holds(table.condition.as_ref()), "0::bigint".to_owned())
            }
        };
        Counts { user_id, counted: counts, amount, at: self.moment() }
    }

    fn is_active_profile(&self) -> String {
        let is_no_draft = if self.has("is_draft") { "t.is_draft is not true" } else { "true" };
        if self.has("is_active") {
            format!("(t.is_active is true and {is_no_draft})")
        } else {
            is_no_draft.to_owned()
        }
    }

    /// Whether a row of the map counts. A column is compared as the text that it has in an event, and one that is
    /// not there is null.
    fn holds(&self, condition: Option<&Condition>) -> String {
        let Some(Condition { column, value, is }) = condition else { return "true".to_owned() };
        let Some(kind) = self.columns.get(column) else { return (!is).to_string() };
        let (column, value) = (sql::name(column), sql::literal(value));
        let text = match kind.as_str() {
            "boolean" | "text" => format!("t.{column}::text"),
            _ => format!("to_jsonb(t.{column}) #>> '{{}}'"),
        };
        format!("(({text}) is {}distinct from {value})", if *is { "not " } else { "" })
    }

    fn file_bytes(&self) -> String {
        if !self.has("metadata") {
            return "0::bigint".to_owned();
        }
        let size = "btrim(t.metadata ->> 'size')";
        format!(
            "(case when {size} ~ '^[+-]?[0-9]{{1,18}}$' then least(greatest(({size})::bigint, 0), {MAX_FILE_BYTES})
                   when {size} ~ '^[0-9]{{19}}$' then {MAX_FILE_BYTES}
                   else 0 end)::bigint"
        )
    }

    /// Half up, as the profile's own rule says.
    fn filled_percent(&self) -> String {
        let present = PROFILE_COLUMNS_WHERE_PRESENT.iter().filter(|column| self.has(column));
        let columns: Vec<&str> = PROFILE_COLUMNS.iter().chain(present).copied().collect();
        let filled: Vec<String> = columns.iter().filter_map(|column| self.is_filled(column)).collect();
        let total = columns.len();
        let filled = if filled.is_empty() { "0".to_owned() } else { filled.join(" + ") };
        format!("((({filled}) * 200 + {total}) / {})::bigint", total * 2)
    }

    fn is_filled(&self, column: &str) -> Option<String> {
        let kind = self.columns.get(column)?;
        let is_text = kind == "text" || kind.starts_with("character") || kind == "citext";
        let is_list = kind.ends_with("[]") || kind.starts_with("json");
        let filled = if is_text {
            format!("coalesce(t.{column}::text ~ '[^[:space:]]', false)")
        } else if is_list {
            format!("coalesce(to_jsonb(t.{column})::text not in ('null', '[]', '{{}}', '\"\"'), false)")
        } else {
            format!("(t.{column} is not null)")
        };
        Some(format!("{filled}::int"))
    }

    /// `updated_at`, which places all that is told of the row; a table without it has no moments but one.
    fn moment(&self) -> String {
        let Some(kind) = self.columns.get("updated_at") else { return "'epoch'::timestamptz".to_owned() };
        // Events write a moment without a zone as if it were UTC.
        let zone = if kind == "timestamp without time zone" { " at time zone 'UTC'" } else { "" };
        format!(
            "coalesce(case when t.updated_at between '0001-01-02' and '9999-12-30' then t.updated_at{zone} end,
                      'epoch'::timestamptz)"
        )
    }
}

/// Expressions over the row `t`.
#[derive(Debug)]
pub(super) struct Counts {
    pub user_id: String,
    pub counted: String,
    pub amount: String,
    pub at: String,
}

/// Text `text` as a UUID, or null.
pub(super) fn uuid(text: &str) -> String {
    format!("case when btrim({text}) ~ '{UUID}' then btrim({text})::uuid end")
}
