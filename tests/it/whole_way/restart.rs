//! A RabbitMQ node of the test's own is stopped and started, and killed and started, while events come in.

use std::path::PathBuf;
use std::time::Duration;

use memberflow::dev::services::{Broker, Services, Wanted, can_start};
use memberflow::envelope::Source;
use rustix::process::{Pid, Signal, kill_process};

use super::house::{House, Kind, assert_as_if_applied_directly, ids};
use super::sender::Sender;
use crate::support::process::Serving;

/// A folder of its own for the node, removed with this value.
struct Node {
    wanted: Wanted,
    running: Option<Services>,
}

impl Node {
    async fn start(database_url: String) -> Self {
        let folder = std::env::temp_dir().join(format!("mf-node-{}", uuid::Uuid::new_v4().simple()));
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let wanted = Wanted {
            folder,
            database_url: Some(database_url),
            broker: Broker::Local,
            postgres_port: 0,
            rabbitmq_port: free,
        };
        let mut node = Self { wanted, running: None };
        node.start_again().await;
        node
    }

    async fn start_again(&mut self) {
        self.running = Some(self.wanted.find_or_start().await.unwrap());
    }

    fn url(&self) -> String {
        self.running.as_ref().and_then(|running| running.amqp_url.clone()).expect("a private node")
    }

    async fn stop(&mut self) {
        self.running.take().unwrap().stop().await.unwrap();
    }

    /// Ends the node without a warning; what is left of it is cleared away.
    async fn kill(&mut self) {
        let record = std::fs::read(self.wanted.folder.join("rabbitmq/running.json")).unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        let pid = i32::try_from(record["processes"][0]["pid"].as_i64().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        self.stop().await;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        std::fs::remove_dir_all::<&PathBuf>(&self.wanted.folder).ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "starts a RabbitMQ node three times, about a minute: make faults"]
async fn a_broker_that_is_restarted_and_killed_while_events_come_in_loses_none() {
    if !can_start() {
        eprintln!("skipped: RabbitMQ is not installed here");
        return;
    }
    let house = House::new(Kind::Postgres).await;
    let mut node = Node::start(house.database.url()).await;
    let settings = house.settings_with("AMQP_URL", node.url());
    let mut receiver = Serving::roles("receive,relay", &settings);
    let mut consumer = Serving::roles("consume", &settings);
    let events = house.events();
    let sender = Sender::to(receiver.url());
    let restarts = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        node.stop().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        node.start_again().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        node.kill().await;
        node.start_again().await;
    };
    // One lane, so that the stream outlasts both restarts.
    tokio::join!(sender.post_all(&events, 1, Duration::from_millis(120)), restarts);

    let not_hooks = events.iter().filter(|event| event.source != Source::SupabaseAuth);
    assert_eq!(sender.taken(), ids(not_hooks), "every provider heard yes");
    house.applied(&ids(&events)).await;
    assert!(receiver.is_running() && consumer.is_running());
    assert_as_if_applied_directly(&house, "after a restart and a kill of the broker").await;
    drop((receiver, consumer));
    node.stop().await;
}
