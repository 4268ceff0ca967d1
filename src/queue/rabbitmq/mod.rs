//! The queue in RabbitMQ: `publish` publishes, `queue_consumer` reads each queue, `batch_assembler` makes batches of
//! all their messages.

mod batch_assembler;
mod circuit_breaker;
mod connection;
mod connection_manager;
mod dead;
mod depth;
mod message;
mod publish;
mod queue_consumer;
mod settle;
mod topology;

use std::sync::Arc;

use futures_util::future::join_all;
use lapin::uri::AMQPUri;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::circuit_breaker::CircuitBreaker;
use self::connection_manager::{ConnectionManager, ConnectionPurpose, Target};
use self::dead::DeadDecoder;
use self::publish::PublishWorker;
use self::queue_consumer::QueueConsumer;
use self::settle::ConsumerChannel;
use self::topology::Topology;
use super::QueueError;
use super::error::EnqueueError;
use super::group_commit::{GroupLimits, Submitter, commit_groups};
use super::limits::BatchLimits;
use crate::config::Config;
use crate::envelope::{Envelope, Source};
use crate::lifecycle::Lifecycle;

pub(super) use self::batch_assembler::{BatchAssembler, Events};
pub use self::dead::{DeadContent, DeadMessage};
pub(super) use self::depth::depths;
pub(super) use self::settle::UnackedMessages;

/// Each has at most one unconfirmed message.
const PUBLISH_WORKERS_PER_SOURCE: usize = 2;
/// Limits of one message. They keep what a consumer prefetches within tens of megabytes.
const MESSAGE_MAX_EVENTS: usize = 256;
const MESSAGE_MAX_BYTES: usize = 128 * 1024;
/// Unacked messages in flight.
const PREFETCH: u16 = 256;
/// The same for the dead-letter queue, which should be empty.
const DEAD_PREFETCH: u16 = 4;

/// The broker as this process uses it. Cheap to clone.
#[derive(Clone)]
pub struct RabbitMq {
    uri: Arc<AMQPUri>,
    topology: Topology,
    lifecycle: Lifecycle,
    batch_limits: BatchLimits,
    /// In the order of [`Source::QUEUED`].
    publishers: [Publisher; Source::QUEUED.len()],
    /// The connection that events are published on.
    publish_connection: ConnectionManager,
}

/// The publisher of one source.
#[derive(Clone)]
struct Publisher {
    submitter: Submitter,
    circuit_breaker: Arc<CircuitBreaker>,
}

impl RabbitMq {
    /// Starts connecting in the background.
    pub fn open(url: &SecretString, config: &Config, lifecycle: &Lifecycle) -> Result<Self, QueueError> {
        let uri = connection::parse(url.expose_secret())?;
        let topology = Topology::new(&config.queue_prefix);
        let finished = CancellationToken::new();
        let target =
            Target { uri: uri.clone(), topology: topology.clone(), purpose: ConnectionPurpose::Publish };
        let (publish_connection, managing) = ConnectionManager::new(target, finished.clone());
        lifecycle.tasks.spawn(managing);

        let limits = GroupLimits {
            max_events: config.batch_max_events.clamp(1, MESSAGE_MAX_EVENTS),
            max_bytes: MESSAGE_MAX_BYTES,
        };
        let mut workers = Vec::new();
        let publishers = Source::QUEUED.map(|source| {
            let (submitter, groups) = commit_groups(limits, lifecycle.stopping.clone());
            let circuit_breaker = Arc::new(CircuitBreaker::new());
            for _ in 0..PUBLISH_WORKERS_PER_SOURCE {
                let (topology, groups) = (topology.clone(), groups.clone());
                let (connection_manager, circuit_breaker) =
                    (publish_connection.clone(), circuit_breaker.clone());
                let worker =
                    PublishWorker::new(source, topology, groups, connection_manager, circuit_breaker);
                workers.push(worker.run());
            }
            Publisher { submitter, circuit_breaker }
        });
        lifecycle.tasks.spawn(async move {
            join_all(workers).await;
            finished.cancel();
        });
        Ok(Self {
            uri: Arc::new(uri),
            topology,
            lifecycle: lifecycle.clone(),
            batch_limits: BatchLimits::of(config),
            publishers,
            publish_connection,
        })
    }

    /// Resolves once the broker has confirmed the event; fails at once if it is known to be down.
    pub async fn publish(&self, envelope: Envelope) -> Result<(), EnqueueError> {
        self.publish_connection.connection().map_err(EnqueueError)?;
        match Source::QUEUED.iter().position(|source| *source == envelope.source) {
            Some(index) => {
                let publisher = &self.publishers[index];
                publisher.circuit_breaker.check()?;
                publisher.submitter.submit(envelope).await
            }
            None => Err(EnqueueError::new("internal events do not travel through the queue")),
        }
    }

    /// Whether the broker can be published to, else why not.
    pub fn health(&self) -> Result<(), String> {
        self.publish_connection.connection().map(drop).map_err(|reason| reason.to_string())
    }

    /// A consumer with connections of its own.
    pub fn consumer(&self) -> BatchAssembler {
        let end = CancellationToken::new();
        // Capacity 1: the prefetch is the buffer.
        let (sender, messages) = mpsc::channel(1);
        for source in Source::QUEUED {
            let consumer = QueueConsumer::<Arc<ConsumerChannel>> {
                connection_manager: self.manage_connection(ConnectionPurpose::Consume(source), &end),
                queue: self.topology.queue(source),
                source: Some(source),
                prefetch: PREFETCH,
                messages: sender.clone(),
            };
            self.lifecycle.tasks.spawn(consumer.run());
        }
        BatchAssembler::new(messages, self.batch_limits, self.lifecycle.clone(), end.drop_guard())
    }

    /// The broker's dead letters, until the receiver is dropped.
    pub fn dead_messages(&self) -> mpsc::Receiver<DeadMessage> {
        let (sender, messages) = mpsc::channel(1);
        let end = CancellationToken::new();
        let consumer = QueueConsumer::<DeadDecoder> {
            connection_manager: self.manage_connection(ConnectionPurpose::DeadLetter, &end),
            queue: self.topology.dead(),
            source: None,
            prefetch: DEAD_PREFETCH,
            messages: sender,
        };
        self.lifecycle.tasks.spawn(async move {
            consumer.run().await;
            end.cancel();
        });
        messages
    }

    /// A connection for `purpose` that is managed until `end`.
    fn manage_connection(&self, purpose: ConnectionPurpose, end: &CancellationToken) -> ConnectionManager {
        let target = Target { uri: (*self.uri).clone(), topology: self.topology.clone(), purpose };
        let (connection, managing) = ConnectionManager::new(target, end.clone());
        self.lifecycle.tasks.spawn(managing);
        connection
    }
}
