//! Publishing with confirms: workers that each send one message and wait for its confirm.
//!
//! A worker has a channel of its own and never more than one unconfirmed message on it. lapin attaches a
//! returned (unroutable) message to whichever confirm of the channel comes next, so with two in flight the
//! wrong one could look like a success. For the same reason a channel whose confirm did not come is never
//! used again. The window is thus the number of workers; throughput comes from group commit.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::timeout;

use super::circuit_breaker::CircuitBreaker;
use super::connection::BrokerConnection;
use super::connection_manager::ConnectionManager;
use super::topology::Topology;
use crate::envelope::{Envelope, Source, wire};
use crate::queue::error::EnqueueError;
use crate::queue::group_commit::CommitGroups;
use crate::queue::metric_names;

/// For opening a channel where needed, writing a message and getting its confirm. A broker that takes longer
/// is treated as down: Postgres is faster.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(1);
/// AMQP's number for a message that survives a restart of the broker.
const PERSISTENT: u8 = 2;

/// Publishes the events of one source, over one channel.
pub(super) struct PublishWorker {
    source: Source,
    topology: Topology,
    groups: CommitGroups,
    connection_manager: ConnectionManager,
    circuit_breaker: Arc<CircuitBreaker>,
    channel: Option<ConfirmChannel>,
}

/// A channel in confirm mode with nothing unconfirmed on it.
struct ConfirmChannel {
    channel: Channel,
    connection: Arc<BrokerConnection>,
}

/// The outcome of a publish.
enum Outcome {
    Confirmed,
    /// For example, the queue is full. The channel can be used again.
    Nacked,
    /// No queue took it: what we declared was deleted.
    Unroutable(String),
}

impl PublishWorker {
    pub fn new(
        source: Source,
        topology: Topology,
        groups: CommitGroups,
        connection_manager: ConnectionManager,
        circuit_breaker: Arc<CircuitBreaker>,
    ) -> Self {
        Self { source, topology, groups, connection_manager, circuit_breaker, channel: None }
    }

    /// Publishes group after group; ends when there will be no more.
    pub async fn run(mut self) {
        while let Some(group) = self.groups.next().await {
            let outcome = self.publish(&group.envelopes).await;
            group.complete(outcome);
        }
    }

    async fn publish(&mut self, envelopes: &[Envelope]) -> Result<(), EnqueueError> {
        self.circuit_breaker.check()?;
        let connection = self.connection_manager.connection().map_err(EnqueueError)?;
        let open_channel = self.channel.take().filter(|it| Arc::ptr_eq(&it.connection, &connection));
        let message = wire::encode(self.source, envelopes);
        let attempt = timeout(CONFIRM_TIMEOUT, async {
            let channel = match open_channel {
                Some(it) => it.channel,
                None => open(&connection).await?,
            };
            let outcome = send(&channel, &self.topology, self.source, &message).await?;
            Ok::<_, lapin::Error>((channel, outcome))
        });
        // Biased: a confirm that has arrived counts, even if the connection has broken since.
        let sent = tokio::select! {
            biased;
            sent = attempt => sent,
            reason = self.connection_manager.wait_until_down(&connection) => return Err(lost(reason)),
        };
        match sent {
            Ok(Ok((channel, outcome))) => self.conclude(channel, connection, outcome),
            Ok(Err(error)) => {
                let reason: Arc<str> = error.to_string().into();
                connection.mark_failed(reason.clone());
                Err(lost(reason))
            }
            Err(_) => {
                // Either this source's queue is in trouble or everything is.
                self.circuit_breaker.trip();
                connection.request_probe();
                tracing::warn!(source = %self.source, "no confirm in time, falling back to Postgres");
                Err(lost(format!("no confirm within {CONFIRM_TIMEOUT:?}").into()))
            }
        }
    }

    fn conclude(
        &mut self,
        channel: Channel,
        connection: Arc<BrokerConnection>,
        outcome: Outcome,
    ) -> Result<(), EnqueueError> {
        match outcome {
            Outcome::Confirmed => {
                record_outcome("confirmed");
                self.circuit_breaker.reset();
                self.channel = Some(ConfirmChannel { channel, connection });
                Ok(())
            }
            Outcome::Nacked => {
                record_outcome("refused");
                self.channel = Some(ConfirmChannel { channel, connection });
                Err(EnqueueError::new("the broker refused the message"))
            }
            Outcome::Unroutable(why) => {
                record_outcome("unroutable");
                // A new connection declares again.
                self.circuit_breaker.trip();
                let reason: Arc<str> = format!("no queue takes {}: {why}", self.source).into();
                connection.mark_failed(reason.clone());
                Err(EnqueueError(reason))
            }
        }
    }
}

async fn open(connection: &BrokerConnection) -> Result<Channel, lapin::Error> {
    let channel = connection.amqp.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

async fn send(
    channel: &Channel,
    topology: &Topology,
    source: Source,
    message: &[u8],
) -> Result<Outcome, lapin::Error> {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    let key = source.as_str().into();
    let confirm = channel.basic_publish(topology.events(), key, options, message, properties).await?;
    Ok(match confirm.await? {
        Confirmation::Ack(None) => Outcome::Confirmed,
        Confirmation::Ack(Some(returned)) => Outcome::Unroutable(returned.reply_text.to_string()),
        Confirmation::Nack(_) => Outcome::Nacked,
        Confirmation::NotRequested => Outcome::Unroutable("the channel is not in confirm mode".to_owned()),
    })
}

fn lost(reason: Arc<str>) -> EnqueueError {
    record_outcome("lost");
    EnqueueError(reason)
}

fn record_outcome(outcome: &'static str) {
    metrics::counter!(metric_names::CONFIRMS, "outcome" => outcome).increment(1);
}
