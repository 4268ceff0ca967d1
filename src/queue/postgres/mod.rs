//! Pending events in `ingest.events`: the queue where there is no broker, and the place to go while there is none.

mod accept;
mod pending;
mod wake;

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::timeout;

use self::pending::Claims;
use self::wake::Wake;
use super::batch::BatchLimits;
use super::error::Refused;
use super::group_commit::{Limits, Submitter, batcher};
use crate::config::Config;
use crate::envelope::{Envelope, Source};
use crate::lifecycle::Lifecycle;

pub(super) use self::pending::{Claim, Consumer};
pub use self::wake::Waker;

/// Inserts under way at once: one is on its way to disk while the next is being written.
const LANES: usize = 2;
/// Events and bytes in one insert.
const LIMITS: Limits = Limits { max_events: 256, max_bytes: 1024 * 1024 };

/// For waiting one's turn and being committed.
const INSERT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pending events as this process uses them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PgQueue {
    claims: Claims,
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
            claims: Claims::new(reading),
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
        let waiting = timeout(INSERT_TIMEOUT, self.submitter.enter(envelope));
        waiting.await.unwrap_or_else(|_| Err(Refused::new("the database did not get round to it in time")))
    }

    /// A consumer of all pending events.
    pub fn consumer(&self) -> Consumer {
        Consumer::new(self, self.batch_limits, self.lifecycle.stopping.clone())
    }

    /// Something to wait on until there are new pending events.
    fn waker(&self) -> Waker {
        self.wake.of_events()
    }

    /// Something to wait on until a process or trigger of an earlier version has written to its outbox.
    pub fn earlier(&self) -> Waker {
        self.wake.of_earlier()
    }
}
