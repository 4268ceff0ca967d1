//! The exchanges and queues, declared on every new connection.
//!
//! Needs RabbitMQ 3.10. One durable topic exchange routes each source to its own quorum queue; rejected
//! messages, and those above the delivery limit, are dead-lettered at least once. That needs
//! `overflow=reject-publish`, which we want anyway: a full queue refuses the event, and it goes to Postgres.

use std::fmt::Display;
use std::sync::{Arc, Once};

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};

use crate::envelope::Source;
use crate::queue::QueueError;

/// Deliveries after which a message that is never acked (it crashes its consumer, for example) is
/// dead-lettered.
const DELIVERY_LIMIT: i32 = 100;
/// The same of the dead-letter queue: never, in effect. Behind it is no other, so that a message above the limit is lost.
/// RabbitMQ 4 has a default of 20 failed deliveries. Its value for "no limit", -1, is not valid for 3.x.
const DEAD_DELIVERY_LIMIT: i32 = 1_000_000_000;

/// The names on the broker, all of which begin with the installation's prefix.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    prefix: String,
    /// For [`Topology::warn_of_default_limit`].
    warning: Arc<Once>,
}

impl Topology {
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), warning: Arc::new(Once::new()) }
    }

    /// The exchange that events are published to, with the source's name as routing key.
    pub fn events(&self) -> ShortString {
        format!("{}.events", self.prefix).into()
    }

    /// The dead-letter exchange, and the queue behind it.
    pub fn dead(&self) -> ShortString {
        format!("{}.dead", self.prefix).into()
    }

    /// The queue of a source.
    pub fn queue(&self, source: Source) -> ShortString {
        format!("{}.{source}", self.prefix).into()
    }

    /// Declares everything that does not exist yet.
    pub async fn declare(&self, connection: &Connection) -> Result<(), QueueError> {
        let channel = self.declare_dead_queue(connection).await?;
        exchange(&channel, self.dead(), ExchangeKind::Fanout).await?;
        bind(&channel, self.dead(), self.dead(), "".into()).await?;
        exchange(&channel, self.events(), ExchangeKind::Topic).await?;
        for source in Source::QUEUED {
            queue(&channel, self.queue(source), self.source_arguments()).await?;
            bind(&channel, self.queue(source), self.events(), source.as_str().into()).await?;
        }
        Ok(channel.close(200, "declared".into()).await?)
    }

    /// Declares the dead-letter queue, and returns a channel for what is declared next. One that an earlier version
    /// declared has no delivery limit and cannot be given one: it stays in use.
    async fn declare_dead_queue(&self, connection: &Connection) -> Result<Channel, QueueError> {
        let channel = connection.create_channel().await?;
        let mut arguments = quorum();
        arguments.insert("x-delivery-limit".into(), DEAD_DELIVERY_LIMIT.into());
        match queue(&channel, self.dead(), arguments).await {
            Ok(()) => Ok(channel),
            Err(QueueError::Topology { .. }) => {
                // The broker has closed the channel.
                let channel = connection.create_channel().await?;
                queue(&channel, self.dead(), quorum()).await?;
                self.warn_of_default_limit();
                Ok(channel)
            }
            Err(error) => Err(error),
        }
    }

    /// Warns once per process. Whether a policy sets a limit cannot be read over AMQP.
    fn warn_of_default_limit(&self) {
        self.warning.call_once(|| {
            let queue = self.dead();
            let pattern = queue.as_str().replace('.', "[.]");
            let fix = format!(
                "set a policy: rabbitmqctl set_policy -p VHOST --apply-to queues {queue} '^{pattern}$' \
                 '{{\"delivery-limit\": {DEAD_DELIVERY_LIMIT}}}'; or, if it is empty, all processes run this version \
                 and you will not roll back, delete it (rabbitmqctl delete_queue -p VHOST {queue}), and it will be declared \
                 again with a limit"
            );
            tracing::warn!(%queue, fix, "dead-letter queue has no delivery limit: unless a policy sets one, RabbitMQ 4 drops a dead letter after 20 failed deliveries");
        });
    }

    fn source_arguments(&self) -> FieldTable {
        let mut arguments = quorum();
        arguments.insert("x-delivery-limit".into(), DELIVERY_LIMIT.into());
        arguments.insert("x-overflow".into(), long_string("reject-publish"));
        arguments.insert("x-dead-letter-exchange".into(), long_string(self.dead().as_str()));
        arguments.insert("x-dead-letter-strategy".into(), long_string("at-least-once"));
        arguments
    }
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), long_string("quorum"));
    arguments
}

fn long_string(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

async fn exchange(channel: &Channel, name: ShortString, kind: ExchangeKind) -> Result<(), QueueError> {
    let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
    let declared = channel.exchange_declare(name.clone(), kind, options, FieldTable::default()).await;
    declared.map_err(|error| explain(&name, error))
}

async fn queue(channel: &Channel, name: ShortString, arguments: FieldTable) -> Result<(), QueueError> {
    let declared = channel.queue_declare(name.clone(), QueueDeclareOptions::durable(), arguments).await;
    declared.map(drop).map_err(|error| explain(&name, error))
}

async fn bind(
    channel: &Channel,
    queue: ShortString,
    exchange: ShortString,
    key: ShortString,
) -> Result<(), QueueError> {
    let options = QueueBindOptions::default();
    Ok(channel.queue_bind(queue, exchange, key, options, FieldTable::default()).await?)
}

/// 406 (other properties) persists until somebody acts, so the error says how.
fn explain(name: &impl Display, error: lapin::Error) -> QueueError {
    match error.kind() {
        ErrorKind::ProtocolError(amqp)
            if matches!(amqp.kind(), AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)) =>
        {
            QueueError::Topology { name: name.to_string(), detail: amqp.get_message().to_string() }
        }
        _ => error.into(),
    }
}
