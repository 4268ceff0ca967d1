//! Acks or requeues a batch with as few frames as is safe.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::connection::BrokerConnection;

/// For writing the frames; a connection that does not take them is considered broken.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// A channel that messages are consumed on, with their unsettled delivery tags.
///
/// `multiple` settles *all* earlier tags, so it may only be used if none of them belongs to another batch
/// that is still being applied.
pub(super) struct ConsumerChannel {
    pub channel: Channel,
    connection: Weak<BrokerConnection>,
    unsettled: Mutex<BTreeSet<u64>>,
}

/// A batch's messages of one channel, oldest first.
pub(super) struct ChannelTags {
    pub channel: Arc<ConsumerChannel>,
    pub tags: Vec<u64>,
}

/// Ack or requeue.
#[derive(Clone, Copy)]
pub(super) enum Disposition {
    Ack,
    Requeue,
}

/// The messages of a batch; requeued when dropped unsettled.
pub struct UnackedMessages {
    by_channel: Vec<ChannelTags>,
    tasks: TaskTracker,
    /// Held until it is settled.
    _in_flight: TaskTrackerToken,
}

impl ConsumerChannel {
    pub fn of(channel: Channel, connection: &Arc<BrokerConnection>) -> Self {
        Self { channel, connection: Arc::downgrade(connection), unsettled: Mutex::default() }
    }

    /// Records a message as unsettled.
    pub fn track(&self, tag: u64) {
        self.unsettled().insert(tag);
    }

    /// Whether `tags` are the oldest unsettled ones, with none of another batch before or among them.
    fn are_oldest(&self, tags: &[u64]) -> bool {
        self.unsettled().iter().take(tags.len()).eq(tags)
    }

    fn mark_settled(&self, tags: &[u64]) {
        let mut unsettled = self.unsettled();
        for tag in tags {
            unsettled.remove(tag);
        }
    }

    fn unsettled(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, disposition: Disposition, tag: u64, multiple: bool) -> Result<(), lapin::Error> {
        match disposition {
            Disposition::Ack => self.channel.basic_ack(tag, BasicAckOptions { multiple }).await,
            Disposition::Requeue => {
                self.channel.basic_nack(tag, BasicNackOptions { multiple, requeue: true }).await
            }
        }
    }
}

impl ChannelTags {
    async fn settle(&self, disposition: Disposition) -> Result<(), lapin::Error> {
        let Some(last) = self.tags.last() else { return Ok(()) };
        // Tags leave the set only after their frame is written: a later batch still sees them meanwhile and
        // does not settle them with its own.
        if self.channel.are_oldest(&self.tags) {
            self.channel.send(disposition, *last, true).await?;
        } else {
            for tag in &self.tags {
                self.channel.send(disposition, *tag, false).await?;
            }
        }
        self.channel.mark_settled(&self.tags);
        Ok(())
    }
}

impl UnackedMessages {
    pub(super) const fn new(
        by_channel: Vec<ChannelTags>,
        tasks: TaskTracker,
        in_flight: TaskTrackerToken,
    ) -> Self {
        Self { by_channel, tasks, _in_flight: in_flight }
    }

    pub async fn ack(mut self) {
        settle(std::mem::take(&mut self.by_channel), Disposition::Ack).await;
    }

    pub async fn requeue(mut self) {
        settle(std::mem::take(&mut self.by_channel), Disposition::Requeue).await;
    }
}

impl Drop for UnackedMessages {
    fn drop(&mut self) {
        let by_channel = std::mem::take(&mut self.by_channel);
        // Without a runtime the process is ending, and the closed connection requeues.
        if !by_channel.is_empty() && tokio::runtime::Handle::try_current().is_ok() {
            self.tasks.spawn(settle(by_channel, Disposition::Requeue));
        }
    }
}

/// Tags end with their connection; the broker then redelivers the messages, and the database knows which were
/// applied. So after a failure the connection is replaced: on one that recovered, the tags would stay unsettled
/// and take up the prefetch.
async fn settle(by_channel: Vec<ChannelTags>, disposition: Disposition) {
    for messages in by_channel {
        let failure = match timeout(SETTLE_TIMEOUT, messages.settle(disposition)).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no frame could be written for {SETTLE_TIMEOUT:?}"),
        };
        tracing::debug!(error = failure, "settling a batch failed, it will be redelivered");
        if let Some(connection) = messages.channel.connection.upgrade() {
            connection.mark_failed(format!("settling a batch failed: {failure}"));
        }
    }
}
