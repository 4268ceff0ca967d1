//! `/console/live`: tells an open page that what it shows has changed. The page offers to show it, and moves nothing by
//! itself.
//!
//! One connection of the process listens to what tables notify (`docs/live-changes.md`), while anybody watches; every stream
//! waits for the same numbers. Readers cost the tables and the consumer nothing. Events notify nobody, since only one
//! transaction that notifies can commit at a time: the process looks for the newest by index now and then, however many
//! read.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, stream};
use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use super::Console;
use super::html::page::PageError;
use super::signing_in::session::Session;
use crate::database;
use crate::lifecycle::Lifecycle;

/// Where tables notify.
const CHANNEL: &str = "memberflow_changes";
/// A stream ends after so long; the browser comes again, if its session still holds.
const LASTS: Duration = Duration::from_secs(600);
/// Between two events of a stream: a page that was told waits longer before it looks. However often tables change, streams
/// cost no more.
const APART: Duration = Duration::from_secs(1);
/// Between signs of life, which find out readers that are gone.
const KEEP_ALIVE: Duration = Duration::from_secs(25);
/// Between attempts to listen.
const RETRY: Duration = Duration::from_secs(5);

/// Between looks for what notifies nobody.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// What notifies nobody, each with the newest of it: what an index ends with.
const NEWEST: &str = "
select 'events' as name, concat_ws(' ',
    (select max(applied_at) from ingest.events where applied_at is not null),
    (select max(dead_at) from ingest.events where state = 'dead'),
    (select max(next_attempt_at) from ingest.events where state = 'pending' and not alone)) as mark
union all select 'parked', (select max(parked_at) from ingest.parked)::text
union all select 'audit_log', (select max(at) from ingest.audit_log)::text";

/// How often each table has changed, as far as this process knows.
type Changes = Arc<BTreeMap<String, u64>>;

/// A table that notifies nobody, and what tells its newest row.
type Newest = (String, Option<String>);

/// What all streams share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Live {
    lifecycle: Lifecycle,
    changes: watch::Sender<Changes>,
    is_listening: Arc<AtomicBool>,
    /// Tells this process' numbers from those of another.
    process: Uuid,
}

impl Live {
    pub(super) fn new(lifecycle: &Lifecycle) -> Self {
        let (changes, _) = watch::channel(Changes::default());
        Self { lifecycle: lifecycle.clone(), changes, is_listening: Arc::default(), process: Uuid::new_v4() }
    }

    /// What changes from here on; listens from the first reader on.
    fn subscribe(&self, pool: &PgPool) -> watch::Receiver<Changes> {
        let receiver = self.changes.subscribe();
        if !self.is_listening.swap(true, Ordering::SeqCst) {
            // Nobody listened till now: who comes again may have missed something.
            self.tell("");
            let (live, pool) = (self.clone(), pool.clone());
            self.lifecycle.tasks.spawn(async move { live.listen_while_watched(pool).await });
        }
        receiver
    }

