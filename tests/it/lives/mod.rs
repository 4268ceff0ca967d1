//! Whole lives, in any order: what the tables say in the end is what is true, however the news of it came.
//!
//! A simulated Stripe account and Supabase project ([`world`]) change as real ones do and tell of it in
//! events of mixed API versions, many in one second. The [`model`] works out what the tables must say from
//! what is true at the end; it reads no event and shares no code with the projection. Each life is then
//! delivered over and over: shuffled, repeated, batched anyhow, to two consumers at once, through both queues.

mod compare;
mod deliver;
mod model;
mod shapes;
mod story;
mod stripe_sim;
mod supabase_sim;
mod world;

use std::env;

use fastrand::Rng;

use deliver::{Bench, Life, Way};

/// Names other lives than the usual ones. Some seeds still find what is not right yet.
const SEED: &str = "MEMBERFLOW_TEST_SEED";

/// The usual lives, so that a run of all tests can be repeated.
const USUAL: u64 = 21;

fn seed() -> u64 {
    env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or(USUAL)
}

/// Tells `lives` lives, each in `orders` orders.
async fn soak(lives: u16, orders: usize) {
    let seed = seed();
    eprintln!("{lives} lives, each in {orders} orders; {SEED}={seed}");
    let mut rng = Rng::with_seed(seed);
    let lives: Vec<Life> = (0..lives).map(|number| Life::new(number, rng.u64(..))).collect();
    let events: usize = lives.iter().map(|life| life.told.len()).sum();
    eprintln!("{events} events in all");
    let bench = Bench::new().await;
    for order in 0..orders {
        let way = match order % 20 {
            5 => Way::Postgres,
            15 => Way::RabbitMq,
            _ => Way::Direct { batch: rng.choice([40, 200, 1000]).unwrap(), consumers: 1 + order % 2 },
        };
        bench.deliver(lives.iter(), &mut rng, way).await;
        let differences = compare::differences(lives.iter(), &bench.read().await);
        for (number, said) in &differences {
            let seed = lives.iter().find(|life| life.number == *number).map(|life| life.seed);
            eprintln!("life {number} ({seed:?}), order {order}, {way:?}:\n{said}");
        }
        assert!(differences.is_empty(), "the tables are not what is true; again with {SEED}={seed}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn whatever_the_order_the_tables_say_what_is_true() {
    soak(5, 3).await;
}
