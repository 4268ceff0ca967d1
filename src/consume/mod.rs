//! Takes a batch, applies it, settles it. While the database is unavailable a batch waits. An event that
//! fails is isolated from its batch, retried alone a few times and then dead-lettered (at once if no retry
//! can help); the rest of its batch is applied.

mod dead;
mod gauges;
mod in_flight;
mod isolate;
mod legacy_tables;
mod retries;
mod upkeep;

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::{self, FuturesUnordered, Stream};
use tokio::task::JoinError;
use tokio::time::sleep;

use in_flight::InFlight;

use crate::lifecycle::Lifecycle;
use crate::queue::{Batch, Consumer, Queue};
use crate::retry::Backoff;
use crate::store::Store;

/// Delays after failures of a dependency.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// How often a batch may fail for a reason that one of its events may cause before it is bisected.
const FAILURES_BEFORE_BISECT: u32 = 3;
/// Concurrent batches per consumer: one resolves and derives while the events of the other are stored.
const BATCHES_AT_ONCE: usize = 2;

/// Consumes until the process stops, and recomputes what changes without events. A queue or database that is
/// down only delays it.
pub async fn run(queue: &Queue, store: &Store, lifecycle: &Lifecycle) {
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    loop {
        match lifecycle.until_stopping(store.initial_import()).await {
            Some(Ok(())) => break,
            Some(Err(error)) => tracing::warn!(%error, "initial import failed, will retry"),
            None => return,
        }
        wait(backoff.next_delay(), lifecycle).await;
    }
    let in_flight = InFlight::default();
    let consuming =
        queue.consumers().into_iter().map(|consumer| consume(consumer, store, &in_flight, lifecycle));
    tokio::join!(
        join_all(consuming),
        upkeep::run(store, &in_flight, lifecycle),
        dead::run(queue, store, lifecycle),
        retries::run(store, lifecycle),
        legacy_tables::run(queue, store, lifecycle),
    );
}

/// Applies one batch while the next is fetched and its events are stored; from the derivation lock on they take turns.
async fn consume(mut consumer: Consumer, store: &Store, in_flight: &InFlight, lifecycle: &Lifecycle) {
    let mut batches = pin!(batches(&mut consumer));
    let mut tasks = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(ended) = tasks.next() => log_panic(ended),
            batch = batches.next(), if tasks.len() < BATCHES_AT_ONCE => {
                let Some(batch) = batch else { break };
                let guard = in_flight.track(&batch);
                tasks.push(lifecycle.tasks.spawn({
                    let (store, lifecycle) = (store.clone(), lifecycle.clone());
                    async move {
                        apply_and_ack(batch, &store, &lifecycle).await;
                        drop(guard);
                    }
                }));
            }
        }
    }
    // Batches are settled over the consumer's connections, which end when it is dropped.
    while let Some(ended) = tasks.next().await {
        log_panic(ended);
    }
}

/// The batches one by one, without ending the consumer after the last.
fn batches(consumer: &mut Consumer) -> impl Stream<Item = Batch> {
    stream::unfold(consumer, |consumer| async move { Some((consumer.next_batch().await?, consumer)) })
}

/// A batch whose task panicked was requeued when it was dropped.
fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "batch task failed, will be redelivered");
    }
}

/// Applies `batch` and acks it after the commit. If the process stops while the database is down, requeues
/// it.
async fn apply_and_ack(mut batch: Batch, store: &Store, lifecycle: &Lifecycle) {
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    // Those that one of its events may have caused.
    let mut failures = 0;
    loop {
        match isolate::apply(store, &mut batch, failures >= FAILURES_BEFORE_BISECT).await {
            Ok(()) => return batch.ack().await,
            Err(error) => {
                failures += u32::from(error.may_be_caused_by_an_event());
                batch.release().await;
                let delay = backoff.next_delay();
                tracing::warn!(%error, ?delay, events = batch.envelopes.len(), "batch failed, will retry");
                wait(delay, lifecycle).await;
            }
        }
        if lifecycle.stopping.is_cancelled() {
            return batch.requeue().await;
        }
    }
}

async fn wait(delay: Duration, lifecycle: &Lifecycle) {
    tokio::select! {
        () = lifecycle.stopping.cancelled() => {}
        () = sleep(delay) => {}
    }
}
