//! Whether the dependencies answer: checked once a second in the background, on a separate connection. Probes
//! get the last result, so they never take a connection from the data path.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::database::connect_unpooled;
use crate::lifecycle::Lifecycle;
use crate::queue::Queue;

/// How often the dependencies are checked.
const PERIOD: Duration = Duration::from_secs(1);
/// How long the database may take to connect and answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the first probe may wait for the first result.
const FIRST_CHECK_TIMEOUT: Duration = Duration::from_secs(6);

/// A dependency's state, or why it is down.
pub type State = Result<(), Arc<str>>;

/// The last result. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Readiness(watch::Receiver<Option<Checked>>);

/// The result of one check.
#[derive(Clone, Debug)]
pub struct Checked {
    /// When it ended.
    pub at: Instant,
    /// Each dependency by name.
    pub dependencies: Vec<(&'static str, State)>,
}

impl Readiness {
    /// Starts checking, until the process stops.
    #[must_use]
    pub fn start(database: PgConnectOptions, queue: Queue, lifecycle: &Lifecycle) -> Self {
        let (results, last) = watch::channel(None);
        let stopping = lifecycle.stopping.clone();
        lifecycle.tasks.spawn(async move {
            stopping.run_until_cancelled(keep_checking(database, queue, results)).await;
        });
        Self(last)
    }

    /// The last result; `None` if the first check has not finished.
    pub async fn last(&self) -> Option<Checked> {
        let mut results = self.0.clone();
        let checked = timeout(FIRST_CHECK_TIMEOUT, results.wait_for(Option::is_some)).await;
        checked.ok()?.ok()?.clone()
    }
}

async fn keep_checking(database: PgConnectOptions, queue: Queue, results: watch::Sender<Option<Checked>>) {
    let mut database = Database { options: database, connection: None };
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let postgres = database.check().await;
        let mut dependencies: Vec<(&'static str, State)> = Vec::new();
        dependencies.extend(queue.broker_state().map(|state| ("rabbitmq", state.map_err(Arc::from))));
        dependencies.push(("postgres", postgres));
        log_changes(results.borrow().as_ref(), &dependencies);
        results.send_replace(Some(Checked { at: Instant::now(), dependencies }));
    }
}

/// Logs each dependency whose state has changed.
fn log_changes(before: Option<&Checked>, now: &[(&'static str, State)]) {
    for (dependency, state) in now {
        let known = before.and_then(|it| it.dependencies.iter().find(|(name, _)| name == dependency));
        let was_up = known.is_none_or(|(_, state)| state.is_ok());
        match state {
            Err(reason) if was_up => tracing::warn!(dependency, %reason, "dependency down"),
            Ok(()) if !was_up => tracing::info!(dependency, "dependency up again"),
            _ => {}
        }
    }
}

/// The check's own connection.
struct Database {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
}

impl Database {
    async fn check(&mut self) -> State {
        let answer = timeout(CHECK_TIMEOUT, self.ask()).await;
        let state = match answer {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {CHECK_TIMEOUT:?}"),
        };
        // Dropping it closes the socket; the next check connects again.
        self.connection = None;
        Err(state.into())
    }

    async fn ask(&mut self) -> Result<(), sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect_unpooled(&self.options).await?),
        };
        connection.ping().await
    }
}
