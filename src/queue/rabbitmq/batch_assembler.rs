//! Merges the messages of all queues into batches.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use super::message::Message;
use super::settle::{ChannelTags, UnackedMessages};
use crate::envelope::Envelope;
use crate::lifecycle::Lifecycle;
use crate::queue::limits::BatchLimits;

/// Makes batches of all queues' messages.
pub struct BatchAssembler {
    messages: mpsc::Receiver<Message>,
    limits: BatchLimits,
    lifecycle: Lifecycle,
    /// The next batch so far. Kept here, so that `next_batch` is cancel-safe.
    partial: PartialBatch,
    /// A message that did not fit into the last batch.
    carried_over: Option<Message>,
    /// The batches that are not settled yet.
    in_flight: TaskTracker,
    /// Ends the connections of the queues' consumers.
    _end: DropGuard,
}

/// The events of a batch.
#[derive(Default)]
pub struct Events {
    pub envelopes: Vec<Envelope>,
    /// Those of messages that may crash the process that applies them.
    pub suspects: Vec<Envelope>,
}

impl Events {
    fn count(&self) -> usize {
        self.envelopes.len() + self.suspects.len()
    }
}

#[derive(Default)]
struct PartialBatch {
    events: Events,
    size_bytes: usize,
    unacked: Vec<ChannelTags>,
    deadline: Option<Instant>,
}

impl BatchAssembler {
    pub(super) fn new(
        messages: mpsc::Receiver<Message>,
        limits: BatchLimits,
        lifecycle: Lifecycle,
        end: DropGuard,
    ) -> Self {
        let in_flight = TaskTracker::new();
        // `wait` only returns for a closed tracker.
        in_flight.close();
        let partial = PartialBatch::default();
        Self { messages, limits, lifecycle, partial, carried_over: None, in_flight, _end: end }
    }

    /// Waits for the next batch; `None` once the process is stopping.
    pub async fn next_batch(&mut self) -> Option<(Events, UnackedMessages)> {
        let stopping = self.lifecycle.stopping.clone();
        stopping.run_until_cancelled(self.fill()).await??;
        let PartialBatch { events, unacked, .. } = std::mem::take(&mut self.partial);
        let (tasks, in_flight) = (self.lifecycle.tasks.clone(), self.in_flight.token());
        Some((events, UnackedMessages::new(unacked, tasks, in_flight)))
    }

    /// Takes messages until the batch is full or has waited long enough. If no earlier batch is being
    /// applied, takes only those that have already arrived. `None` if no more will come.
    async fn fill(&mut self) -> Option<()> {
        while !self.partial.is_full(self.limits) {
            let message = match self.carried_over.take() {
                Some(message) => message,
                None => match self.next_message().await {
                    Next::Message(message) => message,
                    Next::WaitedEnough => return Some(()),
                    Next::Closed => return None,
                },
            };
            if self.partial.would_overflow(&message, self.limits) {
                self.carried_over = Some(message);
                return Some(());
            }
            let wait = if self.in_flight.is_empty() { Duration::ZERO } else { self.limits.wait };
            self.partial.add(message, wait);
            if wait.is_zero() {
                // Lets the queues' consumers hand over what they hold.
                yield_now().await;
            }
        }
        Some(())
    }

    /// Waits for the next message: the first of a batch without limit, a further one until the deadline or until
    /// no earlier batch is in flight any more.
    async fn next_message(&mut self) -> Next {
        let received = match self.partial.deadline {
            None => self.messages.recv().await,
            Some(deadline) => tokio::select! {
                biased;
                received = self.messages.recv() => received,
                () = sleep_until(deadline) => return Next::WaitedEnough,
                () = self.in_flight.wait() => return Next::WaitedEnough,
            },
        };
        received.map_or(Next::Closed, Next::Message)
    }
}

/// What came next.
enum Next {
    Message(Message),
    /// The batch has waited long enough.
    WaitedEnough,
    /// No more will come.
    Closed,
}

impl PartialBatch {
    fn is_full(&self, limits: BatchLimits) -> bool {
        self.events.count() >= limits.max_events || self.size_bytes >= limits.max_bytes
    }

    /// A message is settled as a whole, so it is never split: one that does not fit waits for the next batch.
    fn would_overflow(&self, message: &Message, limits: BatchLimits) -> bool {
        self.events.count() > 0 && self.events.count() + message.envelopes.len() > limits.max_events
    }

    fn add(&mut self, message: Message, wait: Duration) {
        self.deadline.get_or_insert_with(|| Instant::now() + wait);
        self.size_bytes += message.size_bytes();
        let events = if message.is_suspect { &mut self.events.suspects } else { &mut self.events.envelopes };
        events.extend(message.envelopes);
        match self.unacked.iter_mut().find(|of| Arc::ptr_eq(&of.channel, &message.channel)) {
            Some(of) => of.tags.push(message.tag),
            None => self.unacked.push(ChannelTags { channel: message.channel, tags: vec![message.tag] }),
        }
    }
}
