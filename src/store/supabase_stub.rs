//! A local stub of Supabase's schemas. Never created over a real Supabase.

use serde::Serialize;
use sqlx::{Connection as _, Executor as _, PgConnection};

use super::migrate::MigrateError;

const SQL: &str = include_str!("supabase_stub.sql");

/// The comment on the `auth` schema that identifies our stub.
const MARK: &str = "memberflow's local stand-in for Supabase";

/// The outcome of creating the stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StubOutcome {
    /// Not requested.
    NotAsked,
    /// Made now.
    Created,
    /// Our stub exists already.
    AlreadyThere,
}

/// Creates the stub. The caller holds the migration lock.
///
/// # Errors
/// [`MigrateError::StubRefused`], if the database has an `auth` or `storage` schema that is not ours.
pub async fn create(connection: &mut PgConnection) -> Result<StubOutcome, MigrateError> {
    if is_ours(connection).await? {
        return Ok(StubOutcome::AlreadyThere);
    }
    if has_schema(connection, "auth").await? {
        return Err(MigrateError::StubRefused(
            "this database has a schema `auth` that memberflow did not make",
        ));
    }
    if has_schema(connection, "storage").await? {
        return Err(MigrateError::StubRefused(
            "this database has a schema `storage` that memberflow did not make",
        ));
    }
    let mut transaction = connection.begin().await?;
    transaction.execute(SQL).await?;
    transaction.commit().await?;
    Ok(StubOutcome::Created)
}

/// Whether the database has a schema of that name.
pub(super) async fn has_schema(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select to_regnamespace($1) is not null").bind(name).fetch_one(connection).await
}

async fn is_ours(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select obj_description(to_regnamespace('auth'), 'pg_namespace') is not distinct from $1",
    )
    .bind(MARK)
    .fetch_one(connection)
    .await
}
