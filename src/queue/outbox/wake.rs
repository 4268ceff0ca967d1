//! Knowing that there is news in the outbox: every insert notifies; a slow look catches what was missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::lifecycle::Lifecycle;
use crate::queue::figures;
use crate::retry::Delays;

/// The channel that the outbox's trigger notifies.
const CHANNEL: &str = "memberflow_outbox";
/// How long news may go unnoticed where a notification was lost.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long after a notification the next look is due: of users' transactions not every one notifies.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Waits between attempts to listen.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// The backlog is counted no further than this: counting must not become a load of its own.
const BACKLOG: &str = "select count(*) from (select from ingest.outbox limit 10000) as waiting";

/// Listens once somebody wants to know. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Wake {
    pool: PgPool,
    lifecycle: Lifecycle,
    news: Arc<watch::Sender<()>>,
    listening: Arc<AtomicBool>,
}

/// One reader's view of the news.
#[derive(Debug)]
pub struct Waker {
    news: watch::Receiver<()>,
    /// The last wait ended with news.
    had_news: bool,
}

impl Wake {
    pub fn new(pool: PgPool, lifecycle: Lifecycle) -> Self {
        let (news, _) = watch::channel(());
        Self { pool, lifecycle, news: Arc::new(news), listening: Arc::default() }
    }

    pub fn waker(&self) -> Waker {
        if !self.listening.swap(true, Ordering::Relaxed) {
            let stopping = self.lifecycle.stopping.clone();
            let (pool, news) = (self.pool.clone(), self.news.clone());
            self.lifecycle.tasks.spawn(async move {
                stopping.run_until_cancelled(keep_listening(&pool, &news)).await;
            });
        }
        Waker { news: self.news.subscribe(), had_news: false }
    }
}

impl Waker {
    /// Call before looking into the outbox: news from here on will end the next wait.
    pub fn about_to_look(&mut self) {
        self.news.borrow_and_update();
    }

    /// Waits for news since [`Waker::about_to_look`], or until it is time to look anyway. Whether there is news.
    pub async fn wait(&mut self) -> bool {
        let patience = if self.had_news { LOOK_AGAIN } else { LOOK_EVERY };
        let news = timeout(patience, self.news.changed()).await;
        self.had_news = matches!(news, Ok(Ok(())));
        if let Ok(Err(_)) = news {
            sleep(LOOK_EVERY).await;
        }
        self.had_news
    }
}

async fn keep_listening(pool: &PgPool, news: &watch::Sender<()>) {
    let mut delays = Delays::new(FIRST_DELAY, LONGEST_DELAY);
    loop {
        if let Err(error) = listen(pool, news, &mut delays).await {
            tracing::debug!(%error, "not listening to the outbox; looking now and then instead");
        }
        sleep(delays.next_delay()).await;
    }
}

async fn listen(pool: &PgPool, news: &watch::Sender<()>, delays: &mut Delays) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    delays.reset();
    loop {
        news.send_replace(());
        match timeout(LOOK_EVERY, listener.try_recv()).await {
            Ok(received) => drop(received?),
            // On its own connection: those that claim may hold all others.
            Err(_) => report_backlog(&mut listener).await?,
        }
    }
}

async fn report_backlog(listener: &mut PgListener) -> Result<(), sqlx::Error> {
    let events: i64 = sqlx::query_scalar(BACKLOG).fetch_one(listener).await?;
    metrics::gauge!(figures::BACKLOG).set(events as f64);
    Ok(())
}
