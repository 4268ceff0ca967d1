//! Stores accepted events as pending, by group commit.

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::timeout;

use crate::envelope::Envelope;
use crate::queue::error::EnqueueError;
use crate::queue::group_commit::CommitGroups;
use crate::store::StoreError;
use crate::store::events::pending;

/// For getting a connection and committing one group. After that the provider should retry.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);

/// Writes group after group; ends when there will be no more.
pub(super) async fn run(pool: PgPool, groups: CommitGroups) {
    while let Some(group) = groups.next().await {
        match insert(&pool, &group.envelopes).await {
            Err(Failure::Database(error))
                if group.envelopes.len() > 1 && StoreError::is_permanent(&error) =>
            {
                // One event may be at fault (a date out of range, for example): insert each on its own.
                for single in group.singly() {
                    let outcome = insert(&pool, &single.envelopes).await;
                    single.complete(outcome.map_err(EnqueueError::from));
                }
            }
            outcome => group.complete(outcome.map_err(EnqueueError::from)),
        }
    }
}

/// Why an insert failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(
        "the database rejected a statement: {0}; `memberflow doctor` checks its tables and the role's privileges"
    )]
    Database(sqlx::Error),
    #[error("the database is out of reach: {0}")]
    Unreachable(sqlx::Error),
    #[error("the database did not answer within {TIMEOUT:?}")]
    Timeout,
}

impl From<Failure> for EnqueueError {
    fn from(failure: Failure) -> Self {
        Self::new(failure.to_string())
    }
}

async fn insert(pool: &PgPool, envelopes: &[Envelope]) -> Result<(), Failure> {
    match timeout(TIMEOUT, pending::insert(pool, envelopes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error @ sqlx::Error::Database(_))) => Err(Failure::Database(error)),
        Ok(Err(error)) => Err(Failure::Unreachable(error)),
        Err(_) => Err(Failure::Timeout),
    }
}
