//! Delivering histories: in any order, in any batches, more than once, to two consumers, through a queue or not.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::{join, join_all};
use memberflow::envelope::Envelope;
use memberflow::queue::Queue;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::acts;
use super::harness::Harness;
use super::history::History;
use super::state::PHASES;
use crate::support::consuming::Consuming;

/// Longer than any delivery may take, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(300);

/// Events that are accepted at once, at most: what comes together travels in one message.
const GROUP_MAX: usize = 60;

/// The way that events take to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `Store::apply`, with batches of this size at most, by so many consumers at once.
    Direct { batch: usize, consumers: usize },
    /// As pending events in Postgres, to two consumers.
    Postgres,
    /// Through the broker, to two consumers.
    RabbitMq,
}

impl Harness {
    /// Empties the tables and delivers `histories` in an order that `rng` decides. Returns how many deliveries
    /// those were.
    pub async fn deliver(&self, histories: &[&History], rng: &mut Rng, way: Way) -> usize {
        self.reset().await;
        let mut delivered = 0;
        for (phase, events) in spread(histories, rng).into_iter().enumerate() {
            acts::act(&self.database.pool, histories, phase).await;
            if phase == 0 {
                self.import_preexisting(histories).await;
            }
            delivered += events.len();
            match way {
                Way::Direct { batch, consumers } => self.apply(events, rng, batch, consumers).await,
                Way::Postgres => {
                    let deliveries = self.not_applied(&events).await;
                    self.queue(&self.embedded, events, deliveries, rng).await;
                }
                Way::RabbitMq => {
                    let deliveries = events.len();
                    self.queue(&self.broker, events, deliveries, rng).await;
                }
            }
            if rng.bool() {
                self.store.recompute_due().await.unwrap();
            }
        }
        self.catch_up().await;
        delivered
    }

    async fn apply(&self, events: Vec<Envelope>, rng: &mut Rng, batch: usize, consumers: usize) {
        let mut parts: Vec<Vec<Vec<Envelope>>> = vec![Vec::new(); consumers];
        let mut events = events.into_iter().peekable();
        while events.peek().is_some() {
            let size = rng.usize(1..=batch);
            rng.choice(&mut parts).unwrap().push(events.by_ref().take(size).collect());
        }
        join_all(parts.into_iter().map(|part| self.apply_all(part))).await;
    }

    /// Applies one batch after the other.
    pub async fn apply_all(&self, batches: Vec<Vec<Envelope>>) {
        for batch in batches {
            let applied = self.store.apply(&batch).await.unwrap();
            assert_eq!(applied.dead, 0, "an event that nobody can read");
        }
    }

    /// How many of `events` are delivered where each is kept once: those that no earlier phase has applied.
    async fn not_applied(&self, events: &[Envelope]) -> usize {
        let applied = "select source || '/' || event_id from ingest.events where state = 'applied'";
        let applied: Vec<String> = sqlx::query_scalar(applied).fetch_all(&self.database.pool).await.unwrap();
        let applied: BTreeSet<String> = applied.into_iter().collect();
        let names: BTreeSet<String> =
            events.iter().map(|it| format!("{}/{}", it.source, it.event_id)).collect();
        names.difference(&applied).count()
    }

    /// Two consumers take what is accepted, while it is: so many deliveries.
    async fn queue(&self, queue: &Queue, mut events: Vec<Envelope>, deliveries: usize, rng: &mut Rng) {
        let left = AtomicUsize::new(deliveries);
        let done = CancellationToken::new();
        if deliveries == 0 {
            return;
        }
        let mut crowds = Vec::new();
        while !events.is_empty() {
            let size = rng.usize(1..=GROUP_MAX).min(events.len());
            crowds.push(events.split_off(events.len() - size));
        }
        let consumers = join_all((0..2).map(|_| self.consume(queue, &left, &done)));
        timeout(DEADLINE, join(enqueue_all(queue, crowds), consumers))
            .await
            .expect("all that is enqueued comes");
    }

    /// Takes batches until none of the `left` events is, whoever settled the last.
    async fn consume(&self, queue: &Queue, left: &AtomicUsize, done: &CancellationToken) {
        let mut consumer = Consuming::begin(queue);
        while let Some(Some(mut batch)) = done.run_until_cancelled(consumer.next_batch()).await {
            let count = batch.envelopes.len();
            let applied = match batch.take_transaction() {
                Some(held) => self.store.apply_pending(Some(held), &batch.envelopes).await,
                None => self.store.apply(&batch.envelopes).await,
            };
            assert_eq!(applied.unwrap().dead, 0, "an event that nobody can read");
            batch.ack().await;
            if left.fetch_sub(count, Ordering::SeqCst) <= count {
                done.cancel();
            }
        }
    }
}

/// Each event once or a few times, in a phase in which it can be, in any order.
pub fn spread(histories: &[&History], rng: &mut Rng) -> Vec<Vec<Envelope>> {
    let mut phases: Vec<Vec<Envelope>> = vec![Vec::new(); PHASES];
    for emitted in histories.iter().flat_map(|history| &history.emitted) {
        let copies = if rng.u32(0..100) < 12 { rng.usize(2..4) } else { 1 };
        for _ in 0..copies {
            phases[rng.usize(emitted.phase..PHASES)].push(emitted.envelope.clone());
        }
    }
    phases.iter_mut().for_each(|events| rng.shuffle(events));
    phases
}

async fn enqueue_all(queue: &Queue, crowds: Vec<Vec<Envelope>>) {
    for population in crowds {
        let enqueued = join_all(population.into_iter().map(|event| queue.enqueue(event))).await;
        enqueued.into_iter().for_each(|one| one.unwrap());
    }
}
