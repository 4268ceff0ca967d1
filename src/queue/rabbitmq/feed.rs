//! One queue's messages as they come from the broker, whatever happens to the connection.
//!
//! Each feed has a connection of its own: the broker ends a whole connection where a single queue has
//! lost its majority, and the other sources shall not notice. One channel per feed also means that
//! tags grow in the order in which messages come, which acking with `multiple` depends on.

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

/// Subscribing takes milliseconds; a broker that needs longer is dialled again.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// What makes messages of one channel's deliveries.
pub(super) trait Reader: Send + Sync + Sized {
    /// What a delivery becomes.
    type Message: Send;

    /// Begins to read what comes on this channel.
    fn on(channel: Channel) -> Self;

    /// What `delivery`, from the queue of `source`, becomes; none where it is dealt with already.
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
    /// Whose events are in that queue; nothing where they may be anybody's.
    pub source: Option<Source>,
    /// Messages that may be on their way to us unacked.
    pub prefetch: u16,
    pub messages: mpsc::Sender<R::Message>,
}

impl<R: Reader> Feed<R> {
    /// Runs until nobody takes the messages any more.
    pub async fn run(mut self) {
        let messages = self.messages.clone();
        tokio::select! {
            () = messages.closed() => {}
            () = self.keep_taking() => {}
        }
    }

    async fn keep_taking(&mut self) {
        while let Some(live) = self.link.up().await {
            let Err(error) = self.take(&live).await else { return };
            tracing::info!(queue = %self.queue, %error, "consuming was interrupted");
            live.condemn(error.to_string());
            self.link.no_longer(&live).await;
        }
    }

    /// Ends without an error only where nobody takes the messages any more.
    async fn take(&self, live: &Live) -> Result<(), QueueError> {
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

    async fn subscribe(&self, live: &Live) -> Result<(R, lapin::Consumer), lapin::Error> {
        let channel = live.connection.create_channel().await?;
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        let (queue, options) = (self.queue.clone(), BasicConsumeOptions::default());
        let deliveries = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
        Ok((R::on(channel), deliveries))
    }
}
