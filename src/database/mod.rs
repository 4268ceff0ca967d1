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

/// How long a statement of ours may wait for a connection: short, so that a receiver can say 503 in time.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a connection may take to come to rest before it is lent again.
const REST_LIMIT: Duration = Duration::from_secs(5);
/// Between attempts to replace a connection whose other end vanished.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);
/// Nothing that a service asks of the database takes as long: it is gone without a word.
const SILENCE_LIMIT: Duration = Duration::from_secs(300);

/// A pool of all configured connections, for a command that is one process and has one use for them.
///
/// # Errors
/// If `DATABASE_URL` cannot be read as a URL.
pub fn connect(config: &Config) -> Result<PgPool, sqlx::Error> {
    pool(config, config.database_connections)
}

/// How to connect.
///
/// # Errors
/// If `DATABASE_URL` cannot be read as a URL.
pub fn options(config: &Config) -> Result<PgConnectOptions, sqlx::Error> {
    let options: PgConnectOptions = config.database_url.expose_secret().parse()?;
    Ok(options.application_name("memberflow").options([
        // A process that stops in mid-transaction must not hold the projection's lock for long.
        ("idle_in_transaction_session_timeout", "15s"),
        ("timezone", "UTC"),
        // Postgres would compile statements that it takes for dear, for a second and more under the projection's
        // lock, which run in milliseconds: its guesses are far too high where statistics lag behind.
        ("jit", "off"),
    ]))
}

/// A pool that connects when it is first needed, so that nothing waits for a database that is away.
///
/// # Errors
/// If `DATABASE_URL` cannot be read as a URL.
pub fn pool(config: &Config, connections: u32) -> Result<PgPool, sqlx::Error> {
    let options = options(config)?;
    let again = options.clone();
    Ok(without_delay(PgPoolOptions::new())
        // Where a share is 0 its pool is never used; sqlx knows no empty one.
        .max_connections(connections.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_release(move |connection, _| {
            let again = again.clone();
            Box::pin(async move { come_to_rest(connection, &again).await })
        })
        .connect_lazy_with(options))
}

/// `options` of a pool whose connections send each statement at once.
#[must_use]
pub fn without_delay(options: PgPoolOptions) -> PgPoolOptions {
    options.after_connect(|_, _| {
        nodelay::set_on_open_sockets();
        Box::pin(async { Ok(()) })
    })
}

/// A connection of its own, outside any pool, that sends each statement at once.
///
/// # Errors
/// The database cannot be reached or refuses.
pub async fn connect_alone(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connection = PgConnection::connect_with(options).await?;
    nodelay::set_on_open_sockets();
    Ok(connection)
}

/// A server or a network that vanished without a word says nothing for ever, and sqlx would wait as long for the end of
/// what somebody has given up, and for a farewell over TLS: the connection would be lost to the pool. Here another one
/// takes its place, and its own socket is closed as it is dropped.
async fn come_to_rest(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
) -> Result<bool, sqlx::Error> {
    match timeout(REST_LIMIT, connection.ping()).await {
        Ok(pinged) => pinged.map(|()| true),
        Err(_) => {
            *connection = connect_again(options).await;
            Ok(true)
        }
    }
}

async fn connect_again(options: &PgConnectOptions) -> PgConnection {
    loop {
        if let Ok(Ok(connection)) = timeout(REST_LIMIT, connect_alone(options)).await {
            return connection;
        }
        sleep(RECONNECT_DELAY).await;
    }
}

/// `work` on the database, given up where it lasts for minutes: sqlx sets no keep-alive on its connections, so that
/// one to a server that vanished without a word would be waited for without end.
///
/// # Errors
/// What `work` says, or that it was given up.
pub async fn within_reason<T, E: From<sqlx::Error>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    within(SILENCE_LIMIT, work).await
}

async fn within<T, E: From<sqlx::Error>>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let silent = || io::Error::new(ErrorKind::TimedOut, format!("the database did not answer for {limit:?}"));
    timeout(limit, work).await.unwrap_or_else(|_| Err(sqlx::Error::from(silent()).into()))
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

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::store::StoreError;

    #[tokio::test]
    async fn what_never_ends_is_given_up_as_if_the_database_were_away() {
        let limit = Duration::from_millis(10);
        let error = within(limit, pending::<Result<(), StoreError>>()).await.unwrap_err();
        assert!(error.is_lost_connection());
        assert_eq!(
            error.to_string(),
            "the database is not available: error communicating with database: the database did not answer for 10ms"
        );
    }
}
