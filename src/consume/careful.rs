//! Going carefully after several consumers that did not live for a minute: an event may end them all. For its own first
//! minute the next one notes what it has under way before it applies it. Should that end it, too, the one after finds
//! the notes, and these events are tried alone, each attempt counted before it is made: so the one at fault becomes a
//! dead letter and the service stays up.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::isolate;
use crate::database::within_reason;
use crate::envelope::Envelope;
use crate::lifecycle::Lifecycle;
use crate::store::{Store, StoreError};

/// For how long. What ended the last consumer comes again first of all.
const FIRST: Duration = Duration::from_secs(60);

/// Whether to note what is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Careful {
    id: Uuid,
    is_set: bool,
    until: Instant,
}

impl Careful {
    /// A consumer begins. Where the database does not say what was before, it goes carefully.
    pub async fn begin(store: &Store) -> Self {
        let (id, now) = (Uuid::new_v4(), Instant::now());
        let is_set = store.begin_consumer(id).await.unwrap_or(true);
        Self { id, is_set, until: now + FIRST }
    }

    /// It ended by itself.
    pub async fn end(&self, store: &Store) {
        if let Err(error) = store.end_consumer(self.id).await {
            tracing::debug!(%error, "the next consumer will take this end for a crash");
        }
    }

    /// Tells when it has outlived its first minute: whatever ended those before it, the loop is over.
    pub async fn outlive(&self, store: &Store, lifecycle: &Lifecycle) {
        let mut next = self.until;
        while lifecycle.until_stopping(sleep_until(next)).await.is_some() {
            match store.outlived(self.id).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "it will be told later that this consumer lives"),
            }
            next += FIRST;
        }
    }

    /// Those of `batch` that are to be applied together, noted where that is called for: the others are kept and tried
    /// alone.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn note(&self, store: &Store, batch: &[Envelope]) -> Result<Vec<Envelope>, StoreError> {
        if !self.is_on() {
            return Ok(batch.to_vec());
        }
        let suspects = within_reason(store.note_under_way(batch)).await?;
        let others = batch.iter().zip(suspects).filter(|(_, is_suspect)| !is_suspect);
        Ok(others.map(|(envelope, _)| envelope.clone()).collect())
    }

    /// Applies what was [noted](Self::note).
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] alone: nothing is lost by applying the same again later.
    pub async fn apply(
        &self,
        store: &Store,
        noted: &[Envelope],
        is_suspicious: bool,
    ) -> Result<(), StoreError> {
        isolate::apply(store, noted.to_vec(), is_suspicious).await?;
        // What was noted in the last moment may end a little later.
        let may_be_noted = self.is_set && Instant::now() < self.until + FIRST;
        if may_be_noted { within_reason(store.note_survived(noted)).await } else { Ok(()) }
    }

    fn is_on(&self) -> bool {
        self.is_set && Instant::now() < self.until
    }
}
