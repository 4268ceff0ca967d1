//! Consumes one queue; reconnects by itself.
//!
//! Each queue consumer has its own connection: the broker closes the whole connection when a single queue has lost its
//! quorum, and the other sources must not be affected. One channel each also means that delivery tags
//! grow in the order of the messages, which acking with `multiple` depends on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::connection::BrokerConnection;
use super::connection_manager::ConnectionManager;
use crate::envelope::Source;
use crate::queue::QueueError;

/// Subscribing takes milliseconds; if it takes longer, we connect again.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Decodes the deliveries of one channel.
pub(super) trait Decoder: Send + Sync + Sized {
    /// What a delivery becomes.
    type Message: Send;

    /// A decoder for this channel of `connection`.
    fn on_channel(channel: Channel, connection: &Arc<BrokerConnection>) -> Self;

    /// What `delivery`, from the queue of `source`, becomes; `None` if it was already settled.
    fn decode(
        &self,
        delivery: Delivery,
        source: Option<Source>,
    ) -> impl Future<Output = Result<Option<Self::Message>, lapin::Error>> + Send;
}

/// The consumer of one queue.
pub(super) struct QueueConsumer<D: Decoder> {
    pub connection_manager: ConnectionManager,
    pub queue: ShortString,
    /// The source of the queue; `None` for the dead-letter queue.
    pub source: Option<Source>,
    /// Unacked messages in flight.
    pub prefetch: u16,
    pub messages: mpsc::Sender<D::Message>,
}

impl<D: Decoder> QueueConsumer<D> {
    /// Runs until the receiver is dropped.
    pub async fn run(mut self) {
        let messages = self.messages.clone();
        tokio::select! {
            () = messages.closed() => {}
            () = self.consume_with_reconnect() => {}
        }
    }

    async fn consume_with_reconnect(&mut self) {
        while let Some(connection) = self.connection_manager.wait_until_up().await {
            let Err(error) = self.consume(&connection).await else { return };
            tracing::info!(queue = %self.queue, %error, "consuming was interrupted");
            connection.mark_failed(error.to_string());
            self.connection_manager.wait_until_down(&connection).await;
        }
    }

    /// Returns `Ok` only if the receiver was dropped.
    async fn consume(&self, connection: &Arc<BrokerConnection>) -> Result<(), QueueError> {
        let subscribing = timeout(SUBSCRIBE_TIMEOUT, self.subscribe(connection));
        let (decoder, mut deliveries) =
            subscribing.await.map_err(|_| QueueError::Timeout(SUBSCRIBE_TIMEOUT))??;
        while let Some(delivery) = deliveries.next().await {
            let Some(message) = decoder.decode(delivery?, self.source).await? else { continue };
            if self.messages.send(message).await.is_err() {
                return Ok(());
            }
        }
        Err(QueueError::ConsumerCancelled)
    }

    async fn subscribe(
        &self,
        connection: &Arc<BrokerConnection>,
    ) -> Result<(D, lapin::Consumer), lapin::Error> {
        let channel = connection.amqp.create_channel().await?;
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        let (queue, options) = (self.queue.clone(), BasicConsumeOptions::default());
        let deliveries = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
        Ok((D::on_channel(channel, connection), deliveries))
    }
}
