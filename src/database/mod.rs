//! Postgres: connecting to it, and beginning transactions on it.

pub mod nodelay;
pub mod sql;

use std::io::{self, ErrorKind};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Transaction};
use tokio::time::{sleep, timeout};

use crate::config::Config;

/// How long to wait for a connection. The receiver answers 503 before it ends (`ENQUEUE_TIMEOUT`) and logs the cause when it
/// has ended.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a returned connection may take to become idle before it is reused.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Between attempts to replace a connection to a vanished server.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// No statement of the service takes as long: the server has vanished.
const STATEMENT_TIME_LIMIT: Duration = Duration::from_secs(300);

/// A pool of all configured connections, for commands.
///
/// # Errors
/// If `DATABASE_URL` cannot be read as a URL.
pub fn connect(config: &Config) -> Result<PgPool, sqlx::Error> {
    pool(config, config.database_connections)
}

/// The connection options of `DATABASE_URL`, with the settings of every session.
///
/// # Errors
/// If `DATABASE_URL` cannot be read as a URL.
pub fn options(config: &Config) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = config.database_url.expose_secret().parse()?;
    Ok(options.application_name("memberflow").options([
        // A process that hangs in a transaction must not hold the derivation lock for long.
        ("idle_in_transaction_session_timeout", "15s"),
        ("timezone", "UTC"),
        // Postgres would JIT-compile statements with a high estimated cost, for a second and more under the
        // derivation lock, although they run in milliseconds: estimates are far too high when statistics are
        // stale.
        ("jit", "off"),
    ]))
}

/// A pool that connects lazily, so that nothing waits for a database that is down.
///
/// # Errors
/// If `DATABASE_URL` cannot be read as a URL.
pub fn pool(config: &Config, connections: u32) -> Result<PgPool, sqlx::Error> {
    Ok(pool_with(options(config)?, connections))
}

/// The same for operations of any length that can be cancelled: Postgres ends the statement of a connection that is dropped,
/// as it does for a rebuild.
///
/// # Errors
/// If `DATABASE_URL` cannot be read as a URL.
pub fn cancellable_pool(config: &Config, connections: u32) -> Result<PgPool, sqlx::Error> {
    let options = options(config)?.options([("client_connection_check_interval", "1s")]);
    Ok(pool_with(options, connections))
}

fn pool_with(options: PgConnectOptions, connections: u32) -> PgPool {
    let again = options.clone();
    without_delay(PgPoolOptions::new())
        // If a share is 0, its pool is never used; sqlx has no empty pools.
        .max_connections(connections.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_release(move |connection, _| {
            let again = again.clone();
            Box::pin(async move { check_or_replace(connection, &again).await })
        })
        .connect_lazy_with(options)
}

/// `options` with TCP_NODELAY on every connection.
#[must_use]
pub fn without_delay(options: PgPoolOptions) -> PgPoolOptions {
    options.after_connect(|_, _| {
        nodelay::set_on_open_sockets();
        Box::pin(async { Ok(()) })
    })
}

/// A connection outside any pool, with TCP_NODELAY.
///
/// # Errors
/// If the database cannot be reached or refuses.
pub async fn connect_unpooled(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connection = PgConnection::connect_with(options).await?;
    nodelay::set_on_open_sockets();
    Ok(connection)
}

/// A server that vanished without closing the connection never answers, and sqlx would wait forever for the
/// end of a cancelled statement, or for a TLS shutdown: the pool would lose the connection. Here another one
/// replaces it, and its socket is closed when it is dropped.
async fn check_or_replace(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<bool, sqlx::Error> {
    match timeout(PING_TIMEOUT, connection.ping()).await {
        Ok(pinged) => pinged.map(|()| true),
        Err(_) => {
            *connection = reconnect(options).await;
            Ok(true)
        }
    }
}

async fn reconnect(options: &PgConnectOptions) -> PgConnection {
    loop {
        if let Ok(Ok(connection)) = timeout(PING_TIMEOUT, connect_unpooled(options)).await {
            return connection;
        }
        sleep(RECONNECT_DELAY).await;
    }
}

/// Runs `work` with a time limit of minutes: sqlx sets no keep-alive, so a vanished server would be waited
/// for forever.
///
/// # Errors
/// The error of `work`, or a time-out.
pub async fn with_time_limit<T, E: From<sqlx::Error>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    within(STATEMENT_TIME_LIMIT, work).await
}

async fn within<T, E: From<sqlx::Error>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let silent = || io::Error::new(ErrorKind::TimedOut, format!("the database did not answer for {limit:?}"));
    timeout(limit, work).await.unwrap_or_else(|_| Err(sqlx::Error::from(silent()).into()))
}

/// A transaction on a connection of `pool`. Cancel-safe. Read committed whatever the role's default is: what a
/// batch reads after it took the derivation lock must be what all batches before it committed.
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    begin_with(pool, "begin isolation level read committed").await
}

/// A read-only transaction with one snapshot. Cancel-safe.
pub async fn begin_read_only(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    begin_with(pool, "begin isolation level repeatable read read only").await
}

/// sqlx 0.9 does not roll back a cancelled BEGIN: the connection returns to the pool inside a transaction
/// that nobody will commit, and the next user's writes are lost
/// (<https://github.com/launchbadge/sqlx/issues/4393>). In its own task it always completes, and an abandoned
/// transaction is rolled back.
async fn begin_with(
    pool: &PgPool,
    statement: &'static str,
) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    #[expect(clippy::disallowed_methods, reason = "ends by itself, and shutdown waits for whoever began it")]
    let begun = tokio::spawn(async move { pool.begin_with(statement).await });
    begun.await.map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test]
    async fn endless_statement_times_out_as_unavailable() {
        let limit = Duration::from_millis(10);
        let error = within(limit, pending::<Result<(), sqlx::Error>>()).await.unwrap_err();
        assert!(matches!(error, sqlx::Error::Io(_)), "a lost connection");
        assert_eq!(
            error.to_string(),
            "error communicating with database: the database did not answer for 10ms"
        );
    }
}
