//! Taking pending events from Postgres, with a broker and without one.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgPool, Postgres, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{PgQueue, Waker};
use crate::database::{self, within_reason};
use crate::envelope::Envelope;
use crate::queue::batch::BatchLimits;
use crate::retry::Delays;
use crate::store::events::pending::{self, Limits};

/// Waits between attempts while the database is away.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// For how long from its first batch on a consumer counts attempts before it makes them: what ended the last one comes
/// again first of all.
const CAREFUL: Duration = Duration::from_secs(60);

/// Claims batches, whatever happens to the connection.
pub struct Consumer {
    claims: Claims,
    waker: Waker,
    limits: Limits,
    wait: Duration,
    careful_until: Option<Instant>,
    stopping: CancellationToken,
}

/// Pending events that are held for this process. Dropped, they are there again.
pub struct Claim {
    /// What holds their rows, until it is taken.
    pub transaction: Option<Transaction<'static, Postgres>>,
    pool: PgPool,
    /// The attempt is to be counted before it is made.
    is_careful: bool,
    is_counted: bool,
    _turn: OwnedSemaphorePermit,
    _under_way: TaskTrackerToken,
}

/// Who may claim: as many at once as there are connections for it. A further one waits for its turn here, however long
/// that takes, and not at the pool, which would call it a database that is away.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    pool: PgPool,
    turns: Arc<Semaphore>,
    /// The claims that have not ended yet.
    under_way: TaskTracker,
}

impl Consumer {
    pub(in crate::queue) fn new(queue: &PgQueue, limits: BatchLimits, stopping: CancellationToken) -> Self {
        Self {
            claims: queue.claims.clone(),
            waker: queue.waker(),
            limits: Limits { max_events: limits.max_events, max_bytes: limits.max_bytes },
            wait: limits.wait,
            careful_until: None,
            stopping,
        }
    }

    /// Waits for the next batch; none once the process is stopping.
    pub async fn next_batch(&mut self) -> Option<(Vec<Envelope>, Claim)> {
        let stopping = self.stopping.clone();
        stopping.run_until_cancelled(self.next_claim()).await
    }

    async fn next_claim(&mut self) -> (Vec<Envelope>, Claim) {
        let mut delays = Delays::new(FIRST_DELAY, LONGEST_DELAY);
        loop {
            self.waker.about_to_look();
            let turn = self.claims.turn().await;
            match within_reason(self.claims.claim(turn, self.limits)).await {
                Ok(Some((envelopes, mut claim))) => {
                    let now = Instant::now();
                    claim.is_careful = now < *self.careful_until.get_or_insert(now + CAREFUL);
                    return (envelopes, claim);
                }
                Ok(None) => {
                    let has_news = self.waker.wait().await;
                    // Only behind a batch that is being applied, which it would wait for anyway.
                    if has_news {
                        timeout(self.wait, self.claims.under_way.wait()).await.ok();
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot read pending events, trying again");
                    sleep(delays.next_delay()).await;
                }
            }
        }
    }
}

impl Claims {
    /// Claims over `pool`, which has one connection more than there may be claims: it listens for news.
    pub fn new(pool: PgPool) -> Self {
        let most = pool.options().get_max_connections().saturating_sub(1).max(1) as usize;
        let under_way = TaskTracker::new();
        // Closed, its end can be waited for.
        under_way.close();
        Self { pool, turns: Arc::new(Semaphore::new(most)), under_way }
    }

    async fn turn(&self) -> OwnedSemaphorePermit {
        match self.turns.clone().acquire_owned().await {
            Ok(turn) => turn,
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Claims the oldest events; none where there are none.
    async fn claim(
        &self,
        turn: OwnedSemaphorePermit,
        limits: Limits,
    ) -> Result<Option<(Vec<Envelope>, Claim)>, sqlx::Error> {
        let mut transaction = database::begin(&self.pool).await?;
        let envelopes = pending::claim(&mut transaction, limits).await?;
        if envelopes.is_empty() {
            transaction.rollback().await?;
            return Ok(None);
        }
        let claim = Claim {
            transaction: Some(transaction),
            pool: self.pool.clone(),
            is_careful: false,
            is_counted: false,
            _turn: turn,
            _under_way: self.under_way.token(),
        };
        Ok(Some((envelopes, claim)))
    }
}

impl Claim {
    /// Call before each attempt: where the process may be one of several that did not live long, the attempt is counted and
    /// committed, so that it is known should this one not survive it either. Leaves in `envelopes` what is still held then.
    pub async fn begin(&mut self, envelopes: &mut Vec<Envelope>) -> Result<(), sqlx::Error> {
        if !self.is_careful || self.is_counted {
            return Ok(());
        }
        let mut transaction = match self.transaction.take() {
            Some(transaction) => transaction,
            None => {
                let mut transaction = database::begin(&self.pool).await?;
                let is_held = pending::hold(&mut transaction, envelopes).await?;
                retain(envelopes, is_held);
                transaction
            }
        };
        pending::count_attempt(&mut *transaction, envelopes, 1).await?;
        transaction.commit().await?;
        self.is_counted = true;
        let mut transaction = database::begin(&self.pool).await?;
        let is_held = pending::hold_counted(&mut transaction, envelopes).await?;
        retain(envelopes, is_held);
        self.transaction = Some(transaction);
        Ok(())
    }

    /// Call where the attempt could not be made: it does not count, and nothing is held any more.
    pub async fn put_back(&mut self, envelopes: &[Envelope]) {
        drop(self.transaction.take());
        if self.is_counted {
            match pending::count_attempt(&self.pool, envelopes, -1).await {
                Ok(()) => self.is_counted = false,
                // Should it stay so, they are tried alone a little earlier.
                Err(error) => tracing::debug!(%error, "an attempt that was not made stays counted"),
            }
        }
    }
}

/// Leaves the events that are held.
fn retain(envelopes: &mut Vec<Envelope>, is_held: Vec<bool>) {
    let mut is_held = is_held.into_iter();
    envelopes.retain(|_| is_held.next().unwrap_or_default());
}
