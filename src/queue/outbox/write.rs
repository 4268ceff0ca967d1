//! Writing to the outbox: whatever waits during one commit goes into the next.

use std::time::Duration;

use sqlx::PgPool;
use time::OffsetDateTime;
use tokio::time::timeout;

use crate::envelope::Envelope;
use crate::queue::error::Refused;
use crate::queue::gather::Gather;

/// For getting a connection and committing one group. Longer, and the provider had better come back.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);

const INSERT: &str = "
    insert into ingest.outbox (source, event_id, event_type, occurred_at, received_at, body)
    select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bytea[])";

/// Writes group after group; ends when there will be no more.
pub(super) async fn run(pool: PgPool, waiting: Gather) {
    while let Some(group) = waiting.next().await {
        match insert(&pool, &group.envelopes).await {
            Err(Failure::Database(_)) if group.envelopes.len() > 1 => {
                // One event may be at fault (a date out of range, say); the others must not suffer.
                for single in group.singly() {
                    let outcome = insert(&pool, &single.envelopes).await;
                    single.settle(outcome.map_err(Refused::from));
                }
            }
            outcome => group.settle(outcome.map_err(Refused::from)),
        }
    }
}

/// Why an insert failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the outbox refused: {0}")]
    Database(sqlx::Error),
    #[error("the outbox is out of reach: {0}")]
    Unreachable(sqlx::Error),
    #[error("the outbox did not answer within {TIMEOUT:?}")]
    Silent,
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::new(failure.to_string())
    }
}

async fn insert(pool: &PgPool, envelopes: &[Envelope]) -> Result<(), Failure> {
    let texts =
        |field: fn(&Envelope) -> &str| envelopes.iter().map(|e| storable(field(e))).collect::<Vec<_>>();
    let moments = |field: fn(&Envelope) -> OffsetDateTime| envelopes.iter().map(field).collect::<Vec<_>>();
    let query = sqlx::query(INSERT)
        .bind(texts(|e| e.source.as_str()))
        .bind(texts(|e| &e.event_id))
        .bind(texts(|e| &e.event_type))
        .bind(moments(|e| e.occurred_at))
        .bind(moments(|e| e.received_at))
        .bind(envelopes.iter().map(|e| e.body.as_ref()).collect::<Vec<&[u8]>>());
    match timeout(TIMEOUT, query.execute(pool)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error @ sqlx::Error::Database(_))) => Err(Failure::Database(error)),
        Ok(Err(error)) => Err(Failure::Unreachable(error)),
        Err(_) => Err(Failure::Silent),
    }
}

/// Postgres text holds every character but NUL.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
