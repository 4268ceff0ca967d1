//! Group commit: events that wait while one write is being confirmed share the next.
//!
//! Callers submit single events and wait; a few workers take all that are waiting, write them as one group and
//! return the outcome to every caller. Under load groups grow by themselves, when idle an event is written at
//! once: there is no timer to tune.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::error::EnqueueError;
use crate::envelope::{Envelope, wire};

/// Events that may wait before further callers are held back.
const WAITING_MAX_EVENTS: usize = 1024;
/// A stopping process still takes the events of requests in progress until none has come for this long.
const GRACE: Duration = Duration::from_millis(500);
/// The longest time that it takes them.
const LONGEST_GRACE: Duration = Duration::from_secs(5);

/// An event and its caller.
struct Submission {
    envelope: Envelope,
    outcome: oneshot::Sender<Result<(), EnqueueError>>,
}

/// The callers' side. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Submitter(mpsc::Sender<Submission>);

/// The workers' side.
#[derive(Clone, Debug)]
pub(super) struct CommitGroups {
    waiting: Arc<Mutex<mpsc::Receiver<Submission>>>,
    limits: GroupLimits,
    stopping: CancellationToken,
    latest_end: Arc<OnceLock<Instant>>,
}

/// How large a group may grow.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupLimits {
    pub max_events: usize,
    /// The last event may reach past this: a group holds at least one.
    pub max_bytes: usize,
}

/// Events that share one write.
pub(super) struct CommitGroup {
    pub envelopes: Vec<Envelope>,
    outcomes: Vec<oneshot::Sender<Result<(), EnqueueError>>>,
}

/// Both sides of one queue: callers submit, workers take groups.
pub(super) fn commit_groups(limits: GroupLimits, stopping: CancellationToken) -> (Submitter, CommitGroups) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX_EVENTS);
    let waiting = Arc::new(Mutex::new(receiver));
    (Submitter(sender), CommitGroups { waiting, limits, stopping, latest_end: Arc::default() })
}

impl Submitter {
    /// Submits an event and waits for the outcome.
    pub async fn submit(&self, envelope: Envelope) -> Result<(), EnqueueError> {
        let (sender, outcome) = oneshot::channel();
        let stopped = || EnqueueError::new("the process is stopping");
        self.0.send(Submission { envelope, outcome: sender }).await.map_err(|_| stopped())?;
        outcome.await.map_err(|_| stopped())?
    }
}

impl CommitGroups {
    /// All waiting events, within the limits; waits for the first. `None` once the process is stopping and
    /// the grace period is over.
    pub async fn next(&self) -> Option<CommitGroup> {
        let mut waiting = self.waiting.lock().await;
        let first = tokio::select! {
            biased;
            () = self.grace_is_over() => {
                waiting.close();
                waiting.recv().await?
            }
            first = waiting.recv() => first?,
        };
        let mut size_bytes = wire::encoded_len(&first.envelope);
        let mut group = CommitGroup::of(first);
        while group.envelopes.len() < self.limits.max_events && size_bytes < self.limits.max_bytes {
            let Ok(next) = waiting.try_recv() else { break };
            size_bytes += wire::encoded_len(&next.envelope);
            group.push(next);
        }
        Some(group)
    }

    async fn grace_is_over(&self) {
        self.stopping.cancelled().await;
        let latest = *self.latest_end.get_or_init(|| Instant::now() + LONGEST_GRACE);
        sleep_until(latest.min(Instant::now() + GRACE)).await;
    }
}

impl CommitGroup {
    fn of(first: Submission) -> Self {
        Self { envelopes: vec![first.envelope], outcomes: vec![first.outcome] }
    }

    fn push(&mut self, next: Submission) {
        self.envelopes.push(next.envelope);
        self.outcomes.push(next.outcome);
    }

    /// Returns the outcome to every caller that still waits.
    pub fn complete(self, outcome: Result<(), EnqueueError>) {
        for caller in self.outcomes {
            caller.send(outcome.clone()).ok();
        }
    }

    /// Each event as a group of its own.
    pub fn singly(self) -> impl Iterator<Item = Self> {
        let singles = self.envelopes.into_iter().zip(self.outcomes);
        singles.map(|(envelope, outcome)| Self::of(Submission { envelope, outcome }))
    }
}
