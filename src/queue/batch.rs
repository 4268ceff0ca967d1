//! What the consumer gets: batches of events, each of which ends in an ack or a requeue.

use std::time::Duration;

use sqlx::{Postgres, Transaction};

use super::{postgres, rabbitmq};
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
    /// For company, after the first event, as long as an earlier batch is under way.
    pub wait: Duration,
}

impl BatchLimits {
    pub fn of(config: &Config) -> Self {
        Self { max_events: config.batch_max_events.max(1), max_bytes: MAX_BYTES, wait: config.batch_wait }
    }
}

/// Gives batches of events. Reconnects by itself.
pub enum Consumer {
    /// From the broker.
    RabbitMq(Box<rabbitmq::Consumer>),
    /// Those that are pending in Postgres.
    Postgres(postgres::Consumer),
}

/// Events to apply. Dropping it is a requeue.
#[must_use = "a batch that is dropped comes again"]
pub struct Batch {
    /// In no particular order, of any sources, possibly some that were applied before.
    pub envelopes: Vec<Envelope>,
    /// Events that were given out again and again and never acked: they may end whoever applies them.
    pub suspects: Vec<Envelope>,
    settle: Settle,
}

enum Settle {
    RabbitMq(rabbitmq::Settle),
    Postgres(postgres::Claim),
}

impl Consumer {
    /// Waits for events and gives what is there; none once the process is stopping. While an earlier batch is under way it
    /// waits a moment for company; an event that comes when nothing else is going on is given at once. May be cancelled at
    /// any point without losing an event.
    pub async fn next_batch(&mut self) -> Option<Batch> {
        match self {
            Self::RabbitMq(consumer) => {
                let (events, settle) = consumer.next_batch().await?;
                let rabbitmq::Events { envelopes, suspects } = events;
                Some(Batch { envelopes, suspects, settle: Settle::RabbitMq(settle) })
            }
            Self::Postgres(consumer) => {
                let (envelopes, claim) = consumer.next_batch().await?;
                Some(Batch { envelopes, suspects: Vec::new(), settle: Settle::Postgres(claim) })
            }
        }
    }
}

impl Batch {
    /// Whether the events are pending in Postgres.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(self.settle, Settle::Postgres(_))
    }

    /// Call before each attempt to apply the batch: where it may end the process, that it was tried is known
    /// afterwards. Leaves out what somebody else has applied meanwhile.
    ///
    /// # Errors
    /// Where the database fails; nothing is held then.
    pub async fn begin(&mut self) -> Result<(), sqlx::Error> {
        match &mut self.settle {
            Settle::RabbitMq(_) => Ok(()),
            Settle::Postgres(claim) => claim.begin(&mut self.envelopes).await,
        }
    }

    /// Call where an attempt could not be made for a reason that lies outside the batch.
    pub async fn not_attempted(&mut self) {
        match &mut self.settle {
            Settle::RabbitMq(_) => {}
            Settle::Postgres(claim) => claim.put_back(&self.envelopes).await,
        }
    }

    /// The transaction that holds pending events, for whoever applies them, once. Where it ends without a commit they
    /// are there again.
    pub fn take_held(&mut self) -> Option<Transaction<'static, Postgres>> {
        match &mut self.settle {
            Settle::RabbitMq(_) => None,
            Settle::Postgres(claim) => claim.transaction.take(),
        }
    }

    /// The events are applied and never need to come again. Call it before the [`Consumer`] is dropped. Over a connection
    /// to the broker that has been lost since they come again all the same. (Those that were pending are done with the
    /// commit that applied them.)
    pub async fn ack(self) {
        match self.settle {
            Settle::RabbitMq(settle) => settle.ack().await,
            Settle::Postgres(_) => {}
        }
    }

    /// The events shall come again. On the broker each requeue counts towards the delivery limit, after
    /// which a message is dead: while the database is away hold on to the batch rather than requeue it
    /// over and over.
    pub async fn requeue(self) {
        match self.settle {
            Settle::RabbitMq(settle) => settle.requeue().await,
            Settle::Postgres(mut claim) => claim.put_back(&self.envelopes).await,
        }
    }
}
