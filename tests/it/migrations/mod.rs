//! What the migrations make of a new database, of a deployment's, and of one that is not Supabase's.

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
use sqlx::{AssertSqlSafe, PgPool};

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
