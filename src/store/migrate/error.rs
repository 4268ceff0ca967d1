//! Why a database could not be migrated, and what to do about it.

use std::time::Duration;

/// How long to wait for another migration, or for a table locked by a long transaction.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a database could not be migrated. The messages say what to do.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The server can't be reached, or refuses us.
    #[error("the database can't be reached; check DATABASE_URL")]
    Unreachable(#[source] sqlx::Error),
    /// Supabase's transaction pooler keeps no session between statements: no prepared statements, no locks.
    #[error(
        "port 6543 is Supabase's transaction pooler, which can't run migrations; use the direct connection or the session pooler (port 5432) in DATABASE_URL"
    )]
    TransactionPooler,
    /// Not a Supabase database.
    #[error(
        "this database has no schema `auth`, so it is not a Supabase database; point DATABASE_URL at one or, for a local database, run `memberflow migrate --supabase-stub`"
    )]
    NoAuthSchema,
    /// The stub was requested where it must not be created.
    #[error("the Supabase stub is refused: {0}; run `memberflow migrate` without --supabase-stub")]
    StubRefused(&'static str),
    /// A lock was held for longer than we wait.
    #[error(
        "another session has held a lock that the migration needs for {} seconds; end it or try again later",
        LOCK_TIMEOUT.as_secs()
    )]
    Locked(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Applied migrations are unknown to this binary, or differ from its files.
    #[error(
        "the database was migrated by another version of memberflow; use that one or a newer one (`memberflow migrate --status` shows the difference)"
    )]
    OtherVersion(#[source] sqlx::migrate::MigrateError),
    /// Some of the files that were combined are applied, and not the last of them: what it lacks is in files that were removed.
    #[error(
        "this database has migrations of an earlier version, but not the last of them ({last}), from where this version continues; build revision {revision} of memberflow, run its `memberflow migrate` once, then this one's"
    )]
    Combined {
        /// The version of the last combined file.
        last: i64,
        /// A revision of memberflow that has them all.
        revision: &'static str,
    },
    /// A migration failed. Those before it stay applied.
    #[error(
        "a migration failed, and nothing of it was kept; correct what the database reports, then run `memberflow migrate` again"
    )]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// Any other failure on the way.
    #[error(
        "the database rejected a statement of the migration; connect as the owner of the tables, then run `memberflow migrate` again"
    )]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        if is_lock_timeout(&error) { Self::Locked(error.into()) } else { Self::Database(error) }
    }
}

impl From<sqlx::migrate::MigrateError> for MigrateError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        use sqlx::migrate::MigrateError::{Execute, ExecuteMigration, VersionMismatch, VersionMissing};
        match &error {
            Execute(inner) | ExecuteMigration(inner, _) if is_lock_timeout(inner) => {
                Self::Locked(error.into())
            }
            VersionMismatch(_) | VersionMissing(_) => Self::OtherVersion(error),
            _ => Self::Migration(error),
        }
    }
}

fn is_lock_timeout(error: &sqlx::Error) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    error.as_database_error().is_some_and(|e| e.code().as_deref() == Some(LOCK_NOT_AVAILABLE))
}
