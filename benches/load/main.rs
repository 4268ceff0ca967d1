//! The service under load, as separate processes with a database and queues of their own: how many events a
//! second are accepted and applied, how long it takes from a webhook to its commit, and how much memory that
//! takes. Everything runs on this machine, the load too, so the figures are low bounds: compare them within one
//! run, and with others of the same machine.
//!
//! `cargo bench --bench load -- --events 10000 --queue postgres --steady 1000`

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../../tests/it/whole_way/sender.rs"]
mod sender;

mod pace;
mod steady;

use std::time::Duration;

use clap::{Parser, ValueEnum};
use memberflow::clock::Clock;
use memberflow::ops::fixture::{FixtureEvent, SignsUp};
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use sender::Sender;
use support::broker::{TestBroker, broker_url};
use support::crowd::Crowd;
use support::database::TestDatabase;
use support::edge::{STRIPE_SECRETS, SUPABASE_SECRETS};
use support::process::{Serving, Settings};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Queue {
    Rabbitmq,
    Postgres,
}

#[derive(Debug, Parser)]
struct Args {
    /// Which queue.
    #[arg(long, value_enum, default_value = "rabbitmq")]
    queue: Queue,
    /// About so many events, as fast as they are taken.
    #[arg(long, default_value_t = 10_000)]
    events: usize,
    /// Connections that post at once.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Afterwards so many events a second, to see how long each takes.
    #[arg(long)]
    steady: Option<u32>,
    /// For so long.
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// The service and what it works on.
struct House {
    database: TestDatabase,
    _broker: TestBroker,
    receiver: Serving,
    consumer: Serving,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    rustls::crypto::ring::default_provider().install_default().ok();
    let crowd = Crowd::read();
    let house = House::open(args.queue, &crowd).await;
    let rounds = args.events.div_ceil(crowd.events_per_round());
    let events: Vec<FixtureEvent> = (1..=rounds).flat_map(|round| crowd.told(round)).collect();
    for round in 1..=rounds {
        crowd.sign_up(&house.database.pool, round, SignsUp::Before).await;
    }
    sqlx::query("delete from ingest.outbox").execute(&house.database.pool).await.unwrap();
    house.flood(&events, args.connections).await;
    if let Some(rate) = args.steady {
        let wanted = (rate * args.seconds) as usize;
        let more = wanted.div_ceil(crowd.events_per_round());
        let mut events: Vec<_> = (rounds + 1..=rounds + more).flat_map(|round| crowd.told(round)).collect();
        events.truncate(wanted);
        steady::run(&house, &events, rate).await;
    }
    house.memory();
}

impl House {
    async fn open(queue: Queue, crowd: &Crowd) -> Self {
        let (database, broker) = (TestDatabase::migrated().await, TestBroker::new());
        crowd.name_tiers(&database.pool).await;
        let amqp = match queue {
            Queue::Rabbitmq => broker_url(),
            Queue::Postgres => String::new(),
        };
        let settings: Settings = vec![
            ("DATABASE_URL", database.url()),
            ("AMQP_URL", amqp),
            ("MEMBERFLOW_QUEUE_PREFIX", broker.prefix.clone()),
            ("STRIPE_WEBHOOK_SECRETS", STRIPE_SECRETS.to_owned()),
            ("SUPABASE_WEBHOOK_SECRETS", SUPABASE_SECRETS.to_owned()),
        ];
        let receiver = Serving::roles("receive,relay", &settings);
        let consumer = Serving::roles("consume", &settings);
        // The first start reads in what stands there.
        sleep(Duration::from_secs(1)).await;
        Self { database, _broker: broker, receiver, consumer }
    }

    fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    async fn flood(&self, events: &[FixtureEvent], connections: usize) {
        let bytes: usize = events.iter().map(|event| event.body.len()).sum();
        let sender = Sender::with_clock(self.receiver.url(), Clock::System);
        let began = Instant::now();
        sender.deliver(events, connections).await;
        let accepted = began.elapsed();
        while self.applied().await < events.len() {
            assert!(began.elapsed() < Duration::from_secs(600), "not all are applied");
            sleep(Duration::from_millis(5)).await;
        }
        let applied = began.elapsed();
        let rate = |took: Duration| events.len() as f64 / took.as_secs_f64();
        println!(
            "{} events of {} bytes on average over {connections} connections: accepted {:.0}/s, all applied {:.0}/s",
            events.len(),
            bytes / events.len().max(1),
            rate(accepted),
            rate(applied),
        );
    }

    async fn applied(&self) -> usize {
        let count = sqlx::query_scalar("select count(*) from ingest.inbox where source <> 'internal'");
        let count: i64 = count.fetch_one(self.pool()).await.unwrap();
        usize::try_from(count).unwrap()
    }

    fn memory(&self) {
        let peak = |serving: &Serving| serving.peak_memory_bytes() / (1024 * 1024);
        println!("peak memory: receiver {} MB, consumer {} MB", peak(&self.receiver), peak(&self.consumer));
    }
}
