//! Acks a batch with as few frames as is safe.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use lapin::Channel;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::dial::Live;

/// For writing the frames; a connection that does not take them is considered broken.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(2);

/// The unsettled delivery tags of one channel.
///
/// `multiple` settles *all* earlier tags, so it may only be used if none of them belongs to another batch
/// that is still being applied.
pub(super) struct Tags {
    pub channel: Channel,
    live: Weak<Live>,
    unsettled: Mutex<BTreeSet<u64>>,
}

/// A batch's messages of one channel, oldest first.
pub(super) struct Span {
    pub of: Arc<Tags>,
    pub tags: Vec<u64>,
}

/// Ack or requeue.
#[derive(Clone, Copy)]
pub(super) enum Verdict {
    Ack,
    Requeue,
}

/// The messages of a batch; requeued when dropped unsettled.
pub struct Settle {
    spans: Vec<Span>,
    tasks: TaskTracker,
    /// Held until it is settled.
    _under_way: TaskTrackerToken,
}

impl Tags {
    pub fn of(channel: Channel, live: &Arc<Live>) -> Self {
        Self { channel, live: Arc::downgrade(live), unsettled: Mutex::default() }
    }

    /// Records a message as unsettled.
    pub fn track(&self, tag: u64) {
        self.unsettled().insert(tag);
    }

    /// Whether `tags` are the oldest unsettled ones, with none of another batch before or among them.
    fn are_oldest(&self, tags: &[u64]) -> bool {
        self.unsettled().iter().take(tags.len()).eq(tags)
    }

    fn settled(&self, tags: &[u64]) {
        let mut unsettled = self.unsettled();
        for tag in tags {
            unsettled.remove(tag);
        }
    }

    fn unsettled(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.unsettled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, verdict: Verdict, tag: u64, multiple: bool) -> Result<(), lapin::Error> {
        match verdict {
            Verdict::Ack => self.channel.basic_ack(tag, BasicAckOptions { multiple }).await,
            Verdict::Requeue => {
                self.channel.basic_nack(tag, BasicNackOptions { multiple, requeue: true }).await
            }
        }
    }
}

impl Span {
    async fn settle(&self, verdict: Verdict) -> Result<(), lapin::Error> {
        let Some(last) = self.tags.last() else { return Ok(()) };
        // Tags leave the set only after their frame is written: a later batch still sees them meanwhile and
        // does not settle them with its own.
        if self.of.are_oldest(&self.tags) {
            self.of.send(verdict, *last, true).await?;
        } else {
            for tag in &self.tags {
                self.of.send(verdict, *tag, false).await?;
            }
        }
        self.of.settled(&self.tags);
        Ok(())
    }
}

impl Settle {
    pub(super) const fn new(spans: Vec<Span>, tasks: TaskTracker, under_way: TaskTrackerToken) -> Self {
        Self { spans, tasks, _under_way: under_way }
    }

    pub async fn ack(mut self) {
        settle(std::mem::take(&mut self.spans), Verdict::Ack).await;
    }

    pub async fn requeue(mut self) {
        settle(std::mem::take(&mut self.spans), Verdict::Requeue).await;
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        let spans = std::mem::take(&mut self.spans);
        // Without a runtime the process is ending, and the closed connection requeues.
        if !spans.is_empty() && tokio::runtime::Handle::try_current().is_ok() {
            self.tasks.spawn(settle(spans, Verdict::Requeue));
        }
    }
}

/// Tags end with their connection; the broker then redelivers the messages, and the database knows which were
/// applied. So after a failure the connection is replaced: on one that recovered, the tags would stay unsettled
/// and take up the prefetch.
async fn settle(spans: Vec<Span>, verdict: Verdict) {
    for span in spans {
        let failure = match timeout(SETTLE_TIMEOUT, span.settle(verdict)).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no frame could be written for {SETTLE_TIMEOUT:?}"),
        };
        tracing::debug!(failure, "settling a batch failed, it will be redelivered");
        if let Some(live) = span.of.live.upgrade() {
            live.mark_failed(format!("settling a batch failed: {failure}"));
        }
    }
}
