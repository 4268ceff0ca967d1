//! All processes and servers of one run: two receivers, a relay, some consumers, a database and a broker.

use std::time::Duration;

use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::run::Size;
use super::sender::{Hand, Sender};
use crate::support::broker::url_at;
use crate::support::process::{Serving, Settings, Version, memberflow_of};
use crate::support::proxy::Proxy;
use crate::support::receiver::{PUBLIC_URL, TWILIO_ACCOUNT, TWILIO_TOKENS};
use crate::support::servers::{Server, Servers, quiet_port};

/// PostgreSQL's disk, where it can be made small. It is memory.
const DISK_BYTES: u64 = 1536 * 1024 * 1024;

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Receiver,
    Relay,
    Consumer,
}

/// A slot for a process, which is started and stopped.
pub struct Slot {
    pub part: Part,
    bind: String,
    pub version: Version,
    pub serving: Option<Serving>,
}

/// One that was asked to stop, and how it did.
#[derive(Debug)]
pub struct Stop {
    pub part: Part,
    pub code: Option<i32>,
    pub took: Duration,
    /// The most memory that it ever had in use.
    pub peak_bytes: u64,
}

pub struct Cluster {
    pub servers: Servers,
    pub to_database: Proxy,
    pub to_broker: Proxy,
    pub slots: Vec<Slot>,
    pub stops: Vec<Stop>,
    /// The number of the signing secrets in use.
    pub rotation: u32,
    settings: Settings,
}

