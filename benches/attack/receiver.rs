//! The receiver, good traffic to it, and the attacker's process beside it.

use std::cell::Cell;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::ValueEnum as _;
use memberflow::ops::fixture::FixtureEvent;
use tokio::net::lookup_host;
use tokio::time::{Instant, sleep};

use crate::attacks::Attack;
use crate::durable::durable;
use crate::pace;
use crate::sender::Sender;
use crate::support::broker::url_at;
use crate::support::database::TestDatabase;
use crate::support::population::Population;
use crate::support::process::{Serving, Settings};
use crate::support::proxy::Proxy;
use crate::support::receiver::{PUBLIC_URL, STRIPE_SECRETS, SUPABASE_SECRETS, TWILIO_TOKENS};

/// From the attacker's start until all that it opens is open.
const UNTIL_IN_FULL: Duration = Duration::from_secs(3);

/// A receiver over a database of its own, which is its queue.
pub struct Receiver {
    database: TestDatabase,
    _way_to_database: Option<Proxy>,
    receiver: Serving,
    good: Vec<FixtureEvent>,
    rate: u32,
    /// How many good deliveries were taken so far.
    taken: Cell<usize>,
    /// Events in the queue before the first attack.
    stored_before: i64,
}

/// What one round has shown.
pub struct Measured {
    pub quiet_p99_ms: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Good deliveries that were not taken beside the attack.
    pub refused: usize,
    /// The answers that the attacker got.
    pub answers: String,
}

impl Receiver {
    pub async fn open(rate: u32, lasting: Duration, round_trip: Duration) -> Self {
        let database = durable(TestDatabase::migrated().await).await;
        let (way, url) = if round_trip.is_zero() {
            (None, database.url())
        } else {
            let server = database.options();
            let server = lookup_host((server.get_host(), server.get_port())).await.unwrap().next().unwrap();
            let proxy = Proxy::to(server).await;
            proxy.set_round_trip(round_trip);
            let url = url_at(&database.url(), proxy.address);
            (Some(proxy), url)
        };
        let settings: Settings = vec![
            ("DATABASE_URL", url),
            ("STRIPE_WEBHOOK_SECRETS", STRIPE_SECRETS.to_owned()),
            ("SUPABASE_WEBHOOK_SECRETS", SUPABASE_SECRETS.to_owned()),
            ("TWILIO_AUTH_TOKENS", TWILIO_TOKENS.to_owned()),
            ("MEMBERFLOW_PUBLIC_URL", PUBLIC_URL.to_owned()),
        ];
        let receiver = Serving::roles("receive", &settings);
        let wanted = (f64::from(rate) * lasting.as_secs_f64()) as usize;
        let population = Population::read();
        let mut good: Vec<_> = (1..=wanted.div_ceil(population.events_per_round()))
            .flat_map(|round| population.fixture_events(round))
            .collect();
        good.truncate(wanted);
        let taken = Cell::new(0);
        let mut receiver =
            Self { database, _way_to_database: way, receiver, good, rate, taken, stored_before: 0 };
        // The first connections to Postgres are no part of what is measured.
        receiver.good_traffic().await;
        receiver.stored_before = receiver.stored().await;
        receiver
    }

    /// Good traffic alone, and then beside `attack`.
    pub async fn measure(&self, attack: Attack) -> Measured {
        let quiet = self.good_traffic().await;
        let attacker = self.attacker(attack);
        sleep(UNTIL_IN_FULL).await;
        let before = self.taken.get();
        let took = self.good_traffic().await;
        let refused = self.good.len() - (self.taken.get() - before);
        let answers = end(attacker);
        // What it has left open is closed before the next quiet.
        sleep(UNTIL_IN_FULL).await;
        Measured {
            quiet_p99_ms: pace::ms_at(&quiet, 0.99),
            p50_ms: pace::ms_at(&took, 0.5),
            p99_ms: pace::ms_at(&took, 0.99),
            refused,
            answers,
        }
    }

    /// How long each good delivery took, sorted.
    async fn good_traffic(&self) -> Vec<Duration> {
        let sender = Sender::to(self.receiver.url());
        let answers = pace::post(&sender, &self.good, self.rate, Instant::now()).await;
        self.taken.set(self.taken.get() + answers.iter().filter(|answer| answer.taken).count());
        let mut took: Vec<Duration> = answers.into_iter().map(|answer| answer.took).collect();
        took.sort();
        took
    }

    fn attacker(&self, attack: Attack) -> Child {
        let attack = attack.to_possible_value().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--attack", attack.get_name(), "--at", &self.receiver.address.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    pub fn peak_memory_bytes(&self) -> u64 {
        self.receiver.peak_memory_bytes()
    }

    /// Events in the queue that came after the first good traffic, which is the same each time and so is stored once.
    pub async fn left_by_attacks(&self) -> i64 {
        self.stored().await - self.stored_before
    }

    async fn stored(&self) -> i64 {
        let count = "select count(*) from ingest.events";
        sqlx::query_scalar(count).fetch_one(&self.database.pool).await.unwrap()
    }
}

/// Ends the attacker by closing its stdin, and returns its output.
fn end(mut attacker: Child) -> String {
    drop(attacker.stdin.take());
    let output = attacker.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
