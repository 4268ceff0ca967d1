//! From the outbox to the broker, whenever the broker is there.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::error::Refused;
use super::outbox::ClaimLimits;
use super::rabbitmq::RabbitMq;
use super::{Outbox, Queue, QueueError, figures};
use crate::envelope::Source;
use crate::lifecycle::Lifecycle;
use crate::retry::Delays;

/// What is in memory of each source, and on its way, at once.
const LIMITS: ClaimLimits = ClaimLimits { max_events: 256, max_bytes: 1024 * 1024 };
/// Waits after the broker or the database refused.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// What one look into the outbox came to.
enum Round {
    /// There may be more.
    Moved,
    /// Nothing is waiting.
    Idle,
    /// The broker took none or not all of it.
    Refused(Refused),
}

/// Moves events from the outbox to the broker, oldest first, until the process is stopping. Several
/// processes may do so at once. Without a broker there is nothing to do: the consumer reads the outbox
/// itself.
pub async fn relay(queue: &Queue, lifecycle: &Lifecycle) {
    let Queue::RabbitMq(rabbitmq, outbox) = queue else { return };
    // Each source for itself, so that one whose queue refuses does not hold up the others.
    let moving = join_all(Source::QUEUED.map(|source| keep_moving(rabbitmq, outbox, source)));
    // A round under way when the process stops is given up: its claim goes back, and should the broker
    // have taken the events nevertheless, the inbox knows them when they come twice.
    lifecycle.stopping.run_until_cancelled(moving).await;
}

async fn keep_moving(rabbitmq: &RabbitMq, outbox: &Outbox, source: Source) {
    let mut waker = outbox.waker();
    let mut delays = Delays::new(FIRST_DELAY, LONGEST_DELAY);
    loop {
        rabbitmq.up().await;
        waker.about_to_look();
        match move_some(rabbitmq, outbox, source).await {
            Ok(Round::Moved) => delays.reset(),
            Ok(Round::Idle) => drop(waker.wait().await),
            Ok(Round::Refused(refused)) => {
                tracing::debug!(%source, %refused, "the broker did not take what waits in the outbox");
                sleep(delays.next_delay()).await;
            }
            Err(error) => {
                tracing::warn!(%source, %error, "can't read the outbox; trying again");
                sleep(delays.next_delay()).await;
            }
        }
    }
}

async fn move_some(rabbitmq: &RabbitMq, outbox: &Outbox, source: Source) -> Result<Round, QueueError> {
    let Some(mut claim) = outbox.claims.claim(Some(source), LIMITS).await? else { return Ok(Round::Idle) };
    let envelopes = std::mem::take(&mut claim.envelopes);
    let events = envelopes.len() as u64;
    let published = join_all(envelopes.into_iter().map(|envelope| rabbitmq.publish(envelope))).await;
    if let Some(refused) = published.into_iter().find_map(Result::err) {
        claim.put_back().await?;
        return Ok(Round::Refused(refused));
    }
    claim.done().await?;
    metrics::counter!(figures::RELAYED).increment(events);
    Ok(Round::Moved)
}
