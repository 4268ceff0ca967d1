//! Pending events in `ingest.events`: the queue if there is no broker, and the fallback while it is down.

mod insert_worker;
mod notifications;
mod pending;

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::timeout;

use self::notifications::Listener;
use self::pending::BatchLocker;
use super::error::EnqueueError;
use super::group_commit::{GroupLimits, Submitter, commit_groups};
use super::limits::BatchLimits;
use crate::config::Config;
use crate::envelope::{Envelope, Source};
use crate::lifecycle::Lifecycle;

pub use self::notifications::Notifications;
pub(super) use self::pending::{LockedBatch, PendingConsumer};

/// Concurrent inserts: one is being flushed to disk while the next is written.
const INSERT_WORKERS: usize = 2;
/// Events and bytes in one insert.
const LIMITS: GroupLimits = GroupLimits { max_events: 256, max_bytes: 1024 * 1024 };

/// For waiting and being committed.
const INSERT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pending events as this process uses them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PgQueue {
    locker: BatchLocker,
    submitter: Submitter,
    listener: Listener,
    batch_limits: BatchLimits,
    lifecycle: Lifecycle,
}

impl PgQueue {
    /// Starts the workers that insert.
    pub fn open(intake: PgPool, pending: PgPool, config: &Config, lifecycle: &Lifecycle) -> Self {
        let (submitter, groups) = commit_groups(LIMITS, lifecycle.stopping.clone());
        for _ in 0..INSERT_WORKERS {
            lifecycle.tasks.spawn(insert_worker::run(intake.clone(), groups.clone()));
        }
        Self {
            listener: Listener::new(pending.clone(), lifecycle.clone()),
            locker: BatchLocker::new(pending),
            submitter,
            batch_limits: BatchLimits::of(config),
            lifecycle: lifecycle.clone(),
        }
    }

    /// Resolves once the event is committed.
    pub async fn insert(&self, envelope: Envelope) -> Result<(), EnqueueError> {
        if !Source::QUEUED.contains(&envelope.source) {
            return Err(EnqueueError::new("internal events do not travel through the queue"));
        }
        let waiting = timeout(INSERT_TIMEOUT, self.submitter.submit(envelope));
        waiting.await.unwrap_or_else(|_| Err(EnqueueError::new("timed out waiting for Postgres to commit")))
    }

    /// A consumer of all pending events.
    pub fn consumer(&self) -> PendingConsumer {
        PendingConsumer::new(self, self.batch_limits, self.lifecycle.stopping.clone())
    }

    /// Notifications of new pending events.
    fn notifications(&self) -> Notifications {
        self.listener.events()
    }

    /// Notifications that a process or trigger of an earlier version has written to the old outbox.
    pub fn outbox_notifications(&self) -> Notifications {
        self.listener.outbox()
    }
}
