//! The service as it is deployed: a receiver and a consumer as processes of their own, over a database and queues.

use std::net::SocketAddr;
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::net::lookup_host;
use tokio::time::{Instant, sleep};

use super::client::Connection;
use crate::support::broker::{TestBroker, broker_url, url_at};
use crate::support::database::TestDatabase;
use crate::support::process::{Serving, Settings};
use crate::support::proxy::Proxy;
use crate::support::receiver::{STRIPE_SECRETS, SUPABASE_SECRETS};

/// A batch that takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two polls of the metrics: seldom enough to cost nothing.
const POLL_EVERY: Duration = Duration::from_millis(20);
/// Clock ticks of `/proc/<pid>/stat`, which Linux shows as 100 a second everywhere.
const TICKS_PER_SECOND: f64 = 100.0;

/// Where accepted events wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    RabbitMq,
    Postgres,
}

impl Queue {
    pub const ALL: [Self; 2] = [Self::RabbitMq, Self::Postgres];

    pub const fn name(self) -> &'static str {
        match self {
            Self::RabbitMq => "RabbitMQ",
            Self::Postgres => "Postgres",
        }
    }
}

/// The processes; they end with this value.
pub struct Service {
    pub receiver: Serving,
    pub consumer: Option<Serving>,
    _broker: TestBroker,
    _proxy: Option<Proxy>,
    /// The database as the processes reach it.
    pub database_url: String,
}

impl Service {
    /// Starts a receiver and a consumer on `database`.
    pub async fn start(database: &TestDatabase, queue: Queue) -> Self {
        Self::with(database, queue, true, None).await
    }

    /// Starts a receiver alone: what it accepts stays in the queue.
    pub async fn receiver(database: &TestDatabase, queue: Queue) -> Self {
        Self::with(database, queue, false, None).await
    }

    /// The same as [`Self::start`] with a database that is a network away.
    pub async fn away_from(database: &TestDatabase, queue: Queue, round_trip: Duration) -> Self {
        Self::with(database, queue, true, Some(round_trip)).await
    }

    async fn with(
        database: &TestDatabase,
        queue: Queue,
        consumes: bool,
        round_trip: Option<Duration>,
    ) -> Self {
        let (proxy, url) = match round_trip {
            Some(round_trip) => {
                let (proxy, url) = distance(database, round_trip).await;
                (Some(proxy), url)
            }
            None => (None, database.url()),
        };
        let broker = TestBroker::new();
        let settings: Settings = vec![
            ("DATABASE_URL", url.clone()),
            ("AMQP_URL", if queue == Queue::RabbitMq { broker_url() } else { String::new() }),
            ("MEMBERFLOW_QUEUE_PREFIX", broker.prefix.clone()),
            ("STRIPE_WEBHOOK_SECRETS", STRIPE_SECRETS.to_owned()),
            ("SUPABASE_WEBHOOK_SECRETS", SUPABASE_SECRETS.to_owned()),
        ];
        let consumer = consumes.then(|| Serving::roles("relay,consume", &settings));
        let receiver = Serving::roles("receive", &settings);
        let service = Self { receiver, consumer, _broker: broker, _proxy: proxy, database_url: url };
        service.ready().await;
        service
    }

    /// Waits until every dependency answers.
    async fn ready(&self) {
        for process in self.processes() {
            let (mut connection, began) = (Connection::open(process.address).await, Instant::now());
            while connection.get("/readyz", None).await.status != 200 {
                assert!(began.elapsed() < PATIENCE, "not ready:\n{}", process.log());
                sleep(Duration::from_millis(50)).await;
            }
        }
    }

    fn processes(&self) -> impl Iterator<Item = &Serving> {
        self.consumer.iter().chain([&self.receiver])
    }

    pub fn address(&self) -> SocketAddr {
        self.receiver.address
    }

    fn consumer(&self) -> &Serving {
        self.consumer.as_ref().expect("a consumer was started")
    }

    /// Events applied so far, as the consumer's own metrics say. Repeated and dead ones are a mistake here.
    pub async fn applied(&self) -> u64 {
        let metrics = Connection::open(self.consumer().address).await.get("/metrics", None).await.body;
        let counted = |outcome: &str| -> u64 {
            let name = format!("memberflow_events_applied_total{{outcome=\"{outcome}\"}} ");
            metrics
                .lines()
                .find_map(|line| line.strip_prefix(&name))
                .map_or(0, |count| count.parse().unwrap())
        };
        assert_eq!(counted("dead"), 0, "dead letters");
        counted("new")
    }

    /// Waits until so many events were applied since the process began.
    pub async fn wait_until_applied(&self, count: u64) {
        let began = Instant::now();
        loop {
            let applied = self.applied().await;
            if applied >= count {
                return;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{applied} of {count} are applied:\n{}",
                self.consumer().log()
            );
            sleep(POLL_EVERY).await;
        }
    }

    /// Receiver and consumer.
    pub fn pids(&self) -> [u32; 2] {
        [&self.receiver, self.consumer()].map(Serving::pid)
    }

    /// The most memory that receiver and consumer have had, in megabytes.
    pub fn peak_memory_mb(&self) -> [f64; 2] {
        [&self.receiver, self.consumer()]
            .map(|process| process.peak_memory_bytes() as f64 / (1024.0 * 1024.0))
    }

    /// The processor time of each process that an event passes through so far, in seconds.
    pub fn processor_s(&self) -> [(&'static str, f64); 5] {
        [
            ("receiver", processor_s(self.receiver.pid())),
            ("consumer", processor_s(self.consumer().pid())),
            ("PostgreSQL's processes", processor_s_of_all("postgres")),
            ("RabbitMQ", processor_s_of_all("beam.smp")),
            ("load", processor_s(std::process::id())),
        ]
    }
}

/// A proxy before the database's server, and the URL by way of it. The system's timers are coarse, so what is asked of
/// the proxy is lessened until a round trip takes what is wanted.
async fn distance(database: &TestDatabase, wanted: Duration) -> (Proxy, String) {
    let options = database.options();
    let server = lookup_host((options.get_host(), options.get_port())).await.unwrap().next().unwrap();
    let proxy = Proxy::to(server).await;
    let url = url_at(&database.url(), proxy.address);
    for quarters in [4, 3, 2, 1] {
        proxy.set_round_trip(wanted * quarters / 4);
        if round_trip(&url).await <= wanted.mul_f64(1.1) {
            break;
        }
    }
    (proxy, url)
}

/// The median of some statements that do nothing.
pub async fn round_trip(url: &str) -> Duration {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let mut took = Vec::new();
    for _ in 0..51 {
        let began = Instant::now();
        connection.ping().await.unwrap();
        took.push(began.elapsed());
    }
    connection.close().await.unwrap();
    took.sort();
    took[took.len() / 2]
}

/// User and system time of every process of that name on this machine.
fn processor_s_of_all(name: &str) -> f64 {
    let processes = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let named = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    processes.filter(named).map(processor_s).sum()
}

/// User and system time of a process; none of one that has ended.
fn processor_s(pid: u32) -> f64 {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return 0.0 };
    // The name before it may hold anything.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}
