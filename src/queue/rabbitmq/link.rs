//! A connection that is always being kept: dialled, declared, watched, and replaced when it fails.
//!
//! lapin could recover connections itself; here it does not. What must happen is the same on the first
//! connection as on the hundredth (dial, declare, open channels again), and only we know when a
//! connection that still looks alive has stopped doing its work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use lapin::Event;
use lapin::uri::AMQPUri;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::dial::{Live, dial};
use super::topology::Topology;
use crate::envelope::Source;
use crate::queue::{QueueError, metric_names};
use crate::retry::Delays;

/// For declaring everything on a fresh connection.
const DECLARE_TIMEOUT: Duration = Duration::from_secs(10);
/// For an answer that shows whether the connection still works.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Waits between attempts.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// A connection that held this long was a good one: the next attempt comes soon again.
const STEADY: Duration = Duration::from_secs(5);
/// How often the connection is looked at where no event has told us of a change.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What can be done with the broker right now.
#[derive(Clone)]
pub(super) enum State {
    /// Publish and consume.
    Up(Arc<Live>),
    /// Nothing, but it is there: out of memory or disk, it takes no messages for now.
    Blocked(Arc<str>),
    /// Nothing.
    Down(Arc<str>),
}

/// Read access to a connection that is kept in the background. Cheap to clone.
#[derive(Clone)]
pub(super) struct Link(watch::Receiver<State>);

/// What a connection is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Publish,
    Consume(Source),
    DeadLetter,
}

impl Role {
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
            Self::DeadLetter => "bury",
        }
    }
}

/// What it takes to open a connection.
pub(super) struct Target {
    pub uri: AMQPUri,
    pub topology: Topology,
    /// Why there is this connection. Publishing and consuming never share one, since a broker in need
    /// blocks those that publish, and acks with them.
    pub role: Role,
}

impl Link {
    /// The link and the task that keeps it until `end`.
    pub fn new(target: Target, end: CancellationToken) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (state, link) = watch::channel(State::Down("not connected yet".into()));
        (Self(link), keep(target, state, end))
    }

    /// The connection, if it can be used.
    pub fn live(&self) -> Result<Arc<Live>, Arc<str>> {
        match &*self.0.borrow() {
            State::Up(live) => Ok(live.clone()),
            State::Blocked(reason) => Err(format!("the broker takes no messages: {reason}").into()),
            State::Down(reason) => Err(format!("the broker is away: {reason}").into()),
        }
    }

    /// Waits until the connection can be used. `None` if the link has ended.
    pub async fn up(&mut self) -> Option<Arc<Live>> {
        let up = self.0.wait_for(|state| matches!(state, State::Up(_))).await.ok()?;
        if let State::Up(live) = &*up { Some(live.clone()) } else { None }
    }

    /// Waits until the connection can't be used (or is another), and says why.
    pub async fn no_longer(&mut self, live: &Arc<Live>) -> Arc<str> {
        let is_other = |state: &State| !matches!(state, State::Up(now) if Arc::ptr_eq(now, live));
        self.0.wait_for(is_other).await.ok();
        self.live().err().unwrap_or_else(|| "the connection was replaced".into())
    }
}

async fn keep(target: Target, state: watch::Sender<State>, end: CancellationToken) {
    let mut delays = Delays::new(FIRST_DELAY, LONGEST_DELAY);
    let mut last_reason: Arc<str> = "".into();
    loop {
        let reason: Arc<str> = match end.run_until_cancelled(open(&target)).await {
            None => return,
            Some(Err(error)) => error.to_string().into(),
            Some(Ok(live)) => {
                let since = Instant::now();
                let live = Arc::new(live);
                state.send_replace(State::Up(live.clone()));
                tracing::info!(role = ?target.role, "connected to the broker");
                last_reason = "".into();
                let Some(reason) = end.run_until_cancelled(watch_over(&live, &state)).await else {
                    state.send_replace(State::Down("stopped".into()));
                    return live.close().await;
                };
                live.hang_up();
                if since.elapsed() > STEADY {
                    delays.reset();
                }
                reason
            }
        };
        if reason != last_reason {
            tracing::warn!(role = ?target.role, %reason, "the broker is away; trying again");
            last_reason = reason.clone();
        }
        state.send_replace(State::Down(reason));
        if end.run_until_cancelled(sleep(delays.next_delay())).await.is_none() {
            return;
        }
    }
}

async fn open(target: &Target) -> Result<Live, QueueError> {
    let live = dial(&target.uri, &target.role.name()).await?;
    let declaring = timeout(DECLARE_TIMEOUT, target.topology.declare(&live.connection));
    declaring.await.map_err(|_| QueueError::Silent(DECLARE_TIMEOUT))??;
    metrics::counter!(metric_names::CONNECTS, "use" => target.role.label()).increment(1);
    Ok(live)
}

/// Reports blocking and unblocking until the connection is of no use any more, and says why.
async fn watch_over(live: &Arc<Live>, state: &watch::Sender<State>) -> Arc<str> {
    let mut events = std::pin::pin!(live.connection.events_listener());
    let mut blocked = false;
    let mut alarm: Arc<str> = "no reason given".into();
    loop {
        tokio::select! {
            reason = live.condemned() => return reason,
            () = live.suspected() => {
                // Opening a channel involves no queue: an answer means that the connection is fine.
                if timeout(PROBE_TIMEOUT, live.connection.create_channel()).await.is_err() {
                    return format!("no answer within {PROBE_TIMEOUT:?}").into();
                }
            }
            event = events.next() => match event {
                Some(Event::Error(error)) => return error.to_string().into(),
                Some(Event::ConnectionBlocked(reason)) => alarm = reason.into(),
                Some(_) => {}
                None => return "the connection ended".into(),
            },
            () = sleep(LOOK_EVERY) => {}
        }
        let status = live.connection.status();
        if !status.connected() {
            return "the broker closed the connection".into();
        }
        if status.blocked() != blocked {
            blocked = status.blocked();
            tracing::warn!(blocked, %alarm, "the broker changed whether it takes messages");
            state.send_replace(if blocked { State::Blocked(alarm.clone()) } else { State::Up(live.clone()) });
        }
    }
}
