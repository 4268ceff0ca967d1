//! What somebody may do who signs in by Supabase: their word in `app_metadata`, or in a table of the application.
//!
//! Asked at each request, so that who is no longer anything is out with the next page. `user_metadata` is never asked: users
//! write it themselves.

use std::str::FromStr;

use serde_json::Value;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Account;
use crate::console::signing_in::session::Role;
use crate::project::supabase::tables::is_identifier;

/// What the setting looks like.
pub const FORM: &str = "app_metadata, or schema.table:user_id_column:role_column, with :word=role behind it for each word that is not viewer, operator or admin (public.user_accounts:user_id:role:super_admin=admin)";

/// What says what somebody may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleSource {
    /// The table to read; none: `app_metadata`.
    pub table: Option<RoleTable>,
    /// Further words, each with what it allows. They come before the roles' own names.
    words: Vec<(String, Role)>,
}

/// A table with the application's own roles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleTable {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub table: String,
    /// The column with the user's id, a uuid.
    pub user_column: String,
    /// The column with the word.
    pub role_column: String,
}

impl RoleTable {
    /// As it stands in SQL. The names are plain identifiers.
    #[must_use]
    pub fn relation(&self) -> String {
        format!(r#""{}"."{}""#, self.schema, self.table)
    }
}

impl FromStr for RoleSource {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':').map(str::trim);
        let table = match parts.next() {
            Some("app_metadata") => None,
            relation => {
                let (schema, table) = relation.and_then(|it| it.split_once('.')).ok_or(())?;
                let (user, role) = (parts.next().ok_or(())?, parts.next().ok_or(())?);
                let is_plain = [schema, table, user, role].into_iter().all(is_identifier);
                // What stands in these is not the application's to set.
                if !is_plain || matches!(schema, "auth" | "storage" | "ingest") {
                    return Err(());
                }
                let [schema, table, user_column, role_column] =
                    [schema, table, user, role].map(str::to_owned);
                Some(RoleTable { schema, table, user_column, role_column })
            }
        };
        let words = parts.map(word).collect::<Option<_>>().ok_or(())?;
        Ok(Self { table, words })
    }
}

fn word(text: &str) -> Option<(String, Role)> {
    let (word, role) = text.split_once('=')?;
    Some((word.to_owned(), Role::named(role)?)).filter(|(word, _)| !word.is_empty())
}

impl RoleSource {
    /// What the strongest of `words` allows; nothing where none of them is known.
    fn strongest<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Option<Role> {
        let role = |word: &str| match self.words.iter().find(|(known, _)| known == word) {
            Some((_, role)) => Some(*role),
            None => Role::named(word),
        };
        words.into_iter().filter_map(role).max()
    }

    /// An expression for the words of the user `u`; null where they stand in `app_metadata`.
    fn words_in_sql(&self) -> String {
        let Some(table) = &self.table else { return "null::text[]".to_owned() };
        format!(
            r#"array(select t."{}"::text from {} t where t."{}" = u.id)"#,
            table.role_column,
            table.relation(),
            table.user_column
        )
    }
}

/// Somebody who may use the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Person {
    /// The address they sign in with.
    pub email: Option<String>,
    /// What they may do.
    pub role: Role,
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

/// Users who could sign in: not deleted, not banned, not anonymous.
fn users(source: &RoleSource, condition: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(format!(
        "select u.email::text, u.raw_app_meta_data as app_metadata, {} as words from auth.users u
         where u.deleted_at is null and not u.is_anonymous and (u.banned_until is null or u.banned_until <= $1)
           and {condition}",
        source.words_in_sql()
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
            (json!({"role": "admin"}), Some(Role::Admin)),
            (json!({"role": "viewer", "roles": ["operator", "x", 7, null]}), Some(Role::Operator)),
            (json!({"roles": ["viewer"]}), Some(Role::Viewer)),
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
        assert_eq!(mapped.strongest(["super_admin"]), Some(Role::Admin));
        assert_eq!(mapped.strongest(["admin"]), Some(Role::Operator), "the settings' own words come first");
        assert_eq!(mapped.strongest(["viewer"]), Some(Role::Viewer));
    }

    #[test]
    fn a_source_is_a_table_and_its_columns_or_app_metadata() {
        assert_eq!(source("app_metadata"), RoleSource::default());
        let accounts = source("public.user_accounts:user_id:role:super_admin=admin");
        let sql = accounts.words_in_sql();
        assert_eq!(
            sql,
            r#"array(select t."role"::text from "public"."user_accounts" t where t."user_id" = u.id)"#
        );
        for wrong in [
            "",
            "user_metadata",
            "user_accounts:user_id:role",
            "public.user_accounts",
            "public.user_accounts:user_id",
            "public.user_accounts:user_id:role:super_admin",
            "public.user_accounts:user_id:role:super_admin=owner",
            "public.user_accounts:user_id:role:=admin",
            "public.user_accounts:user_id:ro\"le",
            "public.user accounts:user_id:role",
            "auth.users:id:role",
            "a.b.c:user_id:role",
        ] {
            assert_eq!(wrong.parse::<RoleSource>(), Err(()), "{wrong}");
        }
    }
}
