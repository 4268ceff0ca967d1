//! The connection limit: as many as the open-file limit allows. A new connection is always accepted; the one
//! idle longest is evicted for it.

use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::eviction::{EvictionHandle, EvictionQueue};
use crate::telemetry::CONNECTIONS_EVICTED;

/// Connections open at once, whatever the open-file limit.
const CONNECTIONS_MAX: usize = 16_384;
/// The same for the operators' listener.
const OPS_CONNECTIONS_MAX: usize = 256;

/// Raises the soft open-file limit to the hard one: each connection is a file.
pub fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::debug!(%error, "open-file limit not raised");
    }
}

/// The limit of the public listener: three quarters of the open-file limit. The rest is for operators,
/// Postgres, the broker, and connections that are closing.
#[must_use]
pub fn connections_max() -> usize {
    let files = getrlimit(Resource::Nofile).current.and_then(|files| usize::try_from(files).ok());
    files.map_or(CONNECTIONS_MAX, |files| (files / 4 * 3).clamp(1, CONNECTIONS_MAX))
}

/// The limit of the operators' listener.
#[must_use]
pub fn ops_connections_max() -> usize {
    (connections_max() / 8).clamp(1, OPS_CONNECTIONS_MAX)
}

/// Permits for connections, and the order in which their holders are evicted.
pub struct ConnectionLimit {
    permits: Arc<Semaphore>,
    holders: EvictionQueue,
}

/// One connection's permit, released when dropped.
pub(crate) struct ConnectionPermit {
    eviction: EvictionHandle,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionLimit {
    /// A limit of `count` connections.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(count)), holders: EvictionQueue::default() }
    }

    /// Takes a permit. If none is free, evicts the connection whose last response (or opening) is longest
    /// ago.
    pub(crate) async fn take(&self) -> Option<ConnectionPermit> {
        if self.permits.available_permits() == 0 {
            self.evict_oldest();
        }
        let permit = self.permits.clone().acquire_owned().await.ok()?;
        Some(ConnectionPermit { eviction: self.holders.push(), _permit: permit })
    }

    /// Evicts the connection that has been idle longest.
    pub(crate) fn evict_oldest(&self) {
        if self.holders.evict_oldest().is_some() {
            metrics::counter!(CONNECTIONS_EVICTED).increment(1);
        }
    }
}

impl ConnectionPermit {
    /// A response was sent: the connection is the last to be evicted.
    pub(crate) fn answered(&self) {
        self.eviction.move_to_back();
    }

    /// Resolves once the connection is evicted.
    pub(crate) async fn evicted(&self) {
        self.eviction.evicted().await;
    }
}
