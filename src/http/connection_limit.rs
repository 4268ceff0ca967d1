//! Places for connections: as many as the process's open files allow, and a newcomer finds one always.

use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::eviction::{EvictionQueue, Waiter};
use crate::telemetry::CONNECTIONS_GIVEN_UP;

/// Connections open at once, however many files the process may open.
const CONNECTIONS_MAX: usize = 16_384;
/// The same of the operators' own listener.
const OPS_CONNECTIONS_MAX: usize = 256;

/// Lets the process open as many files as the system allows it: each connection is one.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(fault) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%fault, "the limit of open files stays as it is");
    }
}

/// Connections that one listener for all may have open. Of the files three quarters are for them; the rest for
/// operators, Postgres, the broker, and connections that are being closed.
#[must_use]
pub fn connections_max() -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    files.map_or(CONNECTIONS_MAX, |files| (files / 4 * 3).clamp(1, CONNECTIONS_MAX))
}

/// Connections that the operators' own listener may have open.
#[must_use]
pub fn ops_connections_max() -> usize {
    (connections_max() / 8).clamp(1, OPS_CONNECTIONS_MAX)
}

/// All places, and who has them.
pub struct ConnectionLimit {
    free: Arc<Semaphore>,
    taken: EvictionQueue,
}

/// One connection's place, given back when dropped.
pub(crate) struct Place {
    waiter: Waiter,
    _taken: OwnedSemaphorePermit,
}

impl ConnectionLimit {
    /// So many places.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), taken: EvictionQueue::default() }
    }

    /// A place. Where all are taken, the connection whose last answer, or beginning, is longest ago gives its
    /// own up.
    pub(crate) async fn take(&self) -> Option<Place> {
        if self.free.available_permits() == 0 {
            self.give_up_longest();
        }
        let taken = self.free.clone().acquire_owned().await.ok()?;
        Some(Place { waiter: self.taken.join(), _taken: taken })
    }

    /// Ends the connection that has waited longest.
    pub(crate) fn give_up_longest(&self) {
        if self.taken.dismiss_longest() {
            metrics::counter!(CONNECTIONS_GIVEN_UP).increment(1);
        }
    }
}

impl Place {
    /// An answer is on its way: the connection has proved its worth.
    pub(crate) fn answered(&self) {
        self.waiter.begin_again();
    }

    /// Resolves once the place is needed for another.
    pub(crate) async fn needed(&self) {
        self.waiter.dismissed().await;
    }
}
