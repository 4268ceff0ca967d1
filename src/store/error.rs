//! Why a batch could not be applied, and whether waiting helps.

/// A batch was not applied; nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is away, overloaded or changing: the same batch will do later.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database refuses something in this batch: waiting does not help.
    #[error("the database refused: {0}")]
    Refused(#[source] sqlx::Error),
}

impl StoreError {
    /// The connection went in mid-statement: the database did, or what was done there broke it.
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

    /// No later attempt can help: a value that a column can't have (classes 22, 23) or a limit of the database's (54).
    #[must_use]
    pub fn is_hopeless(refused: &sqlx::Error) -> bool {
        let code = refused.as_database_error().and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_passing(&error) { Self::Unavailable(error) } else { Self::Refused(error) }
    }
}

/// Whether the same statement may succeed later. SQLSTATE classes: 08 connection, 25 read-only or
/// time-out in a transaction, 40 serialization and deadlock, 53 resources (disk full, connections),
/// 55 lock not available, 57 operator intervention, 58 system error; 23503 is a user deleted in the very
/// moment, who is looked up again next time; 3D000, 42P01, 42703 and 42883 are a database, table, column or function
/// not yet there: it is not yet created, or not yet migrated for this version.
fn is_passing(error: &sqlx::Error) -> bool {
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
