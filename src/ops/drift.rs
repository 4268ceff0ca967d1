//! The result of the last comparison of each kind, stored for pages and `/metrics`: who ran it and when, and the first
//! differences with both values.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;

use crate::store::rebuild::RowDifference;

/// The most differences stored of one comparison.
pub(super) const STORED_MAX: usize = 50;
/// The longest value that is stored whole, in characters of its JSON.
const VALUE_MAX_CHARS: usize = 200;

/// A comparison.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = DriftCheck)]
pub struct LastCheck {
    /// The command: `reconcile stripe`, `reconcile supabase`, `reconcile twilio` or `rebuild`.
    pub name: String,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who ran it, as the audit log calls them: user and host, or whoever requested the job.
    pub actor: String,
    /// Whether it fixed what it found.
    pub is_fix: bool,
    /// How many objects, fields or rows differed.
    pub found: i64,
    /// How many of them differ still.
    pub remaining: i64,
    /// The first of those that differed, at most 50.
    #[schema(value_type = Vec<StoredDifference>)]
    pub differences: Json<Vec<StoredDifference>>,
}

/// Something that differed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = DriftDifference)]
pub struct StoredDifference {
    /// The object or row.
    pub object: String,
    /// Its field; `missing`, say, where the object as a whole differs.
    pub field: String,
    /// What stands here; null: nothing.
    #[schema(value_type = Option<Value>)]
    pub here: Value,
    /// What it is compared with; null: nothing.
    #[schema(value_type = Option<Value>)]
    pub there: Value,
}

/// The first differences of a comparison.
#[derive(Debug, Default)]
pub(super) struct Sample(Vec<StoredDifference>);

impl Sample {
    /// Adds one, up to the limit.
    pub(super) fn add(&mut self, object: impl FnOnce() -> String, field: &str, here: &Value, there: &Value) {
        if self.0.len() < STORED_MAX {
            let (here, there) = (cut(here), cut(there));
            self.0.push(StoredDifference { object: object(), field: field.to_owned(), here, there });
        }
    }

    /// Adds the columns of a row that differ.
    pub(super) fn add_row(&mut self, row: &RowDifference) {
        let key: Vec<String> = row.key.iter().map(|(column, value)| format!("{column}={value}")).collect();
        let object = || format!("{} {}", row.table, key.join(" "));
        let (before, after) = match (&row.before, &row.after) {
            (Some(before), Some(after)) => (before, after),
            (None, _) => return self.add(object, "missing", &Value::Null, &Value::Null),
            (_, None) => return self.add(object, "too much", &Value::Null, &Value::Null),
        };
        let value = |row: &Map<String, Value>, column: &str| row.get(column).cloned().unwrap_or_default();
        for column in after.keys() {
            self.add(object, column, &value(before, column), &value(after, column));
        }
    }

    /// Stores the comparison in place of the previous one of its `name`. A failure is only logged: the comparison itself
    /// has succeeded.
    pub(super) async fn store(self, pool: &PgPool, comparison: Comparison<'_>) {
        let Comparison { name, actor, is_fix, found, remaining, at } = comparison;
        let stored = sqlx::query(
            "insert into ingest.last_checks as c (name, at, actor, is_fix, found, remaining, differences)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (name) do update set at = excluded.at, actor = excluded.actor, is_fix = excluded.is_fix,
                 found = excluded.found, remaining = excluded.remaining, differences = excluded.differences
             where c.at <= excluded.at",
        )
        .bind(name)
        .bind(at)
        .bind(actor)
        .bind(is_fix)
        .bind(i64::try_from(found).unwrap_or(i64::MAX))
        .bind(i64::try_from(remaining).unwrap_or(i64::MAX))
        .bind(Json(self.0))
        .execute(pool)
        .await;
        if let Err(error) = stored {
            tracing::warn!(%error, name, "result of a comparison not stored");
        }
    }
}

/// Removes the differences of `objects`, which agree now, from the last comparison of this `name`. A comparison that fixed
/// what it could stays: it does not say which of its differences are left. A failure is only logged, as in [`Sample::store`].
pub(super) async fn remove_agreeing(pool: &PgPool, name: &str, objects: &[String]) {
    let removed = sqlx::query(
        "update ingest.last_checks c set
             remaining = greatest(0, c.remaining - (
                 select count(distinct it ->> 'object') from jsonb_array_elements(c.differences) it
                 where it ->> 'object' = any ($2))),
             differences = (
                 select coalesce(jsonb_agg(it order by n), '[]')
                 from jsonb_array_elements(c.differences) with ordinality d (it, n)
                 where it ->> 'object' <> all ($2))
         where c.name = $1 and not c.is_fix",
    )
    .bind(name)
    .bind(objects)
    .execute(pool)
    .await;
    if let Err(error) = removed {
        tracing::warn!(%error, name, "agreeing objects not removed from the last comparison");
    }
}

/// A comparison that has ended.
pub(super) struct Comparison<'a> {
    pub name: &'a str,
    pub actor: &'a str,
    pub is_fix: bool,
    pub found: u64,
    pub remaining: u64,
    pub at: OffsetDateTime,
}

/// A value; of a long one the beginning, as text.
fn cut(value: &Value) -> Value {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_MAX_CHARS) {
        Some((end, _)) => Value::String(format!("{}…", &text[..end])),
        None => value.clone(),
    }
}

/// The last comparison of each kind.
pub async fn last(pool: &PgPool) -> Result<Vec<LastCheck>, sqlx::Error> {
    let select =
        "select name, at, actor, is_fix, found, remaining, differences from ingest.last_checks order by name";
    sqlx::query_as(select).fetch_all(pool).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differing_columns_are_stored_with_both_values_up_to_a_limit() {
        let mut sample = Sample::default();
        let object = |value: Value| value.as_object().cloned();
        let row = |before, after| RowDifference {
            id: 1,
            table: "public.t".to_owned(),
            key: object(json!({"id": 7})).unwrap_or_default(),
            before,
            after,
        };
        sample
            .add_row(&row(object(json!({"a": 1, "b": "x"})), object(json!({"a": 2, "b": "y".repeat(300)}))));
        sample.add_row(&row(None, object(json!({"a": 2}))));
        let stored = |at: usize| (sample.0[at].field.as_str(), &sample.0[at].here, &sample.0[at].there);
        assert_eq!(sample.0[0].object, "public.t id=7");
        assert_eq!(stored(0), ("a", &json!(1), &json!(2)));
        assert!(stored(1).2.as_str().is_some_and(|text| text.chars().count() == VALUE_MAX_CHARS + 1));
        assert_eq!(stored(2), ("missing", &Value::Null, &Value::Null));
        for _ in 0..100 {
            sample.add(String::new, "a", &Value::Null, &Value::Null);
        }
        assert_eq!(sample.0.len(), STORED_MAX);
    }
}
