//! What can go wrong between accepting an event and handing it to the consumer.

use std::sync::Arc;

/// The event is not durable anywhere: the provider must be told to come back.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the event could not be made durable: {reason}")]
pub struct NotDurable {
    /// What each place said that was tried.
    pub reason: Arc<str>,
}

/// One place (the broker, Postgres) did not take the event; another may.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub Arc<str>);

impl Refused {
    pub fn new(reason: impl Into<Arc<str>>) -> Self {
        Self(reason.into())
    }
}

impl NotDurable {
    pub(super) fn of(broker: Option<Refused>, postgres: Refused) -> Self {
        Self {
            reason: match broker {
                Some(broker) => format!("{broker}; {postgres}").into(),
                None => postgres.0,
            },
        }
    }
}

/// The queue can't do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// `AMQP_URL` is not one. The URL itself is not shown: it may hold a password.
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
        /// What the broker says differs.
        detail: String,
    },
    /// The broker did not answer in time.
    #[error("the broker did not answer within {0:?}")]
    Silent(std::time::Duration),
    /// A queue was deleted, or its node went away.
    #[error("the broker ended the subscription")]
    Unsubscribed,
    /// The broker said no, or the connection broke.
    #[error("the broker failed: {0}")]
    Broker(#[from] lapin::Error),
}
