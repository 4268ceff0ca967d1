//! Learns of new pending events: writers send a NOTIFY, and slow polling catches a lost one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgNotification};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::lifecycle::Lifecycle;
use crate::queue::metric_names;
use crate::retry::Backoff;

/// The channel that writers of pending events notify.
const EVENTS_CHANNEL: &str = "memberflow_events";
/// The channel that earlier versions and their triggers notify.
const OUTBOX_CHANNEL: &str = "memberflow_outbox";
/// Polling interval, in case a notification was lost.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// The same for the outbox of earlier versions, which are rarely running; their failed events are never
/// notified.
const OUTBOX_POLL_INTERVAL: Duration = Duration::from_secs(60);
/// The poll right after a notification is followed by another this much later: triggers of transactions that commit
/// within 5 ms of the notification do not notify (`ingest.wake_consumers`).
const POLL_AGAIN_AFTER: Duration = Duration::from_millis(6);
/// Delays between attempts to listen.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// The backlog is counted up to a limit, so that counting stays cheap.
const BACKLOG: &str =
    "select count(*) from (select from ingest.events where state = 'pending' limit 10000) as waiting";

/// Starts listening with the first [`Notifications`]. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pool: PgPool,
    lifecycle: Lifecycle,
    channels: Arc<Channels>,
    listening: Arc<AtomicBool>,
}

/// The notifications of each channel.
#[derive(Debug)]
struct Channels {
    events: watch::Sender<()>,
    outbox: watch::Sender<()>,
}

/// A subscription to the notifications of one channel.
#[derive(Debug)]
pub struct Notifications {
    received: watch::Receiver<()>,
    /// Polling interval, in case a notification was lost.
    poll_interval: Duration,
    /// Whether the last wait ended with a notification.
    was_notified: bool,
}

impl Channels {
    fn notify_all(&self) {
        self.events.send_replace(());
        self.outbox.send_replace(());
    }
}

impl Listener {
    pub fn new(pool: PgPool, lifecycle: Lifecycle) -> Self {
        let channels = Channels { events: watch::channel(()).0, outbox: watch::channel(()).0 };
        Self { pool, lifecycle, channels: Arc::new(channels), listening: Arc::default() }
    }

    /// Notifications of new pending events.
    pub fn events(&self) -> Notifications {
        self.subscribe(&self.channels.events, POLL_INTERVAL)
    }

    /// Notifications of rows in the outbox of earlier versions.
    pub fn outbox(&self) -> Notifications {
        self.subscribe(&self.channels.outbox, OUTBOX_POLL_INTERVAL)
    }

    fn subscribe(&self, channel: &watch::Sender<()>, poll_interval: Duration) -> Notifications {
        self.start();
        Notifications { received: channel.subscribe(), poll_interval, was_notified: false }
    }

    fn start(&self) {
        if !self.listening.swap(true, Ordering::Relaxed) {
            let stopping = self.lifecycle.stopping.clone();
            let (pool, channels) = (self.pool.clone(), self.channels.clone());
            self.lifecycle.tasks.spawn(async move {
                stopping.run_until_cancelled(keep_listening(&pool, &channels)).await;
            });
        }
    }
}

impl Notifications {
    /// Call before reading: a notification from now on ends the next wait.
    pub fn before_poll(&mut self) {
        self.received.borrow_and_update();
    }

    /// Waits for a notification since [`Notifications::before_poll`], or until it is time to poll.
    pub async fn wait(&mut self) {
        let limit = if self.was_notified { POLL_AGAIN_AFTER } else { self.poll_interval };
        let notified = timeout(limit, self.received.changed()).await;
        self.was_notified = matches!(notified, Ok(Ok(())));
        if let Ok(Err(_)) = notified {
            // The listener has ended: only polling is left.
            sleep(POLL_INTERVAL).await;
        }
    }
}

async fn keep_listening(pool: &PgPool, channels: &Channels) {
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    loop {
        if let Err(error) = listen(pool, channels, &mut backoff).await {
            tracing::debug!(%error, "not listening for pending events; polling instead");
        }
        sleep(backoff.next_delay()).await;
    }
}

async fn listen(pool: &PgPool, channels: &Channels, backoff: &mut Backoff) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([EVENTS_CHANNEL, OUTBOX_CHANNEL]).await?;
    backoff.reset();
    // Events may have been written before.
    channels.notify_all();
    loop {
        match timeout(POLL_INTERVAL, listener.try_recv()).await {
            Ok(received) => match received?.as_ref().map(PgNotification::channel) {
                Some(OUTBOX_CHANNEL) => channels.outbox.send_replace(()),
                Some(_) => channels.events.send_replace(()),
                // The connection was lost and is restored.
                None => channels.notify_all(),
            },
            // On the listener's connection: batches may hold all others.
            Err(_) => report_backlog(&mut listener).await?,
        }
    }
}

async fn report_backlog(listener: &mut PgListener) -> Result<(), sqlx::Error> {
    let events: i64 = sqlx::query_scalar(BACKLOG).fetch_one(listener).await?;
    metrics::gauge!(metric_names::BACKLOG).set(events as f64);
    Ok(())
}
