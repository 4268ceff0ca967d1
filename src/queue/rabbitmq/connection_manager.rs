//! Manages a connection: opens it, declares the topology, watches it, and replaces it when it fails.
//!
//! lapin's own recovery is not used. The first connection and the hundredth need the same steps (connect,
//! declare, open channels), and only we know when a connection that looks alive has stopped working.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use lapin::Event;
use lapin::uri::AMQPUri;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{self, BrokerConnection};
use super::topology::Topology;
use crate::envelope::Source;
use crate::queue::{QueueError, metric_names};
use crate::retry::Backoff;

/// For declaring everything on a fresh connection.
const DECLARE_TIMEOUT: Duration = Duration::from_secs(10);
/// For an answer that shows whether the connection still works.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Delays between attempts.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// A connection that lasted this long resets the backoff.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// How often the connection is checked, in case no event has reported a change.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The state of the connection.
#[derive(Clone)]
pub(super) enum State {
    /// It can publish and consume.
    Up(Arc<BrokerConnection>),
    /// The broker is out of memory or disk and takes no messages.
    Blocked(Arc<str>),
    /// There is no connection.
    Down(Arc<str>),
}

/// Access to a connection that is managed in the background. Cheap to clone.
#[derive(Clone)]
pub(super) struct ConnectionManager(watch::Receiver<State>);

/// What a connection is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum ConnectionPurpose {
    Publish,
    Consume(Source),
    DeadLetter,
}

impl ConnectionPurpose {
    fn name(self) -> String {
        match self {
            Self::Publish => "memberflow publish".to_owned(),
            Self::Consume(source) => format!("memberflow consume {source}"),
            Self::DeadLetter => "memberflow dead letters".to_owned(),
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Consume(_) => "consume",
            Self::DeadLetter => "dead_letter",
        }
    }
}

/// What it takes to open a connection.
pub(super) struct Target {
    pub uri: AMQPUri,
    pub topology: Topology,
    /// Publishing and consuming never share a connection: a broker under memory pressure blocks publishers,
    /// and acks with them.
    pub purpose: ConnectionPurpose,
}

impl ConnectionManager {
    /// The manager and its background task, which ends with `end`.
    pub fn new(target: Target, end: CancellationToken) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, state) = watch::channel(State::Down("still connecting".into()));
        (Self(state), manage(target, sender, end))
    }

    /// The connection, if it can be used.
    pub fn connection(&self) -> Result<Arc<BrokerConnection>, Arc<str>> {
        match &*self.0.borrow() {
            State::Up(connection) => Ok(connection.clone()),
            State::Blocked(reason) => Err(format!("the broker blocks publishing: {reason}").into()),
            State::Down(reason) => Err(format!("not connected to the broker: {reason}").into()),
        }
    }

    /// Waits until the connection can be used. `None` if the manager has ended.
    pub async fn wait_until_up(&mut self) -> Option<Arc<BrokerConnection>> {
        let up = self.0.wait_for(|state| matches!(state, State::Up(_))).await.ok()?;
        if let State::Up(connection) = &*up { Some(connection.clone()) } else { None }
    }

    /// Waits until `connection` can't be used (or was replaced), and says why.
    pub async fn wait_until_down(&mut self, connection: &Arc<BrokerConnection>) -> Arc<str> {
        let is_down = |state: &State| !matches!(state, State::Up(now) if Arc::ptr_eq(now, connection));
        self.0.wait_for(is_down).await.ok();
        self.connection().err().unwrap_or_else(|| "the connection was replaced".into())
    }
}

async fn manage(target: Target, state: watch::Sender<State>, end: CancellationToken) {
    let mut backoff = Backoff::new(FIRST_DELAY, LONGEST_DELAY);
    let mut last_reason: Arc<str> = "".into();
    loop {
        let reason: Arc<str> = match end.run_until_cancelled(open(&target)).await {
            None => return,
            Some(Err(error)) => error.to_string().into(),
            Some(Ok(connection)) => {
                let since = Instant::now();
                let connection = Arc::new(connection);
                state.send_replace(State::Up(connection.clone()));
                tracing::info!(purpose = ?target.purpose, "connected to the broker");
                last_reason = "".into();
                let Some(reason) = end.run_until_cancelled(monitor(&connection, &state)).await else {
                    state.send_replace(State::Down("stopped".into()));
                    return connection.close().await;
                };
                connection.shutdown_socket();
                if since.elapsed() > STABLE_AFTER {
                    backoff.reset();
                }
                reason
            }
        };
        if reason != last_reason {
            tracing::warn!(purpose = ?target.purpose, %reason, "broker down, reconnecting");
            last_reason = reason.clone();
        }
        state.send_replace(State::Down(reason));
        if end.run_until_cancelled(sleep(backoff.next_delay())).await.is_none() {
            return;
        }
    }
}

async fn open(target: &Target) -> Result<BrokerConnection, QueueError> {
    let connection = connection::open(&target.uri, &target.purpose.name()).await?;
    // Nobody listens to the connection's events yet: declaring may close a channel.
    let declaring = timeout(DECLARE_TIMEOUT, target.topology.declare(&connection.amqp));
    declaring.await.map_err(|_| QueueError::Timeout(DECLARE_TIMEOUT))??;
    metrics::counter!(metric_names::CONNECTS, "use" => target.purpose.label()).increment(1);
    Ok(connection)
}

/// Reports blocking and unblocking until the connection has failed, and returns why.
async fn monitor(connection: &Arc<BrokerConnection>, state: &watch::Sender<State>) -> Arc<str> {
    let mut events = std::pin::pin!(connection.amqp.events_listener());
    let mut blocked = false;
    let mut alarm: Arc<str> = "no reason given".into();
    loop {
        tokio::select! {
            reason = connection.failed() => return reason,
            () = connection.probe_requested() => {
                // Opening a channel involves no queue: an answer means that the connection works.
                if timeout(PROBE_TIMEOUT, connection.amqp.create_channel()).await.is_err() {
                    return format!("no answer within {PROBE_TIMEOUT:?}").into();
                }
            }
            event = events.next() => match event {
                Some(Event::Error(error)) => return error.to_string().into(),
                Some(Event::ConnectionBlocked(reason)) => alarm = reason.into(),
                Some(_) => {}
                None => return "the connection ended".into(),
            },
            () = sleep(CHECK_INTERVAL) => {}
        }
        let status = connection.amqp.status();
        if !status.connected() {
            return "the broker closed the connection".into();
        }
        if status.blocked() != blocked {
            blocked = status.blocked();
            tracing::warn!(blocked, %alarm, "broker blocked or unblocked publishing");
            state.send_replace(if blocked {
                State::Blocked(alarm.clone())
            } else {
                State::Up(connection.clone())
            });
        }
    }
}
