//! The databases that tests copy theirs from: as the migrations leave them, or as a beginning that several tests share leaves
//! them. A copy takes a tenth of the time of the migrations.
//!
//! Templates stay on the server after the tests: the next run begins with its own. A few others stay too, so that several
//! checkouts are tested side by side.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use memberflow::store::migrate::{self, MigrateOptions};
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use uuid::Uuid;

use super::database::{TestDatabase, execute, server_url};

/// What the names of those begin with that only the migrations have made.
const MIGRATED: &str = "mf_template_";
/// The same for those that tests have prepared.
const PREPARED: &str = "mf_prepared_";

/// Other templates of each kind that stay: more than one run makes.
const OTHERS: i64 = 24;

/// Held shared by whoever copies, alone by whoever makes or drops a template.
const LOCK: i64 = 0x6d66_7465_6d70;

/// Makes the database `name`, as the migrations leave it.
pub async fn copy_migrated(admin: &mut PgConnection, name: &str) {
    let hash = of_migrations();
    copy(admin, name, (MIGRATED, hash), async |admin, unfinished| {
        execute(admin, &format!("create database {unfinished}")).await;
        let options: PgConnectOptions = server_url().parse().unwrap();
        migrate::run(&options.database(unfinished), MigrateOptions { supabase_stub: true }).await.unwrap();
    })
    .await;
}

/// Makes the database `name`, as `prepare` leaves a migrated one. It is called for the first of this binary's tests to want
/// `what`, and must make no other database: until it ends, nobody gets one.
pub async fn copy_prepared(
    admin: &mut PgConnection,
    name: &str,
    what: &str,
    prepare: impl AsyncFnOnce(TestDatabase) -> TestDatabase,
) {
    let hash = of_prepared(what);
    copy(admin, name, (PREPARED, hash), async |admin, unfinished| {
        copy_migrated(admin, unfinished).await;
        prepare(TestDatabase::open(unfinished.to_owned())).await.keep().await;
    })
    .await;
}

/// Copies the template of this kind and hash as the database `name`. Where there is none, `make` makes it first.
async fn copy(
    admin: &mut PgConnection,
    name: &str,
    (kind, hash): (&str, u64),
    make: impl AsyncFnOnce(&mut PgConnection, &str),
) {
    let template = format!("{kind}{hash:016x}");
    execute(admin, &format!("select pg_advisory_lock_shared({LOCK})")).await;
    let is_made = exists(admin, &template).await;
    if !is_made {
        execute(admin, &format!("select pg_advisory_unlock_shared({LOCK})")).await;
        execute(admin, &format!("select pg_advisory_lock({LOCK})")).await;
        if !exists(admin, &template).await {
            drop_others(admin, kind).await;
            // Named last: a template whose making was cut short is nobody's.
            let unfinished = format!("{kind}unfinished_{}", Uuid::new_v4().simple());
            make(admin, &unfinished).await;
            execute(admin, &format!("alter database {unfinished} rename to {template}")).await;
        }
    }
    let strategy = strategy(admin).await;
    execute(admin, &format!("create database {name} template {template} {strategy}")).await;
    let mode = if is_made { "_shared" } else { "" };
    execute(admin, &format!("select pg_advisory_unlock{mode}({LOCK})")).await;
}

/// Drops those of the kind whose making was cut short, and the oldest.
async fn drop_others(admin: &mut PgConnection, kind: &str) {
    let others = "select datname from pg_database where starts_with(datname, $1 || 'unfinished')
                  union all
                  (select datname from pg_database where starts_with(datname, $1) order by oid desc offset $2)";
    let others = sqlx::query_scalar::<_, String>(others).bind(kind).bind(OTHERS);
    for other in others.fetch_all(&mut *admin).await.unwrap() {
        execute(admin, &format!("drop database if exists {other} with (force)")).await;
    }
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

/// A hash of all that a migrated database is made of.
fn of_migrations() -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in
        files(&root().join("migrations")).into_iter().chain([root().join("src/store/supabase_stub.sql")])
    {
        std::fs::read(file).unwrap().hash(&mut hasher);
    }
    hasher.finish()
}

/// A hash of `what` a test has prepared, and of what it is made of: the migrations, the fixtures, the program and the test.
fn of_prepared(what: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (what, of_migrations()).hash(&mut hasher);
    // By when they were written: there are hundreds, and each test that wants a copy looks.
    for file in files(&root().join("fixtures")).into_iter().chain([std::env::current_exe().unwrap()]) {
        let written_at = file.metadata().unwrap().modified().unwrap();
        (file, written_at).hash(&mut hasher);
    }
    hasher.finish()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder`, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}
