//! Consuming from the outbox, where there is no broker.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::claim::{Claim, ClaimLimits, Claims};
use super::{Outbox, Waker};
use crate::queue::QueueError;
use crate::queue::batch::BatchLimits;
use crate::retry::Delays;

/// Waits between attempts while the database is away.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Claims batches, whatever happens to the connection.
pub struct Consumer {
    claims: Claims,
    waker: Waker,
    limits: ClaimLimits,
    wait: Duration,
    stopping: CancellationToken,
}

impl Consumer {
    pub(in crate::queue) fn new(outbox: &Outbox, limits: BatchLimits, stopping: CancellationToken) -> Self {
        Self {
            claims: outbox.claims.clone(),
            waker: outbox.waker(),
            limits: ClaimLimits { max_events: limits.max_events, max_bytes: limits.max_bytes },
            wait: limits.wait,
            stopping,
        }
    }

    /// Waits for the next batch. Fails only once the process is stopping.
    pub async fn next_batch(&mut self) -> Result<Claim, QueueError> {
        let stopping = self.stopping.clone();
        stopping.run_until_cancelled(self.next_claim()).await.ok_or(QueueError::Stopping)
    }

    async fn next_claim(&mut self) -> Claim {
        let mut delays = Delays::new(FIRST_DELAY, LONGEST_DELAY);
        loop {
            self.waker.about_to_look();
            match self.claims.claim(None, self.limits).await {
                Ok(Some(claim)) => return claim,
                Ok(None) => {
                    let has_news = self.waker.wait().await;
                    // Only behind a batch that is being applied, which it would wait for anyway.
                    if has_news && self.claims.under_way() {
                        sleep(self.wait).await;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "can't read the outbox; trying again");
                    sleep(delays.next_delay()).await;
                }
            }
        }
    }
}
