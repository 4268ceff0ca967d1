//! Between accepting an event and applying it: RabbitMQ, or Postgres if there is no broker.
//!
//! With either, [`Queue::enqueue`] resolves only once the event is durable, and what [`Consumer::next_batch`]
//! returned is redelivered until it is acked. With a broker there are pending events in Postgres too: those
//! accepted while it was down, those that triggers write and those that failed. They are applied from there
//! and never sent to the broker: the order of events does not change the result.

mod batch;
mod error;
mod group_commit;
mod limits;
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
pub use self::postgres::Notifications;
use self::postgres::PgQueue;
use self::rabbitmq::RabbitMq;
pub use self::rabbitmq::{DeadContent, DeadMessage};

/// The broker's non-empty queues with their number of ready messages; empty if there is no broker.
///
/// # Errors
/// If the broker does not answer.
pub async fn broker_queue_depths(config: &Config) -> Result<BTreeMap<String, u32>, QueueError> {
    match &config.amqp_url {
        Some(url) => rabbitmq::depths(url.expose_secret(), &config.queue_prefix).await,
        None => Ok(BTreeMap::new()),
    }
}

/// Where accepted events wait. Cheap to clone.
#[derive(Clone)]
pub enum Queue {
    /// The broker, and Postgres as a fallback.
    RabbitMq(RabbitMq, PgQueue),
    /// Postgres only.
    Postgres(PgQueue),
}

impl Queue {
    /// Starts connecting in the background and retries: a broker or database that is down now is not an
    /// error. Call it within the Tokio runtime. Pending events are inserted through the pool
    /// `intake` and read through the pool `pending`, so that neither waits for the other.
    ///
    /// # Errors
    /// [`QueueError::Url`], if `AMQP_URL` is not valid.
    pub fn open(
        config: &Config,
        intake: PgPool,
        pending: PgPool,
        lifecycle: &Lifecycle,
    ) -> Result<Self, QueueError> {
        metric_names::describe();
        let postgres = PgQueue::open(intake, pending, config, lifecycle);
        Ok(match &config.amqp_url {
            Some(url) => Self::RabbitMq(RabbitMq::open(url, config, lifecycle)?, postgres),
            None => Self::Postgres(postgres),
        })
    }

    /// Resolves once the event is durable: confirmed by RabbitMQ, or committed to Postgres if the broker is
    /// down or there is none.
    ///
    /// # Errors
    /// [`NotDurable`], if neither confirmed it within a few seconds. It may still become durable later.
    pub async fn enqueue(&self, envelope: Envelope) -> Result<(), NotDurable> {
        let (postgres, broker_error) = match self {
            Self::Postgres(postgres) => (postgres, None),
            Self::RabbitMq(rabbitmq, postgres) => match rabbitmq.publish(envelope.clone()).await {
                Ok(()) => {
                    metrics::counter!(metric_names::ACCEPTED, "path" => "rabbitmq").increment(1);
                    return Ok(());
                }
                Err(error) => (postgres, Some(error)),
            },
        };
        if broker_error.is_some() {
            metrics::counter!(metric_names::FALLBACKS).increment(1);
        }
        postgres.insert(envelope).await.map_err(|error| NotDurable::of(broker_error, error))?;
        metrics::counter!(metric_names::ACCEPTED, "path" => "postgres").increment(1);
        Ok(())
    }

    /// One consumer of pending events and, if there is a broker, one of its queues. They are separate, so
    /// that neither starves the other.
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

    /// Notifications that a process or trigger of an earlier version has written to the old outbox.
    #[must_use]
    pub fn outbox_notifications(&self) -> Notifications {
        let (Self::RabbitMq(_, postgres) | Self::Postgres(postgres)) = self;
        postgres.outbox_notifications()
    }

    /// The broker's dead letters, until the receiver is dropped; `None` if there is no broker.
    #[must_use]
    pub fn dead_messages(&self) -> Option<mpsc::Receiver<DeadMessage>> {
        match self {
            Self::RabbitMq(rabbitmq, _) => Some(rabbitmq.dead_messages()),
            Self::Postgres(_) => None,
        }
    }

    /// Whether the broker can be published to, else why not; `None` if there is no broker. Does no I/O: the
    /// connection is watched anyway.
    #[must_use]
    pub fn broker_state(&self) -> Option<Result<(), String>> {
        match self {
            Self::RabbitMq(rabbitmq, _) => Some(rabbitmq.health()),
            Self::Postgres(_) => None,
        }
    }
}
