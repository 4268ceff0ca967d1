//! Why a batch could not be applied, and whether a retry can help.

/// A batch was not applied; nothing of it was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing is wrong with the events as far as is known: the database is down or overloaded, its schema is being
    /// migrated, or a referenced row was deleted concurrently. Retry the same batch later.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database answered and rejected a statement. [`Self::is_permanent`] says whether a retry can help.
    #[error("the database rejected a statement: {0}")]
    Rejected(#[source] sqlx::Error),
}

impl StoreError {
    /// What an operator does about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "try again later",
            Self::Rejected(_) => {
                "`memberflow doctor` checks the database, its tables and the role's privileges"
            }
        }
    }

    /// Whether one event of the batch may be the cause although the database is available: it loses the
    /// connection, or it violates a foreign key (23503), for example one that the application has added.
    #[must_use]
    pub fn may_be_caused_by_an_event(&self) -> bool {
        let is_foreign_key = match self {
            Self::Unavailable(sqlx::Error::Database(error)) => error.is_foreign_key_violation(),
            _ => false,
        };
        is_foreign_key || self.is_lost_connection()
    }

    /// Whether the connection was lost during a statement: the database restarted, the statement crashed it, or
    /// the transaction was idle for too long (25P03).
    #[must_use]
    pub fn is_lost_connection(&self) -> bool {
        match self {
            Self::Unavailable(sqlx::Error::Database(error)) => error
                .code()
                .is_some_and(|code| ["57P", "08", "25P03"].iter().any(|start| code.starts_with(start))),
            Self::Unavailable(error) => matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_)),
            Self::Rejected(_) => false,
        }
    }

    /// Whether no retry can help: a value that a column cannot hold (classes 22, 23) or a limit of the
    /// database (54).
    #[must_use]
    pub fn is_permanent(rejected: &sqlx::Error) -> bool {
        let code = rejected.as_database_error().and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_unavailable(&error) { Self::Unavailable(error) } else { Self::Rejected(error) }
    }
}

/// Whether the same statement may succeed later. SQLSTATE classes: 08 connection, 25 read-only or time-out in
/// a transaction, 28 authentication, 40 serialization and deadlock, 42 a missing or different table, column, function or
/// privilege (the statements are fixed, so the schema is at fault and not the event), 53 resources (disk full,
/// connections), 55 lock not available, 57 operator intervention, 58 system error; 23503 is a user deleted
/// concurrently, who is looked up again next time; 3D000 is a missing database.
fn is_unavailable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().is_none_or(|code| {
            ["08", "25", "40", "42", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class))
                || ["23503", "3D000", "28P01", "28000"].contains(&code.as_ref())
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
