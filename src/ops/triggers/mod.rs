//! Triggers: the database itself records logins, sign-ups, deletions, files and rows as events, in the
//! transaction that makes them. So nothing is lost, even if a webhook fails.
//!
//! [`watched`] lists the tables and columns, [`sql`] generates the triggers, [`catalogue`] reads their state
//! in a database. [`deriving`] has the triggers of the migrations.

mod catalogue;
mod deriving;
mod sql;
mod watched;

use std::time::Duration;

use serde::Serialize;
use sqlx::{AssertSqlSafe, Executor as _, PgPool};
use tokio::time::sleep;

use crate::database::begin;
use crate::project::supabase::ActivityTables;

pub use catalogue::{State, TriggerStatus, inspect};
pub use deriving::{Lost, lost};

/// How long one attempt waits for a table lock, which blocks all writers behind it.
const LOCK_TIMEOUT: &str = "1s";
const ATTEMPTS: u32 = 5;
/// Advances the change numbers to the clock.
const ADVANCE_NUMBERS: &str = "select ingest.advance_change_numbers()";
/// Between two attempts, so that blocked writers can proceed.
const PAUSE: Duration = Duration::from_millis(500);

/// The outcome for one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "snake_case")]
pub enum Outcome {
    /// Created.
    Installed,
    /// Removed.
    Removed,
    /// Nothing to do.
    Unchanged,
    /// The table does not exist or lacks columns.
    Skipped(String),
    /// The database refused; nothing was changed.
    Failed(String),
}

/// One table with its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// `schema.table`
    pub relation: String,
    /// What was done.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum TriggersError {
    /// The migrations have not run.
    #[error("this database has no schema `ingest` yet: run `memberflow migrate` first")]
    NotMigrated,
    /// The functions run with the rights of their creator, bypassing row level security.
    #[error("the triggers write to ingest.events as the role that makes them: connect as {0}, which owns it")]
    NotTheOwner(String),
    /// The catalogue could not be read.
    #[error("the state of the triggers could not be read")]
    Database(#[from] sqlx::Error),
}

/// Creates the triggers that are missing or outdated, removes those on tables that are no longer named, and
/// restores those of the migrations.
/// One short transaction per table; a table that cannot be locked is skipped and reported.
///
/// # Errors
/// [`TriggersError`]; nothing was changed then.
pub async fn install(pool: &PgPool, tables: &ActivityTables) -> Result<Vec<Done>, TriggersError> {
    let mut done = Vec::new();
    let statuses = wanted(pool, tables).await?;
    // Also if no trigger is missing: it is needed after a restore of the database.
    sqlx::query(ADVANCE_NUMBERS).execute(pool).await?;
    for status in statuses {
        let outcome = match (&status.state, &status.script) {
            (State::Present, _) => Outcome::Unchanged,
            (State::NoTable, _) => Outcome::Skipped("there is no such table".to_owned()),
            (State::NoColumn(column), _) => Outcome::Skipped(format!("it has no column {column}")),
            (State::Unwanted, _) => run(pool, &sql::uninstall(&status.function), Outcome::Removed).await,
            (_, Some(script)) => run(pool, &script.text, Outcome::Installed).await,
            (_, None) => Outcome::Unchanged,
        };
        done.push(Done { relation: status.relation, outcome });
    }
    done.extend(deriving::restore(pool).await?);
    Ok(done)
}

/// Removes the triggers and their functions.
///
/// # Errors
/// [`TriggersError`]; nothing was changed then.
pub async fn uninstall(pool: &PgPool, tables: &ActivityTables) -> Result<Vec<Done>, TriggersError> {
    let mut done = Vec::new();
    for status in inspect(&mut *pool.acquire().await?, tables).await? {
        let outcome = match status.has_function {
            true => run(pool, &sql::uninstall(&status.function), Outcome::Removed).await,
            false => Outcome::Unchanged,
        };
        done.push(Done { relation: status.relation, outcome });
    }
    Ok(done)
}

/// The SQL that [`install`] would run on this database, table by table.
pub async fn install_script(pool: &PgPool, tables: &ActivityTables) -> Result<String, TriggersError> {
    let statuses = wanted(pool, tables).await?;
    let advance = whole(&format!("{ADVANCE_NUMBERS};\n"));
    let scripts = statuses.iter().filter_map(|status| status.script.as_ref());
    let lost = lost(&mut *pool.acquire().await?).await?;
    let lost = lost.iter().map(|lost| whole(&lost.restoration()));
    Ok(std::iter::once(advance).chain(scripts.map(|it| whole(&it.text))).chain(lost).collect())
}

/// The SQL that [`uninstall`] would run on this database.
pub async fn uninstall_script(pool: &PgPool, tables: &ActivityTables) -> Result<String, TriggersError> {
    let statuses = inspect(&mut *pool.acquire().await?, tables).await?;
    let there = statuses.iter().filter(|status| status.has_function);
    Ok(there.map(|status| whole(&sql::uninstall(&status.function))).collect())
}

/// The state of the tables, if this role can create working triggers.
async fn wanted(pool: &PgPool, tables: &ActivityTables) -> Result<Vec<TriggerStatus>, TriggersError> {
    let mut connection = pool.acquire().await?;
    let owner: Option<(String, bool)> = sqlx::query_as(
        "select pg_get_userbyid(c.relowner)::text,
                pg_has_role(c.relowner, 'usage') or r.rolsuper or r.rolbypassrls
         from pg_catalog.pg_class c, pg_catalog.pg_roles r
         where c.oid = to_regclass('ingest.events')
           and to_regprocedure('ingest.wake_consumers()') is not null
           and r.rolname = current_user",
    )
    .fetch_optional(&mut *connection)
    .await?;
    match owner {
        None => Err(TriggersError::NotMigrated),
        Some((owner, false)) => Err(TriggersError::NotTheOwner(owner)),
        Some((_, true)) => Ok(inspect(&mut connection, tables).await?),
    }
}

/// A transaction as a script.
fn whole(statements: &str) -> String {
    format!("begin;\nset local lock_timeout = '{LOCK_TIMEOUT}';\n{statements}commit;\n\n")
}

/// Runs `statements` in one transaction, with retries if the table is locked; returns the outcome.
pub(super) async fn run(pool: &PgPool, statements: &str, outcome: Outcome) -> Outcome {
    for attempt in 1..=ATTEMPTS {
        match try_once(pool, statements).await {
            Ok(()) => return outcome,
            Err(error) if is_lock_timeout(&error) && attempt < ATTEMPTS => sleep(PAUSE).await,
            Err(error) if is_lock_timeout(&error) => break,
            Err(error) => return Outcome::Failed(error.to_string()),
        }
    }
    Outcome::Failed(format!(
        "another transaction holds the table, and did so in {ATTEMPTS} attempts of {LOCK_TIMEOUT}; nothing was \
         changed there: end that transaction or try again later"
    ))
}

async fn try_once(pool: &PgPool, statements: &str) -> Result<(), sqlx::Error> {
    let mut tx = begin(pool).await?;
    let settings =
        format!("set local lock_timeout = '{LOCK_TIMEOUT}'; set local client_min_messages = warning");
    tx.execute(AssertSqlSafe(settings)).await?;
    tx.execute(AssertSqlSafe(statements.to_owned())).await?;
    tx.commit().await
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("55P03"))
}
