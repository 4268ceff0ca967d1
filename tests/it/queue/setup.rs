//! A queue with a database and a broker of its own, and events to send through it.

use std::collections::BTreeSet;
use std::time::Duration;

use memberflow::config::Config;
use memberflow::envelope::{Envelope, Source};
use memberflow::lifecycle::Lifecycle;
use memberflow::queue::Queue;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout};

use crate::support::broker::{TestBroker, broker_url};
use crate::support::consuming::{Consuming, ack};
use crate::support::database::TestDatabase;

/// Longer than anything here may take, also on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    RabbitMq,
    Postgres,
}

pub struct Setup {
    pub queue: Queue,
    pub lifecycle: Lifecycle,
    pub database: TestDatabase,
    pub broker: TestBroker,
}

impl Setup {
    pub async fn new(kind: Kind) -> Self {
        Self::with(kind, |_| {}).await
    }

    /// As [`Setup::new`], with some settings changed.
    pub async fn with(kind: Kind, change: impl FnOnce(&mut Config)) -> Self {
        let setup = Self::not_yet_connected(TestBroker::new(), |config| {
            config.amqp_url = (kind == Kind::RabbitMq).then(|| broker_url().into());
            change(config);
        })
        .await;
        eventually("the queue is healthy", async || {
            setup.queue.broker_state().is_none_or(|state| state.is_ok())
        })
        .await;
        setup
    }

    pub async fn not_yet_connected(broker: TestBroker, change: impl FnOnce(&mut Config)) -> Self {
        // Shown where a test fails.
        let logs = tracing_subscriber::fmt().with_test_writer().with_env_filter("memberflow=debug");
        logs.try_init().ok();
        let database = TestDatabase::migrated().await.with_connections(6);
        let mut config = crate::support::config(database.url());
        config.queue_prefix.clone_from(&broker.prefix);
        change(&mut config);
        let lifecycle = Lifecycle::default();
        let queue = Queue::open(&config, database.pool.clone(), database.pool.clone(), &lifecycle).unwrap();
        Self { queue, lifecycle, database, broker }
    }

    pub async fn enqueue(&self, envelope: Envelope) {
        timeout(DEADLINE, self.queue.enqueue(envelope)).await.expect("enqueue answers").expect("enqueued");
    }

    /// Enqueues all of them at once.
    pub async fn enqueue_all(&self, envelopes: &[Envelope]) {
        futures_util::future::join_all(envelopes.iter().map(|envelope| self.enqueue(envelope.clone()))).await;
    }

    /// Pending events.
    pub async fn pending(&self) -> i64 {
        let count = sqlx::query_scalar("select count(*) from ingest.events where state = 'pending'");
        count.fetch_one(&self.database.pool).await.unwrap()
    }

    /// What the queue says of the broker.
    pub fn broker_state(&self) -> Result<(), String> {
        self.queue.broker_state().expect("there is a broker")
    }

    /// Everything ends, in good time, and leaves nothing behind.
    pub async fn stop(self) {
        self.lifecycle.stopping.cancel();
        self.lifecycle.tasks.close();
        timeout(DEADLINE, self.lifecycle.tasks.wait()).await.expect("every task ends");
    }
}

/// Polls until `condition` holds.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "never came true: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// An event whose body differs from every other.
pub fn event(source: Source, number: usize) -> Envelope {
    let moment = OffsetDateTime::from_unix_timestamp(1_764_000_000 + number as i64).unwrap();
    Envelope {
        source,
        event_id: format!("evt_{number}"),
        event_type: "invoice.paid".to_owned(),
        occurred_at: moment,
        received_at: moment + Duration::from_micros(1234),
        body: format!(r#"{{ "id":"evt_{number}",  "n":{number} }}"#).into(),
    }
}

/// `count` events over all sources.
pub fn events(count: usize) -> Vec<Envelope> {
    (0..count).map(|number| event(Source::QUEUED[number % Source::QUEUED.len()], number)).collect()
}

/// The ids of some events.
pub fn ids(envelopes: &[Envelope]) -> BTreeSet<String> {
    envelopes.iter().map(|envelope| envelope.event_id.clone()).collect()
}

/// Consumes and acks until every one of `expected` has come, in any order and however often; each must
/// be exactly what was sent.
pub async fn expect(consumer: &mut Consuming, expected: &[Envelope]) {
    let mut missing = ids(expected);
    let all = async {
        while !missing.is_empty() {
            let batch = consumer.next_batch().await.unwrap();
            for envelope in &batch.envelopes {
                assert!(expected.contains(envelope), "not what was sent: {envelope:?}");
                missing.remove(&envelope.event_id);
            }
            ack(batch).await;
        }
    };
    timeout(DEADLINE, all).await.ok();
    assert!(missing.is_empty(), "{} of {} events never came: {missing:?}", missing.len(), expected.len());
}

/// Nothing comes any more. Waits no longer than a moment: what is wrongly still there comes at once.
pub async fn expect_nothing(consumer: &mut Consuming) {
    if let Ok(batch) = timeout(Duration::from_millis(700), consumer.next_batch()).await {
        panic!("came again: {:?}", ids(&batch.unwrap().envelopes));
    }
}