    async fn listen_while_watched(self, pool: PgPool) {
        let options = pool.connect_options();
        loop {
            let watched = async {
                tokio::select! {
                    () = self.changes.closed() => {}
                    () = self.keep_listening(&options) => {}
                    () = self.keep_looking(&pool) => {}
                }
            };
            if self.lifecycle.until_stopping(watched).await.is_none() {
                return;
            }
            self.is_listening.store(false, Ordering::SeqCst);
            // Somebody may have come in between.
            if self.changes.receiver_count() == 0 || self.is_listening.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }

    async fn keep_listening(&self, options: &PgConnectOptions) {
        loop {
            if let Err(error) = self.listen(options).await {
                tracing::debug!(%error, "not listening for changes, will retry");
            }
            sleep(RETRY).await;
        }
    }

    async fn listen(&self, options: &PgConnectOptions) -> Result<(), sqlx::Error> {
        // On a connection of its own: pages share theirs.
        let pool = database::without_delay(PgPoolOptions::new().max_connections(1))
            .connect_lazy_with(options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            match listener.try_recv().await? {
                Some(notification) => self.tell(&table_of(notification.payload())),
                // The connection was lost and is there again.
                None => self.tell(""),
            }
        }
    }

    async fn keep_looking(&self, pool: &PgPool) {
        let mut last: Option<Vec<Newest>> = None;
        loop {
            match sqlx::query_as(NEWEST).fetch_all(pool).await {
                Ok(newest) => self.compare(last.replace(newest).as_deref(), last.as_deref()),
                Err(error) => tracing::debug!(%error, "no look for changes, will retry"),
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// Counts a change of each table whose newest is another than `before`.
    fn compare(&self, before: Option<&[Newest]>, now: Option<&[Newest]>) {
        for ((_, before), (name, now)) in before.into_iter().flatten().zip(now.into_iter().flatten()) {
            if before != now {
                self.tell(name);
            }
        }
    }

    /// Counts a change of `table`, or of every one where none is named.
    fn tell(&self, table: &str) {
        self.changes.send_modify(|changes| *Arc::make_mut(changes).entry(table.to_owned()).or_default() += 1);
    }
}

/// A notification is `{"table": …, "members": […]}`.
fn table_of(payload: &str) -> String {
    #[derive(Deserialize)]
    struct Notification {
        table: String,
    }
    serde_json::from_str(payload).map_or_else(|_| String::new(), |Notification { table }| table)
}

/// How often any of `tables` has changed.
fn count(changes: &Changes, tables: &[String]) -> u64 {
    let of_one = |name: &str| changes.get(name).copied().unwrap_or_default();
    tables.iter().map(|table| of_one(table)).sum::<u64>() + of_one("")
}

/// The query string.
#[derive(Debug, Deserialize)]
pub(super) struct Params {
    /// The page's tables, joined by commas.
    tables: String,
    /// The last id that the page reported, where it comes again by itself.
    #[serde(default)]
    after: String,
}

/// What one stream has reported.
struct Watching {
    live: Live,
    changes: watch::Receiver<Changes>,
    tables: Vec<String>,
    /// Nothing yet: where everything stands now is reported first, so that the page has an id to come again with.
    told: Option<u64>,
    /// When it may report again.
    rests_until: Instant,
    until: Instant,
}

/// Streams an event `at`, and `changed` each time after that; the ids let a page that was away come again.
pub(super) async fn stream(
    State(console): State<Console>,
    _: Session,
    headers: HeaderMap,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, PageError> {
    let Query(params) = params?;
    let live = console.0.live.clone();
    let after = headers.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or(&params.after);
    let told = told_before(after, &live);
    let tables = params.tables.split(',').map(str::to_owned).collect();
    let changes = live.subscribe(console.pool());
    let now = Instant::now();
    let watching = Watching { live, changes, tables, told, rests_until: now, until: now + LASTS };
    Ok(Sse::new(stream::unfold(watching, next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The number in `id`; none where it is not given. That of another process differs from every one of ours.
fn told_before(id: &str, live: &Live) -> Option<u64> {
    if id.is_empty() {
        return None;
    }
    let number = id.split_once('.').filter(|(process, _)| *process == live.process.to_string());
    Some(number.and_then(|(_, number)| number.parse().ok()).unwrap_or(u64::MAX))
}

async fn next(mut watching: Watching) -> Option<(Result<Event, Infallible>, Watching)> {
    let (until, stopping) = (watching.until, watching.live.lifecycle.stopping.clone());
    let event = tokio::select! {
        event = watching.next_event() => event?,
        () = sleep_until(until) => return None,
        () = stopping.cancelled() => return None,
    };
    Some((Ok(event), watching))
}

impl Watching {
    async fn next_event(&mut self) -> Option<Event> {
        sleep_until(self.rests_until).await;
        loop {
            let now = count(&self.changes.borrow_and_update().clone(), &self.tables);
            if self.told != Some(now) {
                let name = if self.told.is_none() { "at" } else { "changed" };
                self.told = Some(now);
                self.rests_until = Instant::now() + APART;
                return Some(
                    Event::default().event(name).id(format!("{}.{now}", self.live.process)).data(name),
                );
            }
            self.changes.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_of_its_tables_and_of_those_unknown() {
        let live = Live::new(&Lifecycle::default());
        let tables = ["support_tickets".to_owned(), "sms_messages".to_owned()];
        let told = || count(&live.changes.borrow(), &tables);
        for (payload, expected) in [
            (r#"{"table": "support_tickets", "members": []}"#, 1),
            (r#"{"table": "payment_history", "members": null}"#, 1),
            (r#"{"table": "sms_messages", "members": null}"#, 2),
            ("of a later version", 3),
        ] {
            live.tell(&table_of(payload));
            assert_eq!(told(), expected, "{payload}");
        }
    }

    #[test]
    fn what_notifies_nobody_is_told_of_once_its_newest_is_another() {
        let live = Live::new(&Lifecycle::default());
        let newest =
            |mark: &str| vec![("events".to_owned(), Some(mark.to_owned())), ("parked".to_owned(), None)];
        let told = |table: &str| count(&live.changes.borrow(), &[table.to_owned()]);
        let looks = ["1", "1", "2"].map(newest);
        live.compare(None, Some(&looks[0]));
        live.compare(Some(&looks[0]), Some(&looks[1]));
        assert_eq!(told("events"), 0);
        live.compare(Some(&looks[1]), Some(&looks[2]));
        assert_eq!((told("events"), told("parked")), (1, 0));
    }

    #[tokio::test]
    async fn a_stream_tells_of_many_changes_once_a_second() {
        let live = Live::new(&Lifecycle::default());
        let now = Instant::now();
        let mut watching = Watching {
            changes: live.changes.subscribe(),
            tables: vec!["events".to_owned()],
            told: None,
            rests_until: now,
            until: now + LASTS,
            live,
        };
        for seconds in 0..3 {
            assert!(watching.next_event().await.is_some());
            assert!(now.elapsed() >= APART * seconds);
            for _ in 0..50 {
                watching.live.tell("events");
            }
        }
    }

    #[test]
    fn an_id_of_another_process_means_that_anything_may_have_changed() {
        let live = Live::new(&Lifecycle::default());
        assert_eq!(told_before("", &live), None);
        assert_eq!(told_before(&format!("{}.7", live.process), &live), Some(7));
        assert_eq!(told_before(&format!("{}.7", Uuid::nil()), &live), Some(u64::MAX));
        assert_eq!(told_before("x", &live), Some(u64::MAX));
    }
}
