//! What the broker gave up on: the messages of the dead-letter queue, brought to where operators see them.

use bytes::Bytes;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::types::AMQPValue;
use lapin::{Acker, Channel};

use super::feed::Reader;
use crate::envelope::{Envelope, Source, wire};

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

/// Reads dead messages. What they held was accepted once, so none is refused.
pub(super) struct DeadReader;

impl Reader for DeadReader {
    type Message = DeadMessage;

    fn on(_channel: Channel) -> Self {
        Self
    }

    async fn read(&self, delivery: Delivery, _: Option<Source>) -> Result<Option<DeadMessage>, lapin::Error> {
        Ok(Some(read(delivery)))
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
