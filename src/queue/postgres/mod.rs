//! Pending events in `ingest.events`: the queue if there is no broker, and the fallback while it is down.

mod accept;
mod pending;
mod wake;

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::timeout;

use self::pending::ClaimLimit;
use self::wake::Wake;
use super::error::Refused;
use super::group_commit::{Limits, Submitter, batcher};
use super::limits::BatchLimits;
use crate::config::Config;
use crate::envelope::{Envelope, Source};
use crate::lifecycle::Lifecycle;

pub(super) use self::pending::{Claim, Consumer};
pub use self::wake::Waker;

/// Concurrent inserts: one is being flushed to disk while the next is written.
const LANES: usize = 2;
/// Events and bytes in one insert.
const LIMITS: Limits = Limits { max_events: 256, max_bytes: 1024 * 1024 };

/// For waiting and being committed.
const INSERT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pending events as this process uses them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PgQueue {
    claims: ClaimLimit,
    submitter: Submitter,
    wake: Wake,
    batch_limits: BatchLimits,
    lifecycle: Lifecycle,
}

impl PgQueue {
    /// Starts the lanes that write.
    pub fn open(intake: PgPool, reading: PgPool, config: &Config, lifecycle: &Lifecycle) -> Self {
        let (submitter, waiting) = batcher(LIMITS, lifecycle.stopping.clone());
        for _ in 0..LANES {
            lifecycle.tasks.spawn(accept::run(intake.clone(), waiting.clone()));
        }
        Self {
            wake: Wake::new(reading.clone(), lifecycle.clone()),
            claims: ClaimLimit::new(reading),
            submitter,
            batch_limits: BatchLimits::of(config),
            lifecycle: lifecycle.clone(),
        }
    }

    /// Resolves once the event is committed.
    pub async fn insert(&self, envelope: Envelope) -> Result<(), Refused> {
        if !Source::QUEUED.contains(&envelope.source) {
            return Err(Refused::new("internal events do not travel through the queue"));
        }
        let waiting = timeout(INSERT_TIMEOUT, self.submitter.submit(envelope));
        waiting.await.unwrap_or_else(|_| Err(Refused::new("the database did not get round to it in time")))
    }

    /// A consumer of all pending events.
    pub fn consumer(&self) -> Consumer {
        Consumer::new(self, self.batch_limits, self.lifecycle.stopping.clone())
    }

    /// Wakes when there are new pending events.
    fn waker(&self) -> Waker {
        self.wake.of_events()
    }

    /// Wakes when a process or trigger of an earlier version has written to the old outbox.
    pub fn earlier(&self) -> Waker {
        self.wake.of_earlier()
    }
}
