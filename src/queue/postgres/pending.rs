//! Takes pending events from Postgres, with or without a broker.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgPool, Postgres, Transaction};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{Notifications, PgQueue};
use crate::database::{self, with_time_limit};
use crate::envelope::Envelope;
use crate::queue::limits::BatchLimits;
use crate::retry::Backoff;
use crate::store::events::pending::{self, LockLimits};

/// Delays between attempts while the database is unavailable.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// The crash-loop guard: for this long after its first batch a consumer commits the count of attempts before
/// each attempt, because the event that crashed the last process comes first.
const CRASH_GUARD: Duration = Duration::from_secs(60);

/// Takes batches of pending events; reconnects by itself.
pub struct PendingConsumer {
    locker: BatchLocker,
    notifications: Notifications,
    limits: LockLimits,
    wait: Duration,
    /// Whether the last batch was full, so that more is pending.
    has_backlog: bool,
    guarded_until: Option<Instant>,
    stopping: CancellationToken,
}

/// The row locks of a batch of pending events. Dropping it releases them.
pub struct LockedBatch {
    /// Holds the row locks, until it is taken.
    pub transaction: Option<Transaction<'static, Postgres>>,
    pool: PgPool,
    /// Whether the attempt is counted before it is made.
    is_guarded: bool,
    attempt_recorded: bool,
    _permit: OwnedSemaphorePermit,
    _in_flight: TaskTrackerToken,
}

/// Locks batches, at most as many at once as there are connections. A further one waits here and not at the pool,
/// whose timeout would look like an unavailable database.
#[derive(Clone, Debug)]
pub(super) struct BatchLocker {
    pool: PgPool,
    permits: Arc<Semaphore>,
    /// The batches that have not ended yet.
    in_flight: TaskTracker,
}

impl PendingConsumer {
    pub(in crate::queue) fn new(queue: &PgQueue, limits: BatchLimits, stopping: CancellationToken) -> Self {
        Self {
            locker: queue.locker.clone(),
            notifications: queue.notifications(),
            limits: LockLimits { max_events: limits.max_events, max_bytes: limits.max_bytes },
            wait: limits.wait,
            has_backlog: false,
            guarded_until: None,
            stopping,
        }
    }

    /// Waits for the next batch; `None` once the process is stopping.
    pub async fn next_batch(&mut self) -> Option<(Vec<Envelope>, LockedBatch)> {
        let stopping = self.stopping.clone();
        stopping.run_until_cancelled(self.lock_next()).await
    }

    async fn lock_next(&mut self) -> (Vec<Envelope>, LockedBatch) {
        let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
        loop {
            // A partial batch could not be applied before the one in flight ends. Until then, or for `wait`, more events
            // can join it.
            if !self.has_backlog {
                timeout(self.wait, self.locker.in_flight.wait()).await.ok();
            }
            self.notifications.before_poll();
            let permit = self.locker.permit().await;
            match with_time_limit(self.locker.lock(permit, self.limits)).await {
                Ok(Some((envelopes, mut locked))) => {
                    self.has_backlog = self.limits.are_reached_by(&envelopes);
                    let now = Instant::now();
                    locked.is_guarded = now < *self.guarded_until.get_or_insert(now + CRASH_GUARD);
                    return (envelopes, locked);
                }
                Ok(None) => {
                    backoff.reset();
                    self.has_backlog = false;
                    self.notifications.wait().await;
                }
                Err(error) => {
                    tracing::warn!(%error, "reading pending events failed, will retry");
                    sleep(backoff.next_delay()).await;
                }
            }
        }
    }
}

impl BatchLocker {
    /// Locks batches over `pool`, which has one connection more than there may be batches, for the listener.
    pub fn new(pool: PgPool) -> Self {
        let most = pool.options().get_max_connections().saturating_sub(1).max(1) as usize;
        let in_flight = TaskTracker::new();
        // `wait` only returns for a closed tracker.
        in_flight.close();
        Self { pool, permits: Arc::new(Semaphore::new(most)), in_flight }
    }

    async fn permit(&self) -> OwnedSemaphorePermit {
        match self.permits.clone().acquire_owned().await {
            Ok(permit) => permit,
            // It is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Locks the oldest events; `None` if there are none.
    async fn lock(
        &self,
        permit: OwnedSemaphorePermit,
        limits: LockLimits,
    ) -> Result<Option<(Vec<Envelope>, LockedBatch)>, sqlx::Error> {
        let mut transaction = database::begin(&self.pool).await?;
        let envelopes = pending::lock_due(&mut transaction, limits).await?;
        if envelopes.is_empty() {
            transaction.rollback().await?;
            return Ok(None);
        }
        let locked = LockedBatch {
            transaction: Some(transaction),
            pool: self.pool.clone(),
            is_guarded: false,
            attempt_recorded: false,
            _permit: permit,
            _in_flight: self.in_flight.token(),
        };
        Ok(Some((envelopes, locked)))
    }
}

impl LockedBatch {
    /// Call before each attempt. Within the crash-loop guard the attempt is counted and committed, so that it
    /// is known if this process crashes on it. Leaves in `envelopes` what is still locked.
    pub async fn begin_attempt(&mut self, envelopes: &mut Vec<Envelope>) -> Result<(), sqlx::Error> {
        if !self.is_guarded || self.attempt_recorded {
            return Ok(());
        }
        let mut transaction = match self.transaction.take() {
            Some(transaction) => transaction,
            None => {
                let mut transaction = database::begin(&self.pool).await?;
                let is_locked = pending::lock(&mut transaction, envelopes).await?;
                retain(envelopes, is_locked);
                transaction
            }
        };
        pending::adjust_attempts(&mut *transaction, envelopes, 1).await?;
        transaction.commit().await?;
        self.attempt_recorded = true;
        let mut transaction = database::begin(&self.pool).await?;
        let is_locked = pending::lock_for_recorded_attempt(&mut transaction, envelopes).await?;
        retain(envelopes, is_locked);
        self.transaction = Some(transaction);
        Ok(())
    }

    /// Call if the attempt could not be made: it does not count, and the events are released.
    pub async fn release(&mut self, envelopes: &[Envelope]) {
        drop(self.transaction.take());
        if self.attempt_recorded {
            match with_time_limit(pending::adjust_attempts(&self.pool, envelopes, -1)).await {
                Ok(()) => self.attempt_recorded = false,
                Err(error) => {
                    tracing::debug!(%error, "reverting an attempt failed, its events may be retried alone earlier");
                }
            }
        }
    }
}

/// Leaves the events that are locked.
fn retain(envelopes: &mut Vec<Envelope>, is_locked: Vec<bool>) {
    let mut is_locked = is_locked.into_iter();
    envelopes.retain(|_| is_locked.next().unwrap_or_default());
}
