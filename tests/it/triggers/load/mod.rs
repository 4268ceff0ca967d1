//! Everything that users do by SQL from several connections, while the consumers and, in the long run, the
//! broker are killed again and again: in the end the metrics match SQL counts.

mod users;

use std::time::Duration;

use memberflow::project::supabase::ActivityTables;
use rustix::process::Signal;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::time::{Instant, sleep};

use self::users::{Tally, Users};
use super::installed;
use crate::support::broker::{TestBroker, broker_url};
use crate::support::database::TestDatabase;
use crate::support::process::{Serving, Settings};
use crate::support::servers::{Server, Servers};

/// Connections that write at once.
const CONNECTIONS: u64 = 6;

/// The queue.
enum Queue {
    /// On the broker that other tests use, too.
    Shared(TestBroker),
    /// On a broker of the test's own, which is killed like everything else.
    Own(Box<Servers>),
    Postgres,
}

impl Queue {
    /// The parts of the service that are killed, each in a process of its own.
    const fn parts(&self) -> &'static [&'static str] {
        match self {
            Self::Shared(_) | Self::Own(_) => &["consume", "consume", "consume"],
            Self::Postgres => &["consume", "consume"],
        }
    }

    fn settings(&self, database: &TestDatabase) -> Settings {
        let (url, prefix) = match self {
            Self::Shared(broker) => (broker_url(), broker.prefix.clone()),
            Self::Own(servers) => (servers.amqp_url(), "own".to_owned()),
            Self::Postgres => (String::new(), "unused".to_owned()),
        };
        vec![
            ("DATABASE_URL", database.url()),
            ("AMQP_URL", url),
            ("MEMBERFLOW_QUEUE_PREFIX", prefix),
            ("MEMBERFLOW_DATABASE_CONNECTIONS", "5".to_owned()),
        ]
    }

    /// Kills the broker, where that is ours to do, and starts it again.
    async fn kill_broker(&mut self) -> bool {
        let Self::Own(servers) = self else { return false };
        servers.end(Server::RabbitMq, Signal::KILL).await;
        servers.start_again().await;
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_is_exact_after_kills_on_rabbitmq() {
    activity_is_what_sql_counts(Queue::Shared(TestBroker::new()), 1500, Duration::from_secs(90)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_is_exact_after_kills_on_postgres() {
    activity_is_what_sql_counts(Queue::Postgres, 1500, Duration::from_secs(90)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long: make faults"]
async fn soak_activity_is_exact_after_kills_on_rabbitmq() {
    let servers = Servers::start(None).await;
    activity_is_what_sql_counts(Queue::Own(Box::new(servers)), statements(), Duration::from_secs(1800)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long: make faults"]
async fn soak_activity_is_exact_after_kills_on_postgres() {
    activity_is_what_sql_counts(Queue::Postgres, statements(), Duration::from_secs(1800)).await;
}

/// How many statements the long tests make.
fn statements() -> u64 {
    std::env::var("MEMBERFLOW_TEST_STATEMENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000)
}

async fn activity_is_what_sql_counts(mut queue: Queue, statements: u64, patience: Duration) {
    let database = TestDatabase::migrated().await;
    let settings = queue.settings(&database);
    installed(&database.pool, &ActivityTables::default()).await;
    let pool = PgPoolOptions::new().max_connections(8).connect_with(database.options()).await.unwrap();
    users::prepare(&pool).await;
    let began = Instant::now();
    let users = Users::new(pool.clone(), statements);
    let writing = async {
        let lanes = (0..CONNECTIONS).map(|lane| users.act(lane));
        let tallies = futures_util::future::join_all(lanes).await;
        let wrote = began.elapsed();
        (tallies.into_iter().fold(Tally::default(), Tally::and), wrote)
    };
    let killing = kill_until_all_is_applied(&mut queue, settings, &pool, &users, patience);
    let ((tally, wrote), kills) = tokio::join!(writing, killing);

    assert_eq!(users::differences(&pool).await, Vec::<String>::new());
    let (applied, dead): (i64, i64) = sqlx::query_as(
        "select (select count(*) from ingest.events where event_id like 'trigger/%' and state = 'applied'),
                (select count(*) from ingest.events where state = 'dead')",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(dead, 0);
    assert!(tally.refused < statements / 20, "{tally:?}");
    println!(
        "{statements} statements in {wrote:.1?} ({tally:?}), {applied} events applied after {:.1?}, {kills}",
        began.elapsed()
    );
}

/// Kills one process after another, and starts it again, until the users are done and no event is due, and then waits until
/// the metrics are right; returns how many times.
async fn kill_until_all_is_applied(
    queue: &mut Queue,
    settings: Settings,
    pool: &PgPool,
    users: &Users,
    patience: Duration,
) -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let start = |role: &'static str| tokio::task::block_in_place(|| Serving::roles(role, &settings));
    let mut running: Vec<_> = queue.parts().iter().map(|role| (*role, start(role))).collect();
    let (mut kills, mut broker_kills) = (0, 0);
    while !users.are_done() || users::due(pool).await > 0 {
        sleep(Duration::from_millis(random.u64(100..1500))).await;
        if random.u32(..20) == 0 && queue.kill_broker().await {
            broker_kills += 1;
            continue;
        }
        let (role, serving) = running.swap_remove(random.usize(..running.len()));
        serving.kill();
        kills += 1;
        sleep(Duration::from_millis(random.u64(0..300))).await;
        running.push((role, start(role)));
    }
    let deadline = Instant::now() + patience;
    while !users::differences(pool).await.is_empty() || users::pending(pool).await > 0 {
        assert!(Instant::now() < deadline, "{:#?}", users::differences(pool).await);
        // What was under way at several kills would wait for minutes.
        let due = "update ingest.events set next_attempt_at = now() where state = 'pending'";
        sqlx::query(due).execute(pool).await.unwrap();
        sleep(Duration::from_millis(500)).await;
    }
    format!("{kills} kills of processes, {broker_kills} of the broker")
}
