//! What the broker gave up on: the messages of the dead-letter queue, brought to where operators see them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use lapin::Acker;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::dial::Live;
use super::link::Link;
use crate::envelope::{Envelope, Source, wire};
use crate::queue::QueueError;

/// Messages in hand at once; there should be none.
const PREFETCH: u16 = 4;
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A message that the broker gave up on.
#[must_use = "a message that is dropped comes again"]
pub struct DeadMessage {
    /// What it holds.
    pub content: DeadContent,
    /// What the broker says of it.
    pub reason: String,
    acker: Acker,
}

/// What a dead message holds.
#[derive(Clone, Debug)]
pub enum DeadContent {
    /// Events, each as it was accepted.
    Events(Vec<Envelope>),
    /// Bytes that are no events of ours, and the source in whose queue they were.
    Unreadable(Option<Source>, Bytes),
}

impl DeadMessage {
    /// It is kept elsewhere: the broker may forget it. Should the broker not hear this, it comes again.
    pub async fn forget(self) {
        self.acker.ack(BasicAckOptions::default()).await.ok();
    }
}

/// Takes the dead messages of one broker.
pub(super) struct Undertaker {
    pub link: Link,
    pub queue: ShortString,
    pub messages: mpsc::Sender<DeadMessage>,
}

impl Undertaker {
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
            tracing::info!(queue = %self.queue, %error, "taking dead messages was interrupted");
            live.condemn(error.to_string());
            self.link.no_longer(&live).await;
        }
    }

    /// Ends without an error only where nobody takes the messages any more.
    async fn take(&self, live: &Live) -> Result<(), QueueError> {
        let subscribing = timeout(SUBSCRIBE_TIMEOUT, self.subscribe(live));
        let mut deliveries = subscribing.await.map_err(|_| QueueError::Silent(SUBSCRIBE_TIMEOUT))??;
        while let Some(delivery) = deliveries.next().await {
            if self.messages.send(read(delivery?)).await.is_err() {
                return Ok(());
            }
        }
        Err(QueueError::Unsubscribed)
    }

    async fn subscribe(&self, live: &Live) -> Result<lapin::Consumer, lapin::Error> {
        let channel = live.connection.create_channel().await?;
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let (queue, options) = (self.queue.clone(), BasicConsumeOptions::default());
        channel.basic_consume(queue, "".into(), options, FieldTable::default()).await
    }
}

fn read(delivery: Delivery) -> DeadMessage {
    let reason = reason(&delivery);
    let body = Bytes::from(delivery.data);
    let (content, reason) = match wire::decode(body.clone()) {
        Ok(envelopes) => (DeadContent::Events(envelopes), reason),
        Err(error) => (
            DeadContent::Unreadable(delivery.routing_key.as_str().parse().ok(), body),
            format!("a message that can't be read: {error}"),
        ),
    };
    DeadMessage { content, reason, acker: delivery.acker }
}

/// RabbitMQ notes in `x-death` why it dead-lettered a message, the latest time first.
fn reason(delivery: &Delivery) -> String {
    let headers = delivery.properties.headers().as_ref();
    let latest = headers.and_then(|headers| match headers.inner().get("x-death") {
        Some(AMQPValue::FieldArray(deaths)) => deaths.as_slice().first(),
        _ => None,
    });
    let why = match latest {
        Some(AMQPValue::FieldTable(death)) => match death.inner().get("reason") {
            Some(AMQPValue::LongString(why)) => why.to_string(),
            _ => "no reason given".to_owned(),
        },
        _ => "no reason given".to_owned(),
    };
    match why.as_str() {
        "delivery_limit" => {
            "given to a consumer too often without being applied (did it end the process?)".to_owned()
        }
        why => format!("the broker gave up on it: {why}"),
    }
}
