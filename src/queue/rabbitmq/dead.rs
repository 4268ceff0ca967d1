//! Reads the broker's dead-letter queue, whose messages become dead letters in Postgres.

use std::sync::Arc;

use bytes::Bytes;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::types::AMQPValue;
use lapin::{Acker, Channel};

use super::connection::BrokerConnection;
use super::queue_consumer::Decoder;
use crate::envelope::{Envelope, Source, wire};

/// A message that the broker dead-lettered.
#[must_use = "a message that is dropped comes again"]
pub struct DeadMessage {
    /// Its content.
    pub content: DeadContent,
    /// Why the broker dead-lettered it.
    pub reason: String,
    acker: Acker,
}

/// What a dead message holds.
#[derive(Clone, Debug)]
pub enum DeadContent {
    /// Events, each as it was accepted.
    Events(Vec<Envelope>),
    /// Bytes that could not be decoded, and the source of the queue they were in.
    Undecodable(Option<Source>, Bytes),
}

impl DeadMessage {
    /// Acks the message, which is stored in Postgres by now. If the ack is lost, it is redelivered.
    pub async fn ack(self) {
        self.acker.ack(BasicAckOptions::default()).await.ok();
    }
}

/// Decodes dead messages; never rejects one.
pub(super) struct DeadDecoder;

impl Decoder for DeadDecoder {
    type Message = DeadMessage;

    fn on_channel(_: Channel, _: &Arc<BrokerConnection>) -> Self {
        Self
    }

    async fn decode(
        &self,
        delivery: Delivery,
        _: Option<Source>,
    ) -> Result<Option<DeadMessage>, lapin::Error> {
        Ok(Some(decode(delivery)))
    }
}

fn decode(delivery: Delivery) -> DeadMessage {
    let reason = reason(&delivery);
    let body = Bytes::from(delivery.data);
    let (content, reason) = match wire::decode(body.clone()) {
        Ok(envelopes) => (DeadContent::Events(envelopes), reason),
        Err(error) => (
            DeadContent::Undecodable(delivery.routing_key.as_str().parse().ok(), body),
            format!("undecodable message: {error}"),
        ),
    };
    DeadMessage { content, reason, acker: delivery.acker }
}

/// RabbitMQ records in `x-death` why it dead-lettered a message, the latest first.
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
        "delivery_limit" => "delivered too often without an ack (does it crash the consumer?)".to_owned(),
        why => format!("dead-lettered by the broker: {why}"),
    }
}
