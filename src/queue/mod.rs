//! Between accepting an event and applying it: RabbitMQ, or Postgres where there is no broker.
//!
//! An enum chooses. Either way [`Queue::accept`] resolves only once the event is durable, and what
//! [`Consumer::next_batch`] gave comes again until it is acked. With a broker, too, there are pending events in Postgres:
//! those that came while it was away, those that triggers write and those that failed. None of them ever travels to the
//! broker, for whatever the order, the tables come out the same.

mod batch;
mod error;
mod group_commit;
pub mod metric_names;
mod postgres;
mod rabbitmq;

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::envelope::Envelope;
use crate::lifecycle::Lifecycle;

pub use self::batch::{Batch, Consumer};
pub use self::error::{NotDurable, QueueError};
use self::postgres::PgQueue;
pub use self::postgres::Waker;
use self::rabbitmq::RabbitMq;
pub use self::rabbitmq::{DeadContent, DeadMessage};

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
    /// The broker, and Postgres for while it is away.
    RabbitMq(RabbitMq, PgQueue),
    /// Postgres alone.
    Postgres(PgQueue),
}

impl Queue {
    /// Starts connecting in the background, and keeps at it: a broker or database that is away right
    /// now is no failure. Call it within the Tokio runtime. Pending events are written over the connections of `intake`
    /// and taken over those of `reading`, so that neither waits for the other.
    ///
    /// # Errors
    /// [`QueueError::Url`], where `AMQP_URL` is not one.
    pub fn open(
        config: &Config,
        intake: PgPool,
        reading: PgPool,
        lifecycle: &Lifecycle,
    ) -> Result<Self, QueueError> {
        metric_names::describe();
        let postgres = PgQueue::open(intake, reading, config, lifecycle);
        Ok(match &config.amqp_url {
            Some(url) => Self::RabbitMq(RabbitMq::open(url, config, lifecycle)?, postgres),
            None => Self::Postgres(postgres),
        })
    }

    /// Resolves once the event is durable: confirmed by RabbitMQ, or committed to Postgres where the
    /// broker is away or there is none.
    ///
    /// # Errors
    /// [`NotDurable`], where neither took it within a few seconds. It may have been taken all the same,
    /// by a broker or database that could not say so in time.
    pub async fn accept(&self, envelope: Envelope) -> Result<(), NotDurable> {
        let (postgres, refused) = match self {
            Self::Postgres(postgres) => (postgres, None),
            Self::RabbitMq(rabbitmq, postgres) => match rabbitmq.publish(envelope.clone()).await {
                Ok(()) => {
                    metrics::counter!(metric_names::ACCEPTED, "path" => "rabbitmq").increment(1);
                    return Ok(());
                }
                Err(refused) => (postgres, Some(refused)),
            },
        };
        if refused.is_some() {
            metrics::counter!(metric_names::FALLBACKS).increment(1);
        }
        postgres.insert(envelope).await.map_err(|error| NotDurable::of(refused, error))?;
        metrics::counter!(metric_names::ACCEPTED, "path" => "postgres").increment(1);
        Ok(())
    }

    /// Consumers of everything, each for itself, so that none starves another: one of pending events, and one of the
    /// broker's where there is one.
    #[must_use]
    pub fn consumers(&self) -> Vec<Consumer> {
        match self {
            Self::RabbitMq(rabbitmq, postgres) => vec![
                Consumer::RabbitMq(Box::new(rabbitmq.consumer())),
                Consumer::Postgres(postgres.consumer()),
            ],
            Self::Postgres(postgres) => vec![Consumer::Postgres(postgres.consumer())],
        }
    }

    /// Something to wait on until a process or trigger of an earlier version has written to its outbox.
    #[must_use]
    pub fn earlier(&self) -> Waker {
        let (Self::RabbitMq(_, postgres) | Self::Postgres(postgres)) = self;
        postgres.earlier()
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
