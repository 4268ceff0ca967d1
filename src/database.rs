//! Postgres: connecting to it, and beginning transactions on it.

pub mod sql;

use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Postgres, Transaction};

use crate::config::Config;

/// How long a statement of ours may wait for a connection: short, so that a receiver can say 503 in time.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// A pool that connects when it is first needed, so that nothing waits for a database that is away.
///
/// # Errors
/// If `DATABASE_URL` cannot be read as a URL.
pub fn connect(config: &Config) -> Result<PgPool, sqlx::Error> {
    let options: PgConnectOptions = config.database_url.expose_secret().parse()?;
    let options = options.application_name("memberflow").options([
        // A process that stops in mid-transaction must not hold the projection's lock for long.
        ("idle_in_transaction_session_timeout", "15s"),
        ("timezone", "UTC"),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(config.database_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_lazy_with(options))
}

/// A transaction on a connection of `pool`. May be cancelled at any point.
///
/// # Errors
/// The database does not answer.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    begin_with(pool, "begin").await
}

/// A transaction that only reads, all of it at one moment. May be cancelled at any point.
///
/// # Errors
/// The database does not answer.
pub async fn begin_reading(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    begin_with(pool, "begin isolation level repeatable read read only").await
}

/// sqlx 0.9 rolls back what is cancelled except the BEGIN itself: cancelled while that is on its way, the
/// connection goes back to the pool inside a transaction that nobody will commit, and the next borrower's
/// writes are lost with it (<https://github.com/launchbadge/sqlx/issues/4393>). In a task of its own it
/// always comes to its end, and the transaction that nobody waits for any more is rolled back.
async fn begin_with(
    pool: &PgPool,
    statement: &'static str,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    #[expect(clippy::disallowed_methods, reason = "ends by itself, and shutdown waits for whoever began it")]
    let begun = tokio::spawn(async move { pool.begin_with(statement).await });
    begun.await.map_err(|fault| sqlx::Error::Io(std::io::Error::other(fault)))?
}
