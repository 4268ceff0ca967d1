//! Many histories in many orders each, by several workers at once, each with a database and queues of its own.

use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::runtime::Builder;

use super::deliver::Way;
use super::harness::Harness;
use super::history::History;
use super::{compare, tables};

/// Differing orders that are shown in full, by each worker.
const SHOWN: usize = 8;

/// How much is emitted.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Each emits histories of its own.
    pub workers: u16,
    /// Lives of each worker.
    pub histories: u16,
    /// In how many orders each history is emitted.
    pub orders: usize,
    /// Only this history.
    pub only: Option<u16>,
    /// No order is begun after so long.
    pub longest: Duration,
}

/// What was emitted, and how often the tables were not what is true.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    pub histories: usize,
    pub orders: usize,
    pub queued: usize,
    pub events: usize,
    pub differing: usize,
}

impl Size {
    /// Applies all histories of `seed`, which determines everything but the race between consumers.
    pub fn emit(self, seed: u64) -> Outcome {
        let workers = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.workers)
                .map(|worker| scope.spawn(move || Worker::run(self, seed, worker)))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let add = |all: Outcome, one: Outcome| Outcome {
            histories: all.histories + one.histories,
            orders: all.orders + one.orders,
            queued: all.queued + one.queued,
            events: all.events + one.events,
            differing: all.differing + one.differing,
        };
        workers.into_iter().fold(Outcome::default(), add)
    }
}

struct Worker {
    harness: Harness,
    histories: Vec<History>,
    outcome: Outcome,
}

impl Worker {
    fn run(size: Size, seed: u64, worker: u16) -> Outcome {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Self::emit(size, seed, worker))
    }

    async fn emit(size: Size, seed: u64, worker: u16) -> Outcome {
        let mut seeds = Rng::with_seed(seed ^ (u64::from(worker) << 48));
        let numbers = worker * size.histories..(worker + 1) * size.histories;
        let histories = numbers.map(|number| History::new(number, seeds.u64(..)));
        let histories: Vec<History> =
            histories.filter(|history| size.only.is_none_or(|only| history.number == only)).collect();
        let outcome = Outcome { histories: histories.len(), ..Outcome::default() };
        let mut this = Self { harness: Harness::new().await, histories, outcome };
        let begun = Instant::now();
        for round in 0..size.orders {
            if begun.elapsed() > size.longest {
                break;
            }
            this.round(&mut Rng::with_seed(seeds.u64(..)), round).await;
            if round % 20 == 19 {
                let Outcome { orders, differing, .. } = this.outcome;
                let seconds = begun.elapsed().as_secs();
                eprintln!("worker {worker}: {orders} orders in {seconds} s, {differing} of them differ");
            }
        }
        this.harness.stop().await;
        this.outcome
    }

    /// Every history once more: mostly all of them at once, now and then each alone in tiny batches.
    async fn round(&mut self, rng: &mut Rng, round: usize) {
        let (way, together) = match round % 40 {
            5 | 25 => (Way::Postgres, self.histories.len()),
            15 | 35 => (Way::RabbitMq, self.histories.len()),
            30 => (Way::Direct { batch: 7, consumers: 2 }, 1),
            10 => (Way::Direct { batch: 40, consumers: 2 }, 2),
            other => {
                let batch = rng.choice([100, 400, 1500]).unwrap();
                (Way::Direct { batch, consumers: 1 + other % 2 }, self.histories.len())
            }
        };
        let mut order: Vec<usize> = (0..self.histories.len()).collect();
        rng.shuffle(&mut order);
        for group in order.chunks(together.max(1)) {
            self.deliver(group, rng, round, way).await;
        }
    }

    async fn deliver(&mut self, group: &[usize], rng: &mut Rng, round: usize, way: Way) {
        let histories: Vec<&History> = group.iter().map(|at| &self.histories[*at]).collect();
        self.outcome.events += self.harness.deliver(&histories, rng, way).await;
        let differences = compare::differences(&histories, &tables::read(&self.harness.database.pool).await);
        for (number, said) in &differences {
            if self.outcome.differing < SHOWN {
                let seed =
                    histories.iter().find(|history| history.number == *number).map(|history| history.seed);
                eprintln!("history {number} ({seed:?}), order {round}, {way:?}:\n{said}");
            }
            self.outcome.differing += 1;
        }
        self.outcome.orders += histories.len();
        self.outcome.queued += if matches!(way, Way::Direct { .. }) { 0 } else { histories.len() };
    }
}
