//! Removes password hashes and tokens: only columns of the schema `auth` known to be harmless are harmless.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::fields::{Field, Malformed};

pub(super) const SCHEMA: &str = "auth";

/// The columns of `auth.users` that may be stored.
const USERS: &[&str] = &[
    "id",
    "aud",
    "role",
    "email",
    "phone",
    "email_confirmed_at",
    "phone_confirmed_at",
    "confirmed_at",
    "invited_at",
    "last_sign_in_at",
    "raw_app_meta_data",
    "raw_user_meta_data",
    "created_at",
    "updated_at",
    "banned_until",
    "is_sso_user",
    "deleted_at",
    "is_anonymous",
];
/// The columns of `auth.sessions` that may be stored.
const SESSIONS: &[&str] = &[
    "id",
    "user_id",
    "created_at",
    "updated_at",
    "factor_id",
    "aal",
    "not_after",
    "refreshed_at",
    "oauth_client_id",
];
/// The columns of any other table of the schema that may be stored.
const OTHERS: &[&str] = &["id", "user_id", "created_at", "updated_at"];

type Row<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

#[derive(Serialize)]
struct Scrubbed<'a> {
    #[serde(rename = "type")]
    operation: &'a str,
    table: &'a str,
    schema: &'a str,
    record: Option<Row<'a>>,
    old_record: Option<Row<'a>>,
}

/// The body of a Database Webhook for `auth.{table}`, rewritten without the other columns.
pub(super) fn row_change(
    operation: &str,
    table: &str,
    record: Field<'_>,
    old_record: Field<'_>,
) -> Result<Bytes, Malformed> {
    let columns = match table {
        "users" => USERS,
        "sessions" => SESSIONS,
        _ => OTHERS,
    };
    let record = harmless(record, columns)?;
    let old_record = harmless(old_record, columns)?;
    let scrubbed = Scrubbed { operation, table, schema: SCHEMA, record, old_record };
    serde_json::to_vec(&scrubbed).map(Bytes::from).map_err(|error| Malformed::NotJson(error.to_string()))
}

fn harmless<'a>(row: Field<'a>, columns: &[&str]) -> Result<Option<Row<'a>>, Malformed> {
    let Ok(_) = row.raw() else { return Ok(None) };
    let mut row: Row<'a> = row.object()?;
    row.retain(|column, _| columns.contains(&column.as_ref()));
    Ok(Some(row))
}
