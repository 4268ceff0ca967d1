//! The number of messages in each queue, for the CLI.

use std::collections::BTreeMap;

use lapin::ErrorKind;
use lapin::options::QueueDeclareOptions;
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::FieldTable;

use super::connection;
use super::topology::Topology;
use crate::envelope::Source;
use crate::queue::QueueError;

/// The non-empty queues with their number of ready messages. A missing queue is empty.
pub async fn depths(url: &str, prefix: &str) -> Result<BTreeMap<String, u32>, QueueError> {
    let topology = Topology::new(prefix);
    let connection = connection::open(&connection::parse(url)?, "memberflow: counting").await?;
    let mut depths = BTreeMap::new();
    for queue in Source::QUEUED.map(|source| topology.queue(source)).into_iter().chain([topology.dead()]) {
        let channel = connection.amqp.create_channel().await?;
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        match channel.queue_declare(queue.clone(), options, FieldTable::default()).await {
            Ok(queue) if queue.message_count() == 0 => {}
            Ok(found) => drop(depths.insert(queue.to_string(), found.message_count())),
            Err(error) if is_not_there(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(depths)
}

fn is_not_there(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(amqp) = error.kind() else { return false };
    matches!(amqp.kind(), AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND))
}
