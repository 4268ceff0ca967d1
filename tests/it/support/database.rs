//! A test's own database, dropped with the value.

use std::env;
use std::time::{Duration, Instant};

use memberflow::database::without_delay;
use memberflow::store::supabase_stub;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::template;

/// The server that tests use: `DATABASE_URL`, else the local one.
pub fn server_url() -> String {
    env::var("DATABASE_URL").unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".to_owned())
}

/// For a connection to become free.
const ADMIN_PATIENCE: Duration = Duration::from_secs(60);
/// The SQLSTATE of that.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// For the statement to reach the server.
const DROP_PATIENCE: Duration = Duration::from_millis(50);

fn fresh_name() -> String {
    format!("mf_test_{}", uuid::Uuid::new_v4().simple())
}

/// A connection to the server's own database, from which others are made and dropped. Where tests at once have taken
/// all connections that the server lends, some are free again in a moment.
async fn admin() -> PgConnection {
    let deadline = Instant::now() + ADMIN_PATIENCE;
    loop {
        match PgConnection::connect(&server_url()).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(TOO_MANY_CONNECTIONS) => {
                assert!(Instant::now() < deadline, "PostgreSQL lends no connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            connected => return connected.expect("PostgreSQL for tests answers"),
        }
    }
}

pub(super) async fn execute(connection: &mut PgConnection, statement: &str) {
    sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(connection).await.unwrap();
}

/// Nobody needs a test's rows after a crash: no commit waits for the disk.
async fn spare_the_disk(admin: &mut PgConnection, database: &str) {
    execute(admin, &format!("alter database {database} set synchronous_commit = off")).await;
}

/// Enough for a transaction that has a lock and one that waits for it. Each connection plans every statement anew, which takes
/// longer than most tests' statements themselves.
const CONNECTIONS: u32 = 2;

fn pool(options: PgConnectOptions, connections: u32) -> PgPool {
    without_delay(PgPoolOptions::new().max_connections(connections)).connect_lazy_with(options)
}

/// A fresh database, dropped when this value is.
pub struct TestDatabase {
    pub name: String,
    pub pool: PgPool,
}

impl TestDatabase {
    /// An empty database: no Supabase schemas, no migrations.
    pub async fn empty() -> Self {
        let name = fresh_name();
        let mut admin = admin().await;
        execute(&mut admin, &format!("create database {name}")).await;
        spare_the_disk(&mut admin, &name).await;
        Self::open(name)
    }

    pub(super) fn open(name: String) -> Self {
        let options: PgConnectOptions = server_url().parse().unwrap();
        let pool = pool(options.database(&name).options([("jit", "off")]), CONNECTIONS);
        Self { name, pool }
    }

    /// This database for a test that does more at once.
    pub fn with_connections(mut self, connections: u32) -> Self {
        self.pool = pool(self.options(), connections);
        self
    }

    /// An empty database with the Supabase stub: what a new project looks like.
    pub async fn stubbed() -> Self {
        let database = Self::empty().await;
        supabase_stub::create(&mut database.pool.acquire().await.unwrap()).await.unwrap();
        database
    }

    /// A database with the Supabase stub and all migrations, as `memberflow migrate --supabase-stub` makes it.
    pub async fn migrated() -> Self {
        let name = fresh_name();
        let mut admin = admin().await;
        template::copy_migrated(&mut admin, &name).await;
        spare_the_disk(&mut admin, &name).await;
        Self::open(name)
    }

    /// A database as `prepare` leaves a migrated one, which is done once for all tests that want `what`. It makes no other
    /// database.
    pub async fn prepared(what: &str, prepare: impl AsyncFnOnce(Self) -> Self) -> Self {
        let name = fresh_name();
        let mut admin = admin().await;
        template::copy_prepared(&mut admin, &name, what, prepare).await;
        spare_the_disk(&mut admin, &name).await;
        Self::open(name)
    }

    /// Closes all connections, and keeps the database.
    pub(super) async fn keep(self) {
        self.pool.close().await;
        std::mem::forget(self);
    }

    /// Takes the database away under whoever uses it.
    pub async fn destroy(&self) {
        execute(&mut admin().await, &format!("drop database {} with (force)", self.name)).await;
    }

    /// How to connect to this database.
    pub fn options(&self) -> PgConnectOptions {
        (*self.pool.connect_options()).clone()
    }

    /// The URL of this database.
    pub fn url(&self) -> String {
        let base = server_url();
        let (head, query) = base.split_once('?').map_or((base.as_str(), None), |(h, q)| (h, Some(q)));
        let root = head.rfind('/').filter(|at| *at > "postgres://".len()).map_or(head, |at| &head[..at]);
        query.map_or_else(|| format!("{root}/{}", self.name), |q| format!("{root}/{}?{q}", self.name))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        // A thread with a runtime of its own: drop is not async, and the test's runtime may be ending.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut admin = admin().await;
                let statement = format!("drop database if exists {name} with (force)");
                // Postgres waits for a checkpoint, about a second, which nobody else needs to wait for. It has the
                // statement by now and carries it out to its end, whether or not its client is there.
                tokio::time::timeout(DROP_PATIENCE, execute(&mut admin, &statement)).await.ok();
            });
        });
        dropped.join().ok();
    }
}
