//! Taking events out of the outbox, in a transaction that is the claim: committed, they have gone on;
//! rolled back or lost in a crash, they are there again.

use std::sync::Arc;

use sqlx::{PgPool, Postgres, Row as _, Transaction, postgres::PgRow};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::database;
use crate::envelope::{Envelope, Source};
use crate::queue::QueueError;

/// What one claim may hold.
#[derive(Clone, Copy, Debug)]
pub struct ClaimLimits {
    pub max_events: usize,
    /// The last event may reach past this: a claim holds at least one.
    pub max_bytes: usize,
}

/// Events taken from the outbox but not for good. Dropped, they are back.
pub struct Claim {
    pub envelopes: Vec<Envelope>,
    transaction: Transaction<'static, Postgres>,
    _turn: OwnedSemaphorePermit,
}

/// Who may claim: as many at once as there are connections for it. A further one waits for its turn here, however long
/// that takes, and not at the pool, which would call it a database that is away.
#[derive(Clone, Debug)]
pub struct Claims {
    pool: PgPool,
    turns: Arc<Semaphore>,
    /// As many turns as there are.
    most: usize,
}

/// Oldest first; what others have claimed is passed over. The sizes are known without reading the
/// bodies, so that no more of them is read than fits. An array of ids, and not a join, which would read the whole
/// outbox where its statistics lag behind.
macro_rules! claim_where {
    ($condition:literal) => {
        concat!(
            "with candidate as (
                select id, octet_length(body) as size_bytes from ingest.outbox where ",
            $condition,
            " order by id limit $1 for update skip locked
            ), chosen as (
                select id, sum(size_bytes) over (order by id) - size_bytes as bytes_before from candidate
            )
            delete from ingest.outbox o
            where o.id = any (array(select id from chosen where bytes_before < $2))
            returning o.id, o.source, o.event_id, o.event_type, o.occurred_at, o.received_at, o.body"
        )
    };
}
const CLAIM_ANY: &str = claim_where!("true");
const CLAIM_OF_SOURCE: &str = claim_where!("source = $3");

impl Claims {
    /// Claims over `pool`, which has one connection more than there may be claims: it listens for news.
    pub fn new(pool: PgPool) -> Self {
        let most = pool.options().get_max_connections().saturating_sub(1).max(1) as usize;
        Self { pool, turns: Arc::new(Semaphore::new(most)), most }
    }

    /// Whether any claim is under way.
    pub fn under_way(&self) -> bool {
        self.turns.available_permits() < self.most
    }

    /// Claims the oldest events, of one source or of all; `None` where there are none.
    pub async fn claim(
        &self,
        source: Option<Source>,
        limits: ClaimLimits,
    ) -> Result<Option<Claim>, QueueError> {
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| QueueError::Stopping)?;
        database::within_reason(claim_now(&self.pool, turn, source, limits)).await
    }
}

async fn claim_now(
    pool: &PgPool,
    turn: OwnedSemaphorePermit,
    source: Option<Source>,
    limits: ClaimLimits,
) -> Result<Option<Claim>, QueueError> {
    let mut transaction = database::begin(pool).await?;
    let query = sqlx::query(if source.is_some() { CLAIM_OF_SOURCE } else { CLAIM_ANY })
        .bind(i64::try_from(limits.max_events).unwrap_or(i64::MAX))
        .bind(i64::try_from(limits.max_bytes).unwrap_or(i64::MAX));
    let query = match source {
        Some(source) => query.bind(source.as_str()),
        None => query,
    };
    let mut rows = query.fetch_all(&mut *transaction).await?;
    if rows.is_empty() {
        transaction.rollback().await?;
        return Ok(None);
    }
    rows.sort_by_cached_key(|row| row.try_get::<i64, _>("id").unwrap_or(i64::MAX));
    let envelopes = rows.iter().map(envelope).collect::<Result<_, _>>()?;
    Ok(Some(Claim { envelopes, transaction, _turn: turn }))
}

fn envelope(row: &PgRow) -> Result<Envelope, sqlx::Error> {
    let source: Source = row
        .try_get::<&str, _>("source")?
        .parse()
        .map_err(|error| sqlx::Error::ColumnDecode { index: "source".to_owned(), source: Box::new(error) })?;
    Ok(Envelope {
        source,
        event_id: row.try_get("event_id")?,
        event_type: row.try_get("event_type")?,
        occurred_at: row.try_get("occurred_at")?,
        received_at: row.try_get("received_at")?,
        body: row.try_get::<Vec<u8>, _>("body")?.into(),
    })
}

impl Claim {
    /// The events have gone on: they leave the outbox.
    pub async fn done(self) -> Result<(), QueueError> {
        Ok(database::within_reason(self.transaction.commit()).await?)
    }

    /// The events go back to where they were.
    pub async fn put_back(self) -> Result<(), QueueError> {
        Ok(database::within_reason(self.transaction.rollback()).await?)
    }
}
