//! One source's messages as they come from the broker, whatever happens to the connection.
//!
//! Each feed has a connection of its own: the broker ends a whole connection where a single queue has
//! lost its majority, and the other sources shall not notice. One channel per feed also means that
//! tags grow in the order in which messages come, which acking with `multiple` depends on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::{FieldTable, ShortString};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::dial::Live;
use super::link::Link;
use super::settle::Tags;
use crate::envelope::{Envelope, wire};
use crate::queue::{QueueError, figures};

/// Messages that may be on their way to us unacked.
const PREFETCH: u16 = 256;
/// Subscribing takes milliseconds; a broker that needs longer is dialled anew.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A message that could be read.
pub(super) struct Message {
    /// What its channel has handed out.
    pub tags: Arc<Tags>,
    pub tag: u64,
    pub envelopes: Vec<Envelope>,
}

/// Takes one queue's messages.
pub(super) struct Feed {
    pub link: Link,
    pub queue: ShortString,
    pub messages: mpsc::Sender<Message>,
}

impl Feed {
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
        let (tags, mut deliveries) =
            subscribing.await.map_err(|_| QueueError::Silent(SUBSCRIBE_TIMEOUT))??;
        while let Some(delivery) = deliveries.next().await {
            let Some(message) = read(&tags, delivery?).await? else { continue };
            if self.messages.send(message).await.is_err() {
                return Ok(());
            }
        }
        Err(QueueError::Unsubscribed)
    }

    async fn subscribe(&self, live: &Live) -> Result<(Arc<Tags>, lapin::Consumer), lapin::Error> {
        let channel = live.connection.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (queue, options) = (self.queue.clone(), BasicConsumeOptions::default());
        let deliveries = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await?;
        Ok((Arc::new(Tags::of(channel)), deliveries))
    }
}

/// The envelopes of a delivery. One that can't be read would not be readable the next time either: it
/// goes to the dead-letter queue.
async fn read(tags: &Arc<Tags>, delivery: Delivery) -> Result<Option<Message>, lapin::Error> {
    let tag = delivery.delivery_tag;
    match wire::decode(Bytes::from(delivery.data)) {
        Ok(envelopes) => {
            tags.hand_out(tag);
            Ok(Some(Message { tags: tags.clone(), tag, envelopes }))
        }
        Err(error) => {
            tracing::error!(%error, routing_key = %delivery.routing_key, "dead-lettering an unreadable message");
            metrics::counter!(figures::UNDECODABLE).increment(1);
            tags.channel.basic_reject(tag, BasicRejectOptions { requeue: false }).await?;
            Ok(None)
        }
    }
}

impl Message {
    pub fn size_bytes(&self) -> usize {
        self.envelopes.iter().map(wire::encoded_len).sum()
    }
}
