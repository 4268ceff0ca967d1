//! What the migrations make of a new database, of a deployment's, and of one that is not Supabase's.

mod application_queries;
mod application_rows;
mod applying;
pub mod combined;
mod deployment;
mod earlier_version;
mod lint;
mod manual_flags;
mod notes;
mod protection;
mod shape;
mod stub;
mod tickets;

use memberflow::store::migrate::{self, MigrateOptions, Report};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};

use crate::support::database::TestDatabase;

/// All migration files, in the order of their names.
pub fn files() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

async fn apply(database: &TestDatabase) -> Report {
    migrate::run(&database.options(), MigrateOptions::default()).await.unwrap()
}

pub async fn execute(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

async fn texts(pool: &PgPool, sql: &str) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(pool).await.unwrap()
}

/// Everything in `public` and `ingest` that a migration can make, one line each.
async fn inventory(pool: &PgPool) -> Vec<String> {
    texts(pool, include_str!("inventory.sql")).await
}

/// A transaction as PostgREST begins it for a role with these claims.
pub async fn begin_as(pool: &PgPool, role: &str, claims: &Value) -> Transaction<'static, Postgres> {
    let mut tx = memberflow::database::begin(pool).await.unwrap();
    sqlx::query("select set_config('request.jwt.claims', $1, true)")
        .bind(claims.to_string())
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query(AssertSqlSafe(format!("set local role {role}"))).execute(&mut *tx).await.unwrap();
    tx
}

/// The SQLSTATE with which a statement was refused.
fn code(error: &sqlx::Error) -> String {
    error.as_database_error().unwrap().code().unwrap().into_owned()
}

/// The rows that a role gets with these claims from one statement, or the SQLSTATE. What the statement changes lasts if
/// the transaction is committed.
async fn ask(
    pool: &PgPool,
    role: &str,
    claims: &Value,
    sql: &str,
) -> (Transaction<'static, Postgres>, Result<Vec<Value>, String>) {
    let mut tx = begin_as(pool, role, claims).await;
    let sql = format!("with asked as ({sql}) select to_jsonb(a) from asked a");
    let rows = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut *tx).await;
    (tx, rows.map_err(|error| code(&error)))
}
