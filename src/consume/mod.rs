//! Consume: take a batch, apply it, settle it. What the database is too busy for waits; an event that fails is cut
//! out of its batch, tried again alone a few times and then a dead letter, at once where no attempt can help; and
//! its neighbours go on.

mod careful;
mod dead;
mod failing;
mod isolate;
mod upkeep;

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::{self, FuturesUnordered, Stream};
use tokio::task::JoinError;
use tokio::time::sleep;

use self::careful::Careful;
use crate::lifecycle::Lifecycle;
use crate::queue::{Batch, Consumer, Queue, QueueError};
use crate::retry::Delays;
use crate::store::Store;

/// How long to wait after the first and the later failures of a thing that the consumer depends on.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// How often a batch may lose the connection before its events are suspected of it.
const SUSPICIOUS: u32 = 3;
/// Batches under way: one derives while the other is read and its bytes are written to the inbox.
const BATCHES_AT_ONCE: usize = 2;

/// Consumes until the process stops, and keeps up what changes without events. A queue or database that is away only delays it.
pub async fn run(queue: &Queue, store: &Store, lifecycle: &Lifecycle) {
    let mut delays = Delays::new(FIRST_DELAY, LONGEST_DELAY);
    while let Err(error) = store.switch_on().await {
        tracing::warn!(%error, "the tables cannot be read in yet, trying again");
        wait(delays.next_delay(), lifecycle).await;
        if lifecycle.stopping.is_cancelled() {
            return;
        }
    }
    let careful = Careful::begin(store).await;
    tokio::join!(
        keep_consuming(queue, store, &careful, lifecycle),
        upkeep::run(store, lifecycle),
        dead::keep(queue, store, lifecycle),
        failing::run(store, lifecycle),
        careful.outlive(store, lifecycle),
    );
    careful.end(store).await;
}

async fn keep_consuming(queue: &Queue, store: &Store, careful: &Careful, lifecycle: &Lifecycle) {
    let mut delays = Delays::new(FIRST_DELAY, LONGEST_DELAY);
    while !lifecycle.stopping.is_cancelled() {
        let error = match queue.consumer().await {
            Ok(consumer) => match consume(consumer, store, careful, lifecycle, &mut delays).await {
                Ok(()) => return,
                Err(error) => error,
            },
            Err(error) => error,
        };
        if lifecycle.stopping.is_cancelled() {
            return;
        }
        tracing::warn!(%error, "the queue gives no events, trying again");
        wait(delays.next_delay(), lifecycle).await;
    }
}

/// Applies one batch while the next is on its way: only the derivation itself is done in turn.
async fn consume(
    consumer: Consumer,
    store: &Store,
    careful: &Careful,
    lifecycle: &Lifecycle,
    delays: &mut Delays,
) -> Result<(), QueueError> {
    let mut batches = pin!(batches(consumer));
    let mut under_way = FuturesUnordered::new();
    let ended = loop {
        tokio::select! {
            () = lifecycle.stopping.cancelled() => break Ok(()),
            Some(settled) = under_way.next() => if let Err(error) = checked(settled) { break Err(error) },
            Some(batch) = batches.next(), if under_way.len() < BATCHES_AT_ONCE => match batch {
                Ok(batch) => {
                    delays.reset();
                    let (store, careful, here) = (store.clone(), *careful, lifecycle.clone());
                    let settled = async move { settle(batch, &store, careful, &here).await };
                    under_way.push(lifecycle.tasks.spawn(settled));
                }
                Err(error) => break Err(error),
            },
        }
    };
    // A batch is settled before its consumer goes.
    while let Some(settled) = under_way.next().await {
        checked(settled)?;
    }
    ended
}

/// The batches one by one. What the consumer has begun to fetch waits here while another is settled.
fn batches(consumer: Consumer) -> impl Stream<Item = Result<Batch, QueueError>> {
    stream::unfold(consumer, |mut consumer| async move { Some((consumer.next_batch().await, consumer)) })
}

/// A batch whose task broke down was given back when it was dropped.
fn checked(settled: Result<Result<(), QueueError>, JoinError>) -> Result<(), QueueError> {
    settled.unwrap_or_else(|fault| {
        tracing::error!(%fault, "a batch could not be worked on; it will come again");
        Ok(())
    })
}

/// Applies `batch` and acknowledges it after the commit. Stopping while the database is away gives it back.
async fn settle(
    batch: Batch,
    store: &Store,
    careful: Careful,
    lifecycle: &Lifecycle,
) -> Result<(), QueueError> {
    let mut delays = Delays::new(FIRST_DELAY, LONGEST_DELAY);
    let (mut lost, mut noted) = (0, None);
    loop {
        let applied = async {
            if noted.is_none() {
                noted = Some(careful.note(store, &batch.envelopes).await?);
            }
            careful.apply(store, noted.as_deref().unwrap_or_default(), lost >= SUSPICIOUS).await
        };
        match applied.await {
            Ok(()) => return batch.ack().await,
            Err(error) => {
                lost += u32::from(error.is_lost_connection());
                let delay = delays.next_delay();
                tracing::warn!(%error, ?delay, events = batch.envelopes.len(), "a batch waits for the database");
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
