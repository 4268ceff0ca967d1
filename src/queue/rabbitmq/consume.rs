//! Consuming: the messages of all feeds merged into batches.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use super::message::Message;
use super::settle::{Settle, Span};
use crate::envelope::Envelope;
use crate::lifecycle::Lifecycle;
use crate::queue::limits::BatchLimits;

/// Makes batches of the feeds' messages.
pub struct Consumer {
    messages: mpsc::Receiver<Message>,
    limits: BatchLimits,
    lifecycle: Lifecycle,
    /// The next batch so far. Kept here, so that `next_batch` is cancel-safe.
    taken: Taken,
    /// A message that did not fit into the last batch.
    held: Option<Message>,
    /// The batches that are not settled yet.
    under_way: TaskTracker,
    /// Ends the feeds' connections.
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
struct Taken {
    events: Events,
    size_bytes: usize,
    spans: Vec<Span>,
    deadline: Option<Instant>,
}

impl Consumer {
    pub(super) fn new(
        messages: mpsc::Receiver<Message>,
        limits: BatchLimits,
        lifecycle: Lifecycle,
        end: DropGuard,
    ) -> Self {
        let under_way = TaskTracker::new();
        // Closed, its end can be waited for.
        under_way.close();
        Self { messages, limits, lifecycle, taken: Taken::default(), held: None, under_way, _end: end }
    }

    /// Waits for the next batch; `None` once the process is stopping.
    pub async fn next_batch(&mut self) -> Option<(Events, Settle)> {
        let stopping = self.lifecycle.stopping.clone();
        stopping.run_until_cancelled(self.fill()).await??;
        let taken = std::mem::take(&mut self.taken);
        Some((taken.events, Settle::new(taken.spans, self.lifecycle.tasks.clone(), self.under_way.token())))
    }

    /// Takes messages until the batch is full or has waited long enough. If no earlier batch is being
    /// applied, takes only those that have already arrived. `None` if no more will come.
    async fn fill(&mut self) -> Option<()> {
        while !self.taken.is_full(self.limits) {
            let message = match self.held.take() {
                Some(held) => held,
                None => match self.before_deadline().await {
                    Some(message) => message?,
                    None => return Some(()),
                },
            };
            if self.taken.would_overflow(&message, self.limits) {
                self.held = Some(message);
                return Some(());
            }
            let wait = if self.under_way.is_empty() { Duration::ZERO } else { self.limits.wait };
            self.taken.add(message, wait);
            if wait.is_zero() {
                // Lets the feeds hand over what they hold.
                yield_now().await;
            }
        }
        Some(())
    }

    /// The next message; `None` once the batch has waited long enough or no earlier one is under way any more,
    /// `Some(None)` if no more will come.
    async fn before_deadline(&mut self) -> Option<Option<Message>> {
        let Some(deadline) = self.taken.deadline else { return Some(self.messages.recv().await) };
        tokio::select! {
            biased;
            message = self.messages.recv() => Some(message),
            () = sleep_until(deadline) => None,
            () = self.under_way.wait() => None,
        }
    }
}

impl Taken {
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
        match self.spans.iter_mut().find(|span| Arc::ptr_eq(&span.of, &message.tags)) {
            Some(span) => span.tags.push(message.tag),
            None => self.spans.push(Span { of: message.tags, tags: vec![message.tag] }),
        }
    }
}