impl Cluster {
    /// The servers and a database, made for the version that runs first; no process yet.
    pub async fn found(size: &Size) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let servers = Servers::start(size.small_disk.then_some(DISK_BYTES)).await;
        let to_database = Proxy::to(servers.address(Server::Postgres)).await;
        let to_broker = Proxy::to(servers.address(Server::RabbitMq)).await;
        let settings = vec![
            ("DATABASE_URL", url_at(&servers.database_url(), to_database.address)),
            ("AMQP_URL", url_at(&servers.amqp_url(), to_broker.address)),
        ];
        let receiver = |_| (Part::Receiver, format!("127.0.0.1:{}", quiet_port()));
        let free = |part| (part, "127.0.0.1:0".to_owned());
        let slots = (0..2).map(receiver).chain([free(Part::Relay)]);
        let slots = slots.chain((0..size.consumers).map(|_| free(Part::Consumer)));
        let slots =
            slots.map(|(part, bind)| Slot { part, bind, version: size.version, serving: None }).collect();
        let mut cluster =
            Self { servers, to_database, to_broker, slots, stops: Vec::new(), rotation: 0, settings };
        cluster.tune_database().await;
        assert_eq!(cluster.run(size.version, &["migrate", "--supabase-stub"]).await, Some(0));
        cluster
    }

    /// Brings the database and then each process to the version that is tested, as an operator does.
    pub async fn upgrade(&mut self) {
        assert_eq!(self.run(Version::Tested, &["migrate"]).await, Some(0), "migrating under the old version");
        for at in 0..self.slots.len() {
            self.exchange(at, Version::Tested).await;
        }
    }

    /// Lets another version take a slot.
    pub async fn exchange(&mut self, at: usize, version: Version) {
        self.stop(at).await;
        self.slots[at].version = version;
        self.start(at);
    }

    /// Less log on the small disk.
    async fn tune_database(&mut self) {
        let mut admin = self.admin().await;
        for setting in ["max_wal_size = '256MB'", "min_wal_size = '64MB'"] {
            let alter = sqlx::AssertSqlSafe(format!("alter system set {setting}"));
            sqlx::query(alter).execute(&mut admin).await.unwrap();
        }
        sqlx::query("select pg_reload_conf()").execute(&mut admin).await.unwrap();
    }

    /// Starts every process.
    pub fn open(&mut self) {
        (0..self.slots.len()).for_each(|at| self.start(at));
    }

    /// The numbers of the slots of `part`.
    pub fn slots_of(&self, part: Part) -> Vec<usize> {
        (0..self.slots.len()).filter(|at| self.slots[*at].part == part).collect()
    }

    /// Starts the process of a slot.
    pub fn start(&mut self, at: usize) {
        let settings = self.settings_of(&self.secrets(self.rotation));
        self.start_with(at, &settings);
    }

    fn start_with(&mut self, at: usize, settings: &Settings) {
        let slot = &self.slots[at];
        let roles = match slot.part {
            Part::Receiver => "receive,api",
            Part::Relay => "relay",
            Part::Consumer => "consume",
        };
        let serving = tokio::task::block_in_place(|| Serving::of(slot.version, &slot.bind, roles, settings));
        self.slots[at].serving = Some(serving);
    }

    /// Ends the process of a slot without a warning.
    pub fn kill(&mut self, at: usize) {
        if let Some(serving) = self.slots[at].serving.take() {
            serving.kill();
        }
    }

    pub fn signal(&self, at: usize, signal: Signal) {
        if let Some(serving) = &self.slots[at].serving {
            serving.signal(signal);
        }
    }

    /// Asks the process of a slot to stop, and notes how it does.
    pub async fn stop(&mut self, at: usize) {
        let Some(mut serving) = self.slots[at].serving.take() else { return };
        let peak_bytes = serving.peak_memory_bytes();
        serving.ask_to_stop();
        let (status, took) = serving.ended().await;
        if status.code() != Some(0) {
            eprintln!(
                "asked to stop, {:?} ended with {status}:\n{}",
                self.slots[at].part,
                tail(&serving.log())
            );
        }
        self.stops.push(Stop { part: self.slots[at].part, code: status.code(), took, peak_bytes });
    }

    /// Replaces the signing secrets: first both are good, then the sender changes, then only the new ones are.
    pub async fn rotate_secrets(&mut self, sender: &Sender) {
        let (old, new) = (self.secrets(self.rotation), self.secrets(self.rotation + 1));
        let both = (format!("{},{}", old.0, new.0), format!("{}|{}", old.1, new.1));
        let settings = self.settings_of(&both);
        for at in self.slots_of(Part::Receiver) {
            self.stop(at).await;
            self.start_with(at, &settings);
        }
        sender.change_hand(|hand| (hand.stripe, hand.supabase) = new.clone());
        self.rotation += 1;
        for at in self.slots_of(Part::Receiver) {
            self.stop(at).await;
            self.start(at);
        }
    }

    /// What a sender signs with at first.
    pub fn hand(&self) -> Hand {
        let (stripe, supabase) = self.secrets(self.rotation);
        Hand { stripe, supabase, clock_off_s: 0, may_be_refused: false }
    }

    /// Where the receivers listen.
    pub fn urls(&self) -> Vec<String> {
        self.slots_of(Part::Receiver)
            .into_iter()
            .map(|at| format!("http://{}", self.slots[at].bind))
            .collect()
    }

    fn secrets(&self, rotation: u32) -> (String, String) {
        use base64::Engine as _;
        let key = base64::prelude::BASE64_STANDARD.encode(format!("{rotation:032}"));
        (format!("whsec_rotation{rotation}"), format!("v1,whsec_{key}"))
    }

    fn settings_of(&self, (stripe, supabase): &(String, String)) -> Settings {
        let mut settings = self.settings.clone();
        settings.push(("STRIPE_WEBHOOK_SECRETS", stripe.clone()));
        settings.push(("SUPABASE_WEBHOOK_SECRETS", supabase.clone()));
        settings.push(("TWILIO_AUTH_TOKENS", TWILIO_TOKENS.to_owned()));
        settings.push(("TWILIO_ACCOUNT_SID", TWILIO_ACCOUNT.to_owned()));
        settings.push(("MEMBERFLOW_PUBLIC_URL", PUBLIC_URL.to_owned()));
        settings
    }

    /// Runs a command of the program to its end. Its exit code.
    pub async fn run(&self, version: Version, arguments: &[&str]) -> Option<i32> {
        let mut command = memberflow_of(version, &self.settings);
        command.args(arguments);
        let output = tokio::process::Command::from(command).kill_on_drop(true).output().await.unwrap();
        if !output.status.success() {
            eprintln!("{version:?} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            eprintln!("{}", String::from_utf8_lossy(&output.stdout));
        }
        output.status.code()
    }

    fn direct(&self) -> PgConnectOptions {
        let options: PgConnectOptions = self.servers.database_url().parse().unwrap();
        // What the database is emitted to refuse is not meant for us.
        options.application_name("the test").options([("default_transaction_read_only", "off")])
    }

    /// A connection to the database that bypasses the proxy.
    pub async fn admin(&self) -> PgConnection {
        PgConnection::connect_with(&self.direct()).await.unwrap()
    }

    /// A way into the database that may be refused.
    pub async fn try_admin(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.direct()).await
    }

    /// A pool that bypasses the proxy.
    pub fn pool(&self) -> PgPool {
        PgPoolOptions::new().max_connections(4).connect_lazy_with(self.direct())
    }

    /// Starts the servers that were ended, and leads the proxies to them.
    pub async fn servers_up(&mut self) {
        self.servers.start_again().await;
        self.to_database.lead_to(self.servers.address(Server::Postgres));
        self.to_broker.lead_to(self.servers.address(Server::RabbitMq));
    }

    /// Fails the test with the recent logs of all processes, and the state of the broker's queues.
    pub async fn give_up(&self, what: &str) -> ! {
        let running = self.slots.iter().filter_map(|slot| Some((slot, slot.serving.as_ref()?)));
        let said: String =
            running.map(|(slot, serving)| format!("{:?}:\n{}\n", slot.part, tail(&serving.log()))).collect();
        let queues =
            ["list_queues", "name", "state", "messages_ready", "messages_unacknowledged", "consumers"];
        let queues = self.servers.rabbitmqctl(&queues).await;
        let queues = [queues.stdout, queues.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        panic!("{what}\n{said}RabbitMQ:\n{}\n{}", queues.concat(), tail(&self.servers.broker_log()));
    }
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}
