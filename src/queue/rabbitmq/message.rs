//! Messages that hold events.

use std::sync::Arc;

use bytes::Bytes;
use lapin::Channel;
use lapin::message::Delivery;
use lapin::options::BasicRejectOptions;
use lapin::types::AMQPValue;

use super::connection::BrokerConnection;
use super::queue_consumer::Decoder;
use super::settle::ConsumerChannel;
use crate::envelope::{Envelope, Source, wire};
use crate::queue::metric_names;

/// How often a message may be redelivered before it is suspected of crashing its consumers. Rolling restarts
/// redeliver some more than once.
const REDELIVERIES_MAX: i64 = 2;

/// A message that could be decoded.
pub(super) struct Message {
    /// The channel that delivered it, on which it must be settled.
    pub channel: Arc<ConsumerChannel>,
    pub tag: u64,
    pub envelopes: Vec<Envelope>,
    /// It was redelivered so often that it may crash the process that applies it.
    pub is_suspect: bool,
}

impl Message {
    pub fn size_bytes(&self) -> usize {
        self.envelopes.iter().map(wire::encoded_len).sum()
    }
}

impl Decoder for Arc<ConsumerChannel> {
    type Message = Message;

    fn on_channel(channel: Channel, connection: &Arc<BrokerConnection>) -> Self {
        Self::new(ConsumerChannel::of(channel, connection))
    }

    /// A message that cannot be decoded is rejected to the dead-letter queue: a retry would not help.
    async fn decode(
        &self,
        delivery: Delivery,
        source: Option<Source>,
    ) -> Result<Option<Message>, lapin::Error> {
        let tag = delivery.delivery_tag;
        let is_suspect = redeliveries(&delivery) > REDELIVERIES_MAX;
        let data = Bytes::from(delivery.data);
        let decoded = match source {
            Some(source) => wire::decode_from(source, data),
            None => wire::decode(data),
        };
        match decoded {
            Ok(envelopes) => {
                self.track(tag);
                Ok(Some(Message { channel: self.clone(), tag, envelopes, is_suspect }))
            }
            Err(error) => {
                tracing::error!(%error, routing_key = %delivery.routing_key, "undecodable message dead-lettered");
                metrics::counter!(metric_names::UNDECODABLE).increment(1);
                self.channel.basic_reject(tag, BasicRejectOptions { requeue: false }).await?;
                Ok(None)
            }
        }
    }
}

/// How often a quorum queue has redelivered a message.
fn redeliveries(delivery: &Delivery) -> i64 {
    let headers = delivery.properties.headers().as_ref();
    match headers.and_then(|headers| headers.inner().get("x-delivery-count")) {
        Some(AMQPValue::LongLongInt(count)) => *count,
        Some(AMQPValue::LongInt(count)) => i64::from(*count),
        Some(AMQPValue::LongUInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortUInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortShortInt(count)) => i64::from(*count),
        Some(AMQPValue::ShortShortUInt(count)) => i64::from(*count),
        _ => 0,
    }
}
