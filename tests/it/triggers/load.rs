//! Everything that users do by SQL from several connections, while the relay and the consumers are killed again
//! and again: in the end the metrics say what SQL counts.

mod users;

use std::time::Duration;

use memberflow::project::supabase::ActivityTables;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::time::{Instant, sleep};

use self::users::{Tally, Users};
use super::installed;
use crate::support::broker::{TestBroker, broker_url};
use crate::support::database::TestDatabase;
use crate::support::process::{Serving, Settings};

/// Connections that write at once.
const CONNECTIONS: u64 = 6;

/// Which queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    RabbitMq,
    Postgres,
}

/// The parts of the service that are killed, each in a process of its own.
const PARTS: [(Kind, &[&str]); 2] =
    [(Kind::RabbitMq, &["relay", "relay", "consume", "consume"]), (Kind::Postgres, &["consume", "consume"])];

#[tokio::test(flavor = "multi_thread")]
async fn activity_is_what_sql_counts_after_kills_under_load_on_rabbitmq() {
    activity_is_what_sql_counts(Kind::RabbitMq, 1500, Duration::from_secs(90)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn activity_is_what_sql_counts_after_kills_under_load_on_postgres() {
    activity_is_what_sql_counts(Kind::Postgres, 1500, Duration::from_secs(90)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long: make faults"]
async fn activity_is_what_sql_counts_after_many_kills_under_long_load_on_rabbitmq() {
    activity_is_what_sql_counts(Kind::RabbitMq, statements(), Duration::from_secs(1800)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes long: make faults"]
async fn activity_is_what_sql_counts_after_many_kills_under_long_load_on_postgres() {
    activity_is_what_sql_counts(Kind::Postgres, statements(), Duration::from_secs(1800)).await;
}

/// How many statements the long tests make.
fn statements() -> u64 {
    std::env::var("MEMBERFLOW_TEST_STATEMENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000)
}

async fn activity_is_what_sql_counts(kind: Kind, statements: u64, patience: Duration) {
    let database = TestDatabase::migrated().await;
    let broker = (kind == Kind::RabbitMq).then(TestBroker::new);
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
    let killing =
        kill_until_all_is_applied(kind, settings(&database, broker.as_ref()), &pool, &users, patience);
    let ((tally, wrote), kills) = tokio::join!(writing, killing);

    assert_eq!(users::differences(&pool).await, Vec::<String>::new());
    let (applied, dead): (i64, i64) = sqlx::query_as(
        "select (select count(*) from ingest.inbox where event_id like 'trigger/%'),
                (select count(*) from ingest.dead_letters)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(dead, 0);
    assert!(tally.refused < statements / 20, "{tally:?}");
    println!(
        "{statements} statements in {wrote:.1?} ({tally:?}), {applied} events applied after {:.1?}, {kills} kills",
        began.elapsed()
    );
}

fn settings(database: &TestDatabase, broker: Option<&TestBroker>) -> Settings {
    vec![
        ("DATABASE_URL", database.url()),
        ("AMQP_URL", broker.map_or_else(String::new, |_| broker_url())),
        ("MEMBERFLOW_QUEUE_PREFIX", broker.map_or("unused".to_owned(), |broker| broker.prefix.clone())),
        ("MEMBERFLOW_DATABASE_CONNECTIONS", "4".to_owned()),
    ]
}

/// Kills one process after another, and starts it again, until the users are done and then until the metrics
/// are right; returns how many were killed.
async fn kill_until_all_is_applied(
    kind: Kind,
    settings: Settings,
    pool: &PgPool,
    users: &Users,
    patience: Duration,
) -> u32 {
    let mut random = fastrand::Rng::with_seed(7);
    let roles = PARTS.iter().find(|(of, _)| *of == kind).map(|(_, roles)| *roles).unwrap();
    let start = |role: &'static str| tokio::task::block_in_place(|| Serving::roles(role, &settings));
    let mut running: Vec<_> = roles.iter().map(|role| (*role, start(role))).collect();
    let mut kills = 0;
    while !users.are_done() || users::outbox(pool).await > 0 {
        sleep(Duration::from_millis(random.u64(100..1500))).await;
        let (role, serving) = running.swap_remove(random.usize(..running.len()));
        serving.kill();
        kills += 1;
        sleep(Duration::from_millis(random.u64(0..300))).await;
        running.push((role, start(role)));
    }
    let deadline = Instant::now() + patience;
    while !users::differences(pool).await.is_empty() || users::outbox(pool).await > 0 {
        assert!(Instant::now() < deadline, "{:#?}", users::differences(pool).await);
        sleep(Duration::from_millis(500)).await;
    }
    kills
}
