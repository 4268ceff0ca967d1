//! Consumes one queue; reconnects by itself.
//!
//! Each feed has its own connection: the broker closes the whole connection when a single queue has lost its
//! quorum, and the other sources must not be affected. One channel per feed also means that delivery tags
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

use super::dial::Live;
use super::link::Link;
use crate::envelope::Source;
use crate::queue::QueueError;

/// Subscribing takes milliseconds; if it takes longer, we connect again.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Turns the deliveries of one channel into messages.
pub(super) trait Reader: Send + Sync + Sized {
    /// What a delivery becomes.
    type Message: Send;

    /// A reader of this channel of `live`.
    fn on(channel: Channel, live: &Arc<Live>) -> Self;

    /// What `delivery`, from the queue of `source`, becomes; `None` if it was already settled.
    fn read(
        &self,
        delivery: Delivery,
        source: Option<Source>,
    ) -> impl Future<Output = Result<Option<Self::Message>, lapin::Error>> + Send;
}

/// Takes one queue's messages.
pub(super) struct Feed<R: Reader> {
    pub link: Link,
    pub queue: ShortString,
    /// The source of the queue; `None` for the dead-letter queue.
    pub source: Option<Source>,
    /// Unacked messages in flight.
    pub prefetch: u16,
    pub messages: mpsc::Sender<R::Message>,
}

impl<R: Reader> Feed<R> {
    /// Runs until the receiver is dropped.
    pub async fn run(mut self) {
        let messages = self.messages.clone();
        tokio::select! {
            () = messages.closed() => {}
            () = self.consume_with_reconnect() => {}
        }
    }

    async fn consume_with_reconnect(&mut self) {
        while let Some(live) = self.link.up().await {
            let Err(error) = self.take(&live).await else { return };
            tracing::info!(queue = %self.queue, %error, "consuming was interrupted");
            live.mark_failed(error.to_string());
            self.link.until_down(&live).await;
        }
    }

    /// Returns `Ok` only if the receiver was dropped.
    async fn take(&self, live: &Arc<Live>) -> Result<(), QueueError> {
        let subscribing = timeout(SUBSCRIBE_TIMEOUT, self.subscribe(live));
        let (reader, mut deliveries) =
            subscribing.await.map_err(|_| QueueError::Silent(SUBSCRIBE_TIMEOUT))??;
        while let Some(delivery) = deliveries.next().await {
            let Some(message) = reader.read(delivery?, self.source).await? else { continue };
            if self.messages.send(message).await.is_err() {
                return Ok(());
            }
        }
        Err(QueueError::Unsubscribed)
    }

    async fn subscribe(&self, live: &Arc<Live>) -> Result<(R, lapin::Consumer), lapin::Error> {
        let channel = live.connection.create_channel().await?;
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        let (queue, options) = (self.queue.clone(), BasicConsumeOptions::default());
        let deliveries = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
        Ok((R::on(channel, live), deliveries))
    }
}
