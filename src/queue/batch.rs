//! Batches of events for the consumer, each of which is acked or requeued.

use sqlx::{Postgres, Transaction};

use super::{postgres, rabbitmq};
use crate::envelope::Envelope;

/// Produces batches of events. Reconnects by itself.
pub enum Consumer {
    /// From the broker.
    RabbitMq(Box<rabbitmq::BatchAssembler>),
    /// From the pending events in Postgres.
    Postgres(postgres::PendingConsumer),
}

/// Events to apply. Dropping it requeues them.
#[must_use = "a batch that is dropped comes again"]
pub struct Batch {
    /// In no particular order, of any sources, possibly some that were applied before.
    pub envelopes: Vec<Envelope>,
    /// Events that were delivered repeatedly and never acked: they may crash the process that applies them.
    pub suspects: Vec<Envelope>,
    handle: AckHandle,
}

/// What acks or requeues the events.
enum AckHandle {
    RabbitMq(rabbitmq::UnackedMessages),
    Postgres(postgres::LockedBatch),
}

impl Consumer {
    /// Waits for events and returns those available; `None` once the process is stopping. While an earlier
    /// batch is being applied it waits a moment for more; on an idle consumer an event is returned at once.
    /// Cancel-safe.
    pub async fn next_batch(&mut self) -> Option<Batch> {
        match self {
            Self::RabbitMq(consumer) => {
                let (events, unacked) = consumer.next_batch().await?;
                let rabbitmq::Events { envelopes, suspects } = events;
                Some(Batch { envelopes, suspects, handle: AckHandle::RabbitMq(unacked) })
            }
            Self::Postgres(consumer) => {
                let (envelopes, locked) = consumer.next_batch().await?;
                Some(Batch { envelopes, suspects: Vec::new(), handle: AckHandle::Postgres(locked) })
            }
        }
    }
}

impl Batch {
    /// Whether the events are pending in Postgres.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(self.handle, AckHandle::Postgres(_))
    }

    /// Call before each attempt to apply the batch: events that may crash the process have their attempt
    /// counted first. Drops events that another process has applied meanwhile.
    ///
    /// # Errors
    /// If the database fails; no event is held then.
    pub async fn begin_attempt(&mut self) -> Result<(), sqlx::Error> {
        match &mut self.handle {
            AckHandle::RabbitMq(_) => Ok(()),
            AckHandle::Postgres(locked) => locked.begin_attempt(&mut self.envelopes).await,
        }
    }

    /// Call after a failed attempt, before waiting: releases the row locks of pending events, and the attempt does not
    /// count. The broker's messages stay unacked.
    pub async fn release(&mut self) {
        match &mut self.handle {
            AckHandle::RabbitMq(_) => {}
            AckHandle::Postgres(locked) => locked.release(&self.envelopes).await,
        }
    }

    /// The transaction that holds the pending events, to apply them in; can be taken once. If it ends without
    /// a commit, the events are pending again.
    pub fn take_transaction(&mut self) -> Option<Transaction<'static, Postgres>> {
        match &mut self.handle {
            AckHandle::RabbitMq(_) => None,
            AckHandle::Postgres(locked) => locked.transaction.take(),
        }
    }

    /// Acks the events. Call it before the [`Consumer`] is dropped. If the connection to the broker was lost
    /// meanwhile, they are redelivered all the same. (Pending events are done with the commit that applied
    /// them.)
    pub async fn ack(self) {
        match self.handle {
            AckHandle::RabbitMq(unacked) => unacked.ack().await,
            AckHandle::Postgres(_) => {}
        }
    }

    /// Requeues the events. Up to RabbitMQ 4.2 each requeue counts towards the delivery limit, after which a
    /// message is dead-lettered: while the database is unavailable, hold the batch instead.
    pub async fn requeue(self) {
        match self.handle {
            AckHandle::RabbitMq(unacked) => unacked.requeue().await,
            AckHandle::Postgres(mut locked) => locked.release(&self.envelopes).await,
        }
    }
}
