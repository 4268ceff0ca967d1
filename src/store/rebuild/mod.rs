//! A rebuild: everything derived again from the inbox, in shadow tables, by the code that
//! derives the live ones; then the two are compared, and the live ones made equal where they are not.
//!
//! A [`replay`] does the same for one [`subset`] of the rows at a time, with the events about that subset alone.
//!
//! A rebuild works on a connection of its own and in pages, without the derivation lock, while events keep
//! coming. [`resolve`] makes the facts of all events and [`mod@derive`] everything else; [`catch_up`] applies
//! what came meanwhile; [`compare`] finds each differing row and [`repair`] fixes it. Until the one
//! transaction that fixes, a rebuild writes nothing but its own schema: it can end at any moment.

mod batch;
mod catch_up;
mod compare;
mod derive;
mod repair;
mod replay;
mod resolve;
mod rows;
mod seed;
mod selection;
mod shadow;
mod subset;
mod totals;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _, PgConnection};
use time::OffsetDateTime;

use super::events::EventKey;
use super::locks::REBUILD_LOCK;
use super::tables::Tables;
use super::{Store, StoreError, StoreSettings};
use crate::clock::Clock;

pub use compare::RowDifference;
pub use replay::{ReplayQueue, SubsetReport};
pub use selection::Selection;

/// How long to wait for a rebuild that has just been killed: its backend notices within a second or two.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(200);

/// Hosts' clocks may differ by this much and a batch may wait this long for a connection, and no event is
/// missed. More only costs reading the keys of more events.
const CLOCK_MARGIN: time::Duration = time::Duration::minutes(10);

/// Why a rebuild ended.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// There can be one at a time.
    #[error("another rebuild is under way: wait until it has ended")]
    AnotherIsRunning,
    /// No stored event is selected.
    #[error("no event in the inbox is among the selected ones: `memberflow events list` shows what there is")]
    NothingSelected,
    /// The database is away or refuses. Nothing in the live tables was changed.
    #[error("ended before its end, and what was not fixed before is as it was: {0}")]
    Database(#[from] sqlx::Error),
    /// What was due could not be derived.
    #[error("what is due could not be derived before the comparison: {0}")]
    Due(#[from] StoreError),
}

/// How many rows differ, by live table. Tables without a difference are not named.
pub type Counts = BTreeMap<String, i64>;

/// A rebuild under way. Dropped, it leaves its schema behind, which the next one replaces.
#[derive(Debug)]
pub struct Rebuild {
    connection: PgConnection,
    store: Store,
    /// Every event that was not to be seen when this began is applied at this moment or later.
    since: OffsetDateTime,
    /// The last event resolved.
    last_event: EventKey,
    /// The pages of events resolved.
    pages: u32,
    /// The last customer derived.
    last_customer: String,
    /// The last user derived.
    last_user: uuid::Uuid,
}

impl Rebuild {
    /// Begins: makes the shadow tables, empty.
    ///
    /// # Errors
    /// [`RebuildError`]; nothing was changed then.
    pub async fn begin(store: &Store) -> Result<Self, RebuildError> {
        let mut rebuild = Self::on_empty_tables(store).await?;
        rebuild.since -= oldest_transaction(&mut rebuild.connection).await?;
        shadow::copy_users(&mut rebuild.connection).await?;
        seed::seed(&mut rebuild.connection, &store.settings).await?;
        Ok(rebuild)
    }

    async fn on_empty_tables(store: &Store) -> Result<Self, RebuildError> {
        let mut connection = connect(store).await?;
        shadow::create(&mut connection).await?;
        Ok(Self {
            connection,
            store: store.clone(),
            since: store.clock.now() - CLOCK_MARGIN,
            last_event: EventKey::default(),
            pages: 0,
            last_customer: String::new(),
            last_user: uuid::Uuid::nil(),
        })
    }

    /// Ends: drops the shadow tables.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn end(self) -> Result<(), RebuildError> {
        leave(self.connection).await
    }

    const fn settings(&self) -> &StoreSettings {
        &self.store.settings
    }

    const fn clock(&self) -> &Clock {
        &self.store.clock
    }
}

/// Removes what a rebuild that was stopped has left behind.
///
/// # Errors
/// [`RebuildError`]
pub async fn clear(store: &Store) -> Result<(), RebuildError> {
    leave(connect(store).await?).await
}

/// The same as [`clear`], in a transaction that prevents rebuilds.
pub(super) async fn remove_leftovers(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    shadow::remove(tx).await
}

/// Drops the shadow tables and ends the session. The lock is given back by name: a backend ends some time after its
/// client has gone, and who asks at once would find a rebuild under way.
async fn leave(mut connection: PgConnection) -> Result<(), RebuildError> {
    shadow::remove(&mut connection).await?;
    sqlx::query("select pg_advisory_unlock($1)").bind(REBUILD_LOCK).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// A session of our own that holds the lock of whoever rebuilds; both end together, whatever happens.
async fn connect(store: &Store) -> Result<PgConnection, RebuildError> {
    let mut connection = crate::database::connect_unpooled(&store.pool.connect_options()).await?;
    // The shadow's tables grow from nothing, so that no plan made for them may be kept. A backend whose
    // client is gone must not continue, for the next rebuild waits for it.
    connection
        .execute(
            "set plan_cache_mode = force_custom_plan; set statement_timeout = 0;
             set lock_timeout = '60s'; set client_connection_check_interval = '1s'",
        )
        .await?;
    let begun = Instant::now();
    loop {
        let held: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
            .bind(REBUILD_LOCK)
            .fetch_one(&mut connection)
            .await?;
        if held {
            return Ok(connection);
        }
        if begun.elapsed() > LOCK_PATIENCE {
            return Err(RebuildError::AnotherIsRunning);
        }
        tokio::time::sleep(LOCK_RETRY).await;
    }
}

/// For how long the oldest transaction of this database has been running: it may have written events that
/// nobody sees yet.
async fn oldest_transaction(connection: &mut PgConnection) -> Result<time::Duration, sqlx::Error> {
    let seconds: f64 = sqlx::query_scalar(
        "select coalesce(max(extract(epoch from now() - xact_start)), 0)::float8 from pg_stat_activity
         where datname = current_database()",
    )
    .fetch_one(connection)
    .await?;
    Ok(time::Duration::seconds_f64(seconds.max(0.0)))
}

/// Begins a transaction on the shadow tables.
async fn begin_shadow<'c>(
    connection: &'c mut PgConnection,
    how: &'static str,
) -> Result<sqlx::Transaction<'c, sqlx::Postgres>, sqlx::Error> {
    let mut tx = connection.begin_with(how).await?;
    Tables::Shadow.set_search_path(&mut tx).await?;
    Ok(tx)
}
