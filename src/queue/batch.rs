//! What the consumer gets: batches of events, each of which ends in an ack or a requeue.

use std::time::Duration;

use super::{QueueError, outbox, rabbitmq};
use crate::config::Config;
use crate::envelope::Envelope;

/// The bytes of one batch, whatever the number of its events.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// When a batch is full, and when it has waited enough.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    pub max_events: usize,
    /// The last event may reach past this: a batch holds at least one.
    pub max_bytes: usize,
    /// For company, after the first event, while an earlier batch is under way.
    pub wait: Duration,
}

impl BatchLimits {
    pub fn of(config: &Config) -> Self {
        Self { max_events: config.batch_max_events.max(1), max_bytes: MAX_BYTES, wait: config.batch_wait }
    }
}

/// Gives batches from all sources. Reconnects by itself.
pub enum Consumer {
    /// From the broker.
    RabbitMq(Box<rabbitmq::Consumer>),
    /// From `ingest.outbox`.
    Postgres(outbox::Consumer),
}

/// Events to apply. Dropping it is a requeue.
#[must_use = "a batch that is dropped comes again"]
pub struct Batch {
    /// In no particular order, of any sources, possibly some that were applied before.
    pub envelopes: Vec<Envelope>,
    settle: Settle,
}

enum Settle {
    RabbitMq(rabbitmq::Settle),
    Postgres(outbox::Claim),
}

impl Consumer {
    /// Waits for events and gives what is there. While an earlier batch is under way it waits a moment for company; an
    /// event that comes when nothing else is going on is given at once. May be cancelled at any
    /// point without losing an event.
    ///
    /// # Errors
    /// [`QueueError::Stopping`], once the process is stopping; nothing else ends it.
    pub async fn next_batch(&mut self) -> Result<Batch, QueueError> {
        match self {
            Self::RabbitMq(consumer) => {
                let (envelopes, settle) = consumer.next_batch().await?;
                Ok(Batch { envelopes, settle: Settle::RabbitMq(settle) })
            }
            Self::Postgres(consumer) => {
                let mut claim = consumer.next_batch().await?;
                let envelopes = std::mem::take(&mut claim.envelopes);
                Ok(Batch { envelopes, settle: Settle::Postgres(claim) })
            }
        }
    }
}

impl Batch {
    /// The events are applied and never need to come again. Call it before the [`Consumer`] is dropped.
    ///
    /// # Errors
    /// Where the database failed; the events may then come again, as they may after an ack over a
    /// connection to the broker that has been lost since (which is no error).
    pub async fn ack(self) -> Result<(), QueueError> {
        match self.settle {
            Settle::RabbitMq(settle) => {
                settle.ack().await;
                Ok(())
            }
            Settle::Postgres(claim) => claim.done().await,
        }
    }

    /// The events shall come again. On the broker each requeue counts towards the delivery limit, after
    /// which a message is dead: while the database is away hold on to the batch rather than requeue it
    /// over and over.
    ///
    /// # Errors
    /// Where the database failed; the events come again all the same.
    pub async fn requeue(self) -> Result<(), QueueError> {
        match self.settle {
            Settle::RabbitMq(settle) => {
                settle.requeue().await;
                Ok(())
            }
            Settle::Postgres(claim) => claim.put_back().await,
        }
    }
}
