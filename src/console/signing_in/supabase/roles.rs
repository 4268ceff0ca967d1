//! What somebody may do who signs in by Supabase: their word in `app_metadata`, or in a table of the application.
//!
//! Read at each request, so that a revoked role takes effect with the next page. `user_metadata` is never read: users
//! write it themselves.

use serde_json::Value;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::config::console_roles::{ConsoleRole, RoleSource};

/// The user and the session at Supabase that a session of the console belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::console) struct Account {
    pub user_id: Uuid,
    pub auth_session_id: Uuid,
}

/// Somebody who may use the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Person {
    /// The address they sign in with.
    pub email: Option<String>,
    /// What they may do.
    pub role: ConsoleRole,
}

#[derive(FromRow)]
struct Row {
    email: Option<String>,
    app_metadata: Option<Json<Value>>,
    words: Option<Vec<Option<String>>>,
}

impl Row {
    fn person(self, source: &RoleSource) -> Option<Person> {
        let metadata = self.app_metadata.map(|Json(metadata)| metadata).unwrap_or_default();
        let role = match &self.words {
            Some(words) => source.strongest(words.iter().flatten().map(String::as_str)),
            None => source.strongest(words_of(&metadata)),
        };
        Some(Person { email: self.email, role: role? })
    }
}

/// `role`, a word, and `roles`, a list of them.
fn words_of(app_metadata: &Value) -> impl Iterator<Item = &str> {
    let several = app_metadata["roles"].as_array().into_iter().flatten();
    several.chain([&app_metadata["role"]]).filter_map(Value::as_str)
}

/// An expression for the words of the user `u`; null where they stand in `app_metadata`.
fn words_in_sql(source: &RoleSource) -> String {
    let Some(table) = &source.table else { return "null::text[]".to_owned() };
    format!(
        r#"array(select t."{}"::text from {} t where t."{}" = u.id)"#,
        table.role_column,
        table.relation(),
        table.user_column
    )
}

/// Users who could sign in: not deleted, not banned, not anonymous.
fn users(source: &RoleSource, condition: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "select u.email::text, u.raw_app_meta_data as app_metadata, {} as words from auth.users u
         where u.deleted_at is null and not u.is_anonymous and (u.banned_until is null or u.banned_until <= $1)
           and {condition}",
        words_in_sql(source)
    ))
}

/// Who has this account, if they may use the console and are still signed in at Supabase.
pub(in crate::console) async fn present(
    pool: &PgPool,
    source: &RoleSource,
    account: Account,
    now: OffsetDateTime,
) -> Result<Option<Person>, sqlx::Error> {
    let is_signed_in = "u.id = $2 and exists (
        select from auth.sessions s
        where s.id = $3 and s.user_id = u.id and (s.not_after is null or s.not_after > $1)
    )";
    let found: Option<Row> = sqlx::query_as(users(source, is_signed_in))
        .bind(now)
        .bind(account.user_id)
        .bind(account.auth_session_id)
        .fetch_optional(pool)
        .await?;
    Ok(found.and_then(|row| row.person(source)))
}

/// Whether somebody with this address may use the console.
pub(in crate::console) async fn knows(
    pool: &PgPool,
    source: &RoleSource,
    email: &str,
    now: OffsetDateTime,
) -> Result<bool, sqlx::Error> {
    let has_address = "u.email = $2 and not u.is_sso_user";
    let found: Option<Row> =
        sqlx::query_as(users(source, has_address)).bind(now).bind(email).fetch_optional(pool).await?;
    Ok(found.and_then(|row| row.person(source)).is_some())
}

/// What the audit log calls somebody: addresses change, ids do not.
pub(in crate::console) fn actor(person: &Person, user_id: Uuid) -> String {
    format!("{} ({user_id})", person.email.as_deref().unwrap_or("no address"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(text: &str) -> RoleSource {
        text.parse().unwrap()
    }

    #[test]
    fn the_strongest_word_that_is_known_counts() {
        let plain = RoleSource::default();
        for (metadata, expected) in [
            (json!({"role": "admin"}), Some(ConsoleRole::Admin)),
            (json!({"role": "viewer", "roles": ["operator", "x", 7, null]}), Some(ConsoleRole::Operator)),
            (json!({"roles": ["viewer"]}), Some(ConsoleRole::Viewer)),
            (json!({"role": "Admin"}), None),
            (json!({"role": "super_admin"}), None),
            (json!({"role": ["admin"]}), None),
            (json!({"roles": "admin"}), None),
            (json!({"user_metadata": {"role": "admin"}}), None),
            (json!({}), None),
            (json!(null), None),
        ] {
            assert_eq!(plain.strongest(words_of(&metadata)), expected, "{metadata}");
        }
        let mapped = source("app_metadata:super_admin=admin:admin=operator");
        assert_eq!(mapped.table, None);
        assert_eq!(mapped.strongest(["super_admin"]), Some(ConsoleRole::Admin));
        assert_eq!(
            mapped.strongest(["admin"]),
            Some(ConsoleRole::Operator),
            "the settings' own words come first"
        );
        assert_eq!(mapped.strongest(["viewer"]), Some(ConsoleRole::Viewer));
    }

    #[test]
    fn words_of_a_table_are_read_by_user() {
        let accounts = source("public.user_accounts:user_id:role:super_admin=admin");
        let sql = words_in_sql(&accounts);
        assert_eq!(
            sql,
            r#"array(select t."role"::text from "public"."user_accounts" t where t."user_id" = u.id)"#
        );
    }
}
