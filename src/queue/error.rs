//! Errors of the queue.

use std::sync::Arc;

/// The event is not durable anywhere: the provider must retry.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the event could not be made durable: {reason}")]
pub struct NotDurable {
    /// What the broker and Postgres reported.
    pub reason: Arc<str>,
}

/// The broker or Postgres did not take the event; the other may.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct EnqueueError(pub Arc<str>);

impl EnqueueError {
    pub fn new(reason: impl Into<Arc<str>>) -> Self {
        Self(reason.into())
    }
}

impl NotDurable {
    pub(super) fn of(broker: Option<EnqueueError>, postgres: EnqueueError) -> Self {
        Self {
            reason: match broker {
                Some(broker) => format!("{broker}; {postgres}").into(),
                None => postgres.0,
            },
        }
    }
}

/// An operation on the queue failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// `AMQP_URL` is not a valid URL. The URL itself is not shown: it may hold a password.
    #[error("AMQP_URL is not a valid AMQP address ({0}); it looks like amqp://user:password@host:5672/%2f")]
    Url(String),
    /// The broker holds an exchange or queue of our name with other properties.
    #[error(
        "{name} exists on the broker with other properties ({detail}); let its messages drain, delete it \
         (rabbitmqctl delete_queue {name}), and it will be declared again; or set another queue prefix"
    )]
    Topology {
        /// The exchange or queue.
        name: String,
        /// The difference, as the broker reports it.
        detail: String,
    },
    /// The broker did not answer in time.
    #[error("the broker did not answer within {0:?}: check that it runs and that AMQP_URL is right")]
    Timeout(std::time::Duration),
    /// A queue was deleted, or its node went away.
    #[error("the broker cancelled the consumer")]
    ConsumerCancelled,
    /// The broker rejected a request, or the connection broke.
    #[error("the broker rejected a request or the connection broke: {0}; check its log and AMQP_URL")]
    Broker(#[from] lapin::Error),
}
