//! `ingest.outbox`: the queue where there is no broker, and the place to go while there is none.

mod claim;
mod consume;
mod wake;
mod write;

use std::time::Duration;

use sqlx::PgPool;
use tokio::time::timeout;

use self::wake::Wake;
use super::batch::BatchLimits;
use super::error::Refused;
use super::gather::{Entrance, Limits, gather};
use crate::config::Config;
use crate::envelope::{Envelope, Source};
use crate::lifecycle::Lifecycle;

pub(super) use self::claim::{Claim, ClaimLimits, Claims};
pub(super) use self::consume::Consumer;
pub(super) use self::wake::Waker;

/// Inserts under way at once: one is on its way to disk while the next is being written.
const LANES: usize = 2;
/// Events and bytes in one insert.
const LIMITS: Limits = Limits { max_events: 256, max_bytes: 1024 * 1024 };

/// For waiting one's turn and being committed.
const INSERT_TIMEOUT: Duration = Duration::from_secs(5);

/// The outbox as this process uses it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Outbox {
    pub(super) claims: Claims,
    entrance: Entrance,
    wake: Wake,
    batch_limits: BatchLimits,
    lifecycle: Lifecycle,
}

impl Outbox {
    /// Starts the lanes that write.
    pub fn open(intake: PgPool, reading: PgPool, config: &Config, lifecycle: &Lifecycle) -> Self {
        let (entrance, waiting) = gather(LIMITS, lifecycle.stopping.clone());
        for _ in 0..LANES {
            lifecycle.tasks.spawn(write::run(intake.clone(), waiting.clone()));
        }
        Self {
            wake: Wake::new(reading.clone(), lifecycle.clone()),
            claims: Claims::new(reading),
            entrance,
            batch_limits: BatchLimits::of(config),
            lifecycle: lifecycle.clone(),
        }
    }

    /// Resolves once the event is committed.
    pub async fn insert(&self, envelope: Envelope) -> Result<(), Refused> {
        if !Source::QUEUED.contains(&envelope.source) {
            return Err(Refused::new("internal events do not travel through the queue"));
        }
        let waiting = timeout(INSERT_TIMEOUT, self.entrance.enter(envelope));
        waiting.await.unwrap_or_else(|_| Err(Refused::new("the outbox did not get round to it in time")))
    }

    /// A consumer of everything in the outbox.
    pub fn consumer(&self) -> Consumer {
        Consumer::new(self, self.batch_limits, self.lifecycle.stopping.clone())
    }

    /// Something to wait on until there is news in the outbox.
    pub fn waker(&self) -> Waker {
        self.wake.waker()
    }
}
