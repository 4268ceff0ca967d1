//! Why a batch could not be applied, and whether a retry can help.

/// A batch was not applied; nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is down, overloaded or being migrated: retry the same batch later.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database refuses something in this batch: a retry does not help.
    #[error("the database refused: {0}")]
    Refused(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether the connection was lost during a statement: the database restarted, or the statement crashed
    /// it.
    #[must_use]
    pub fn is_lost_connection(&self) -> bool {
        match self {
            Self::Unavailable(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08"))
            }
            Self::Unavailable(error) => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)),
            Self::Refused(_) => false,
        }
    }

    /// Whether no retry can help: a value that a column cannot hold (classes 22, 23) or a limit of the
    /// database (54).
    #[must_use]
    pub fn is_permanent(refused: &sqlx::Error) -> bool {
        let code = refused.as_database_error().and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_transient(&error) { Self::Unavailable(error) } else { Self::Refused(error) }
    }
}

/// Whether the same statement may succeed later. SQLSTATE classes: 08 connection, 25 read-only or time-out in
/// a transaction, 40 serialization and deadlock, 53 resources (disk full, connections), 55 lock not
/// available, 57 operator intervention, 58 system error; 23503 is a user deleted concurrently, who is looked
/// up again next time; 3D000, 42P01, 42703 and 42883 are a missing database, table, column or function: not
/// yet created, or not yet migrated to this version.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_none_or(|code| {
            ["08", "25", "40", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class))
                || ["23503", "3D000", "42P01", "42703", "42883", "28P01", "28000"].contains(&code.as_ref())
        }),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}
