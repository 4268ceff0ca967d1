//! A test's own names on the shared broker, deleted on drop.

use std::env;
use std::net::SocketAddr;

use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use lapin::{Channel, Connection, ConnectionProperties};

/// The broker that tests use: `AMQP_URL`, else the local one.
pub fn broker_url() -> String {
    env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned())
}

/// Where that broker listens.
pub fn broker_address() -> SocketAddr {
    let uri: lapin::uri::AMQPUri = broker_url().parse().unwrap();
    let host = if uri.authority.host == "localhost" { "127.0.0.1".to_owned() } else { uri.authority.host };
    SocketAddr::new(host.parse().unwrap(), uri.authority.port)
}

/// The same broker by way of another address, such as a proxy's.
pub fn broker_url_at(address: SocketAddr) -> String {
    url_at(&broker_url(), address)
}

/// A server's URL with another address, such as a proxy's.
pub fn url_at(url: &str, address: SocketAddr) -> String {
    let (head, tail) = url.rsplit_once('@').unwrap();
    let path = tail.split_once('/').map_or(String::new(), |(_, path)| format!("/{path}"));
    format!("{head}@{address}{path}")
}

/// A prefix for exchanges and queues, which are deleted when this value is dropped.
pub struct TestBroker {
    pub prefix: String,
}

impl TestBroker {
    pub fn new() -> Self {
        Self { prefix: format!("mf_test_{}", uuid::Uuid::new_v4().simple()) }
    }

    /// The full name of one of ours.
    pub fn name(&self, suffix: &str) -> String {
        format!("{}.{suffix}", self.prefix)
    }

    /// A channel of the test's own.
    pub async fn channel(&self) -> (Connection, Channel) {
        open_channel().await
    }
}

async fn open_channel() -> (Connection, Channel) {
    let properties = ConnectionProperties::default();
    let connection =
        Connection::connect(&broker_url(), properties).await.expect("RabbitMQ for tests answers");
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

async fn delete_all(prefix: String) {
    let (connection, channel) = open_channel().await;
    for exchange in ["events", "dead"] {
        let options = ExchangeDeleteOptions::default();
        channel.exchange_delete(format!("{prefix}.{exchange}").into(), options).await.unwrap();
    }
    for queue in ["stripe", "supabase.auth", "supabase.database", "twilio", "dead"] {
        let options = QueueDeleteOptions::default();
        channel.queue_delete(format!("{prefix}.{queue}").into(), options).await.unwrap();
    }
    connection.close(200, "done".into()).await.unwrap();
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        let prefix = self.prefix.clone();
        // A thread with a runtime of its own: drop is not async, and the test's runtime may be ending.
        let deleted = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(delete_all(prefix));
        });
        deleted.join().ok();
    }
}
