//! Between accepting an event and applying it: RabbitMQ, or Postgres where there is no broker.
//!
//! An enum chooses; nothing outside this module knows which it is. Either way [`Queue::accept`]
//! resolves only once the event is durable, and what [`Consumer::next_batch`] gave comes again until
//! it is acked.

mod batch;
mod error;
pub mod figures;
mod gather;
mod outbox;
mod rabbitmq;
mod relay;

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::envelope::Envelope;
use crate::lifecycle::Lifecycle;

pub use self::batch::{Batch, Consumer};
pub use self::error::{NotDurable, QueueError};
use self::outbox::Outbox;
use self::rabbitmq::RabbitMq;
pub use self::rabbitmq::{DeadContent, DeadMessage};
pub use self::relay::relay;

/// The broker's queues that hold messages, with how many no consumer has been given yet; none where there is no broker.
///
/// # Errors
/// The broker cannot be asked.
pub async fn messages_waiting(config: &Config) -> Result<BTreeMap<String, u32>, QueueError> {
    match &config.amqp_url {
        Some(url) => rabbitmq::depths(url.expose_secret(), &config.queue_prefix).await,
        None => Ok(BTreeMap::new()),
    }
}

/// Where accepted events wait. Cheap to clone.
#[derive(Clone)]
pub enum Queue {
    /// The broker, and the outbox for while it is away.
    RabbitMq(RabbitMq, Outbox),
    /// The outbox alone.
    Postgres(Outbox),
}

impl Queue {
    /// Starts connecting in the background, and keeps at it: a broker or database that is away right
    /// now is no failure. Call it within the Tokio runtime. The outbox is written over the connections of `intake`
    /// and read over those of `reading`, so that neither waits for the other.
    ///
    /// # Errors
    /// [`QueueError::Url`], where `AMQP_URL` is not one.
    pub fn open(
        config: &Config,
        intake: PgPool,
        reading: PgPool,
        lifecycle: &Lifecycle,
    ) -> Result<Self, QueueError> {
        figures::describe();
        let outbox = Outbox::open(intake, reading, config, lifecycle);
        Ok(match &config.amqp_url {
            Some(url) => Self::RabbitMq(RabbitMq::open(url, config, lifecycle)?, outbox),
            None => Self::Postgres(outbox),
        })
    }

    /// Resolves once the event is durable: confirmed by RabbitMQ, or committed to the outbox where the
    /// broker is away or there is none.
    ///
    /// # Errors
    /// [`NotDurable`], where neither took it within a few seconds. It may have been taken all the same,
    /// by a broker or database that could not say so in time.
    pub async fn accept(&self, envelope: Envelope) -> Result<(), NotDurable> {
        let (outbox, refused) = match self {
            Self::Postgres(outbox) => (outbox, None),
            Self::RabbitMq(rabbitmq, outbox) => match rabbitmq.publish(envelope.clone()).await {
                Ok(()) => {
                    metrics::counter!(figures::ACCEPTED, "path" => "rabbitmq").increment(1);
                    return Ok(());
                }
                Err(refused) => (outbox, Some(refused)),
            },
        };
        if refused.is_some() {
            metrics::counter!(figures::FALLBACKS).increment(1);
        }
        outbox.insert(envelope).await.map_err(|error| NotDurable::of(refused, error))?;
        metrics::counter!(figures::ACCEPTED, "path" => "outbox").increment(1);
        Ok(())
    }

    /// A consumer of all queued sources.
    ///
    /// # Errors
    /// None at present: it connects in the background.
    pub async fn consumer(&self) -> Result<Consumer, QueueError> {
        Ok(match self {
            Self::RabbitMq(rabbitmq, _) => Consumer::RabbitMq(Box::new(rabbitmq.consumer())),
            Self::Postgres(outbox) => Consumer::Postgres(outbox.consumer()),
        })
    }

    /// What the broker gives up on, taken until the receiver is dropped; `None` where there is no broker.
    #[must_use]
    pub fn dead_messages(&self) -> Option<mpsc::Receiver<DeadMessage>> {
        match self {
            Self::RabbitMq(rabbitmq, _) => Some(rabbitmq.dead_messages()),
            Self::Postgres(_) => None,
        }
    }

    /// Whether the broker can be published to, else why not; none where there is no broker. Asks nobody: its
    /// connection is watched anyway.
    #[must_use]
    pub fn broker_state(&self) -> Option<Result<(), String>> {
        match self {
            Self::RabbitMq(rabbitmq, _) => Some(rabbitmq.health()),
            Self::Postgres(_) => None,
        }
    }
}
