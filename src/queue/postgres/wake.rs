//! Knowing that there are pending events: whoever writes some notifies; a slow look catches what was missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::{PgListener, PgNotification};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::lifecycle::Lifecycle;
use crate::queue::metric_names;
use crate::retry::Delays;

/// The channel that whoever writes pending events notifies.
const EVENTS: &str = "memberflow_events";
/// The channel that earlier versions notify, and triggers that they have made.
const EARLIER: &str = "memberflow_outbox";
/// How long news may go unnoticed where a notification was lost.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The same of earlier versions, which mostly are not there; what they have that failed is never notified.
const LOOK_FOR_EARLIER_EVERY: Duration = Duration::from_secs(60);
/// How long after a notification the next look is due: of users' transactions within 5 ms one notifies.
const LOOK_AGAIN: Duration = Duration::from_millis(6);
/// Waits between attempts to listen.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// The backlog is counted no further than this: counting must not become a load of its own.
const BACKLOG: &str =
    "select count(*) from (select from ingest.events where state = 'pending' limit 10000) as waiting";

/// Listens once somebody wants to know. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Wake {
    pool: PgPool,
    lifecycle: Lifecycle,
    channels: Arc<Channels>,
    listening: Arc<AtomicBool>,
}

/// What has been heard on each channel.
#[derive(Debug)]
struct Channels {
    events: watch::Sender<()>,
    earlier: watch::Sender<()>,
}

/// One reader's view of the news.
#[derive(Debug)]
pub struct Waker {
    channels: watch::Receiver<()>,
    /// How long news may go unnoticed where a notification was lost.
    look_every: Duration,
    /// The last wait ended with news.
    had_news: bool,
}

impl Channels {
    fn tell_all(&self) {
        self.events.send_replace(());
        self.earlier.send_replace(());
    }
}

impl Wake {
    pub fn new(pool: PgPool, lifecycle: Lifecycle) -> Self {
        let channels = Channels { events: watch::channel(()).0, earlier: watch::channel(()).0 };
        Self { pool, lifecycle, channels: Arc::new(channels), listening: Arc::default() }
    }

    pub fn of_events(&self) -> Waker {
        self.listen();
        Waker { channels: self.channels.events.subscribe(), look_every: LOOK_EVERY, had_news: false }
    }

    pub fn of_earlier(&self) -> Waker {
        self.listen();
        Waker {
            channels: self.channels.earlier.subscribe(),
            look_every: LOOK_FOR_EARLIER_EVERY,
            had_news: false,
        }
    }

    fn listen(&self) {
        if !self.listening.swap(true, Ordering::Relaxed) {
            let stopping = self.lifecycle.stopping.clone();
            let (pool, channels) = (self.pool.clone(), self.channels.clone());
            self.lifecycle.tasks.spawn(async move {
                stopping.run_until_cancelled(keep_listening(&pool, &channels)).await;
            });
        }
    }
}

impl Waker {
    /// Call before looking: news from here on will end the next wait.
    pub fn about_to_look(&mut self) {
        self.channels.borrow_and_update();
    }

    /// Waits for news since [`Waker::about_to_look`], or until it is time to look anyway. Whether there is news.
    pub async fn wait(&mut self) -> bool {
        let patience = if self.had_news { LOOK_AGAIN } else { self.look_every };
        let channels = timeout(patience, self.channels.changed()).await;
        self.had_news = matches!(channels, Ok(Ok(())));
        if let Ok(Err(_)) = channels {
            sleep(LOOK_EVERY).await;
        }
        self.had_news
    }
}

async fn keep_listening(pool: &PgPool, channels: &Channels) {
    let mut delays = Delays::new(FIRST_DELAY, LONGEST_DELAY);
    loop {
        if let Err(error) = listen(pool, channels, &mut delays).await {
            tracing::debug!(%error, "not listening for pending events; looking now and then instead");
        }
        sleep(delays.next_delay()).await;
    }
}

async fn listen(pool: &PgPool, channels: &Channels, delays: &mut Delays) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([EVENTS, EARLIER]).await?;
    delays.reset();
    // Something may have come before.
    channels.tell_all();
    loop {
        match timeout(LOOK_EVERY, listener.try_recv()).await {
            Ok(received) => match received?.as_ref().map(PgNotification::channel) {
                Some(EARLIER) => channels.earlier.send_replace(()),
                Some(_) => channels.events.send_replace(()),
                // The connection was lost and is there again.
                None => channels.tell_all(),
            },
            // On its own connection: those that claim may hold all others.
            Err(_) => report_backlog(&mut listener).await?,
        }
    }
}

async fn report_backlog(listener: &mut PgListener) -> Result<(), sqlx::Error> {
    let events: i64 = sqlx::query_scalar(BACKLOG).fetch_one(listener).await?;
    metrics::gauge!(metric_names::BACKLOG).set(events as f64);
    Ok(())
}
