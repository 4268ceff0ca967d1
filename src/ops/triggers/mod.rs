//! Triggers: the database itself tells of logins, sign-ups, deletions, files and rows, in the
//! transaction that makes them. Nothing is lost that way, whatever becomes of a webhook.
//!
//! [`watched`] says what of which table, [`sql`] how, [`catalogue`] how it stands in a database.

mod catalogue;
mod sql;
mod watched;

use std::time::Duration;

use serde::Serialize;
use sqlx::{AssertSqlSafe, Executor as _, PgPool};
use tokio::time::sleep;

use crate::database::begin;
use crate::project::supabase::ActivityTables;

pub use catalogue::{Standing, State, look};

/// How long one attempt waits for a table, with everybody who wants to write to it waiting behind.
const LOCK_TIMEOUT: &str = "1s";
const ATTEMPTS: u32 = 5;
/// Lets the numbers of changes continue from the clock.
const ADVANCE_NUMBERS: &str = "select ingest.advance_change_numbers()";
/// Between two attempts, for those who have waited behind the last one.
const PAUSE: Duration = Duration::from_millis(500);

/// What became of one table's trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", content = "reason", rename_all = "snake_case")]
pub enum Outcome {
    /// Made now.
    Installed,
    /// Removed now.
    Removed,
    /// It was there, or gone, already.
    Unchanged,
    /// The table is not there, or not as it must be.
    Skipped(String),
    /// The database refused; nothing was changed there.
    Failed(String),
}

/// One table and what became of its trigger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// `schema.table`
    pub relation: String,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Why nothing was done at all.
#[derive(Debug, thiserror::Error)]
pub enum TriggersError {
    #[error("this database has no schema `ingest` yet: run `memberflow migrate` first")]
    NotMigrated,
    /// The functions write as whoever makes them, past row level security.
    #[error("the triggers write to ingest.events as the role that makes them: connect as {0}, which owns it")]
    NotTheOwner(String),
    #[error("the database did not say how its triggers stand")]
    Database(#[from] sqlx::Error),
}

/// Makes the triggers that are missing or outdated, and removes those on tables that are no longer named. One
/// short transaction per table; a table that cannot be had is passed over and said.
///
/// # Errors
/// [`TriggersError`]; nothing was changed then.
pub async fn install(pool: &PgPool, tables: &ActivityTables) -> Result<Vec<Done>, TriggersError> {
    let mut done = Vec::new();
    let standings = wanted(pool, tables).await?;
    // Also where nothing is to be made: after a restore of the database this is what is asked for.
    sqlx::query(ADVANCE_NUMBERS).execute(pool).await?;
    for standing in standings {
        let outcome = match (&standing.state, &standing.script) {
            (State::Present, _) => Outcome::Unchanged,
            (State::NoTable, _) => Outcome::Skipped("there is no such table".to_owned()),
            (State::NoColumn(column), _) => Outcome::Skipped(format!("it has no column {column}")),
            (State::Unwanted, _) => run(pool, &sql::uninstall(&standing.function), Outcome::Removed).await,
            (_, Some(script)) => run(pool, &script.text, Outcome::Installed).await,
            (_, None) => Outcome::Unchanged,
        };
        done.push(Done { relation: standing.relation, outcome });
    }
    Ok(done)
}

/// Removes the triggers and their functions.
///
/// # Errors
/// [`TriggersError`]; nothing was changed then.
pub async fn uninstall(pool: &PgPool, tables: &ActivityTables) -> Result<Vec<Done>, TriggersError> {
    let mut done = Vec::new();
    for standing in look(&mut *pool.acquire().await?, tables).await? {
        let outcome = match standing.has_function {
            true => run(pool, &sql::uninstall(&standing.function), Outcome::Removed).await,
            false => Outcome::Unchanged,
        };
        done.push(Done { relation: standing.relation, outcome });
    }
    Ok(done)
}

/// The SQL that [`install`] would run on this database, table by table.
///
/// # Errors
/// [`TriggersError`]
pub async fn install_script(pool: &PgPool, tables: &ActivityTables) -> Result<String, TriggersError> {
    let standings = wanted(pool, tables).await?;
    let advance = whole(&format!("{ADVANCE_NUMBERS};\n"));
    let scripts = standings.iter().filter_map(|standing| standing.script.as_ref());
    Ok(std::iter::once(advance).chain(scripts.map(|it| whole(&it.text))).collect())
}

/// The SQL that [`uninstall`] would run on this database.
///
/// # Errors
/// [`TriggersError`]
pub async fn uninstall_script(pool: &PgPool, tables: &ActivityTables) -> Result<String, TriggersError> {
    let standings = look(&mut *pool.acquire().await?, tables).await?;
    let there = standings.iter().filter(|standing| standing.has_function);
    Ok(there.map(|standing| whole(&sql::uninstall(&standing.function))).collect())
}

/// How the tables stand, where this role can make triggers that work.
async fn wanted(pool: &PgPool, tables: &ActivityTables) -> Result<Vec<Standing>, TriggersError> {
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
        Some((_, true)) => Ok(look(&mut connection, tables).await?),
    }
}

/// A transaction as it can be run by hand.
fn whole(statements: &str) -> String {
    format!("begin;\nset local lock_timeout = '{LOCK_TIMEOUT}';\n{statements}commit;\n\n")
}

/// Runs `statements` in one transaction, again where another holds the table for a while; what became of it.
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
