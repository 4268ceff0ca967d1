//! The migrated database that tests copy theirs from. A copy takes a tenth of the time of the migrations.
//!
//! Templates stay on the server after the tests: the next run begins with its own. Of other migrations a few stay too, so
//! that several checkouts are tested side by side.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use memberflow::store::migrate::{self, MigrateOptions};
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;

use super::database::{execute, server_url};

const PREFIX: &str = "mf_template_";

/// Templates of other migrations that stay.
const OTHERS: i64 = 8;

/// Held shared by whoever copies, alone by whoever makes or drops a template.
const LOCK: i64 = 0x6d66_7465_6d70;

/// Makes the database `name`, as the migrations leave it.
pub async fn copy(admin: &mut PgConnection, name: &str) {
    let template = format!("{PREFIX}{:016x}", fingerprint());
    loop {
        execute(admin, &format!("select pg_advisory_lock_shared({LOCK})")).await;
        let exists = exists(admin, &template).await;
        if exists {
            let strategy = strategy(admin).await;
            execute(admin, &format!("create database {name} template {template} {strategy}")).await;
        }
        execute(admin, &format!("select pg_advisory_unlock_shared({LOCK})")).await;
        if exists {
            return;
        }
        make(admin, &template).await;
    }
}

async fn make(admin: &mut PgConnection, template: &str) {
    execute(admin, &format!("select pg_advisory_lock({LOCK})")).await;
    if !exists(admin, template).await {
        // Named last: a template whose making was cut short is nobody's.
        let unfinished = format!("{PREFIX}unfinished");
        execute(admin, &format!("drop database if exists {unfinished} with (force)")).await;
        let oldest =
            "select datname from pg_database where starts_with(datname, $1) order by oid desc offset $2";
        let oldest = sqlx::query_scalar::<_, String>(oldest).bind(PREFIX).bind(OTHERS);
        for other in oldest.fetch_all(&mut *admin).await.unwrap() {
            execute(admin, &format!("drop database {other} with (force)")).await;
        }
        execute(admin, &format!("create database {unfinished}")).await;
        let options: PgConnectOptions = server_url().parse().unwrap();
        migrate::run(&options.database(&unfinished), MigrateOptions { supabase_stub: true }).await.unwrap();
        execute(admin, &format!("alter database {unfinished} rename to {template}")).await;
    }
    execute(admin, &format!("select pg_advisory_unlock({LOCK})")).await;
}

async fn exists(admin: &mut PgConnection, database: &str) -> bool {
    let exists = sqlx::query_scalar("select exists (select from pg_database where datname = $1)");
    exists.bind(database).fetch_one(admin).await.unwrap()
}

/// Where no checkpoint waits for the disk, copying files takes a third of the time of writing every page to the log, which is
/// what Postgres does from 15 on.
async fn strategy(admin: &mut PgConnection) -> &'static str {
    let is_quick =
        "select current_setting('fsync') = 'off' and current_setting('server_version_num')::int >= 150000";
    let is_quick: bool = sqlx::query_scalar(is_quick).fetch_one(admin).await.unwrap();
    if is_quick { "strategy file_copy" } else { "" }
}

/// Of all that a migrated database is made of.
fn fingerprint() -> u64 {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(root.join("migrations")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.chain([root.join("src/store/supabase_stub.sql")]).collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}
