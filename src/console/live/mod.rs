//! `/console/live`: server-sent events that notify an open page when its tables have changed. The page offers to reload,
//! and changes nothing by itself.

mod changes;

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Sse};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::html::error::PageError;
use super::state::Console;
use crate::console::session::Session;

use changes::Counts;

pub(super) use changes::Changes;

/// A stream ends after this time; the browser reconnects, if its session is still valid.
const STREAM_MAX: Duration = Duration::from_secs(600);
/// The shortest time between two events of a stream, however often tables change. A page waits longer before it reloads.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
/// Between keep-alive comments, which detect closed connections.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// The query string.
#[derive(Debug, Deserialize)]
pub(super) struct Params {
    /// The page's tables, joined by commas.
    tables: String,
    /// The last event id that the page received, if it reconnects by itself.
    #[serde(default)]
    after: String,
}

/// The state of one stream.
struct Subscription {
    changes: Changes,
    counts: watch::Receiver<Counts>,
    tables: Vec<String>,
    /// The count that was sent last. At the beginning the present one is sent, so that the page has an id to reconnect
    /// with.
    sent: Option<u64>,
    next_event_at: Instant,
    ends_at: Instant,
}

/// Streams an event `at` with the present position, and `changed` after each change. The ids let a page reconnect without
/// missing a change.
pub(super) async fn stream(
    State(console): State<Console>,
    _: Session,
    headers: HeaderMap,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<impl IntoResponse, PageError> {
    let Query(params) = params?;
    let changes = console.0.changes.clone();
    let after = headers.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or(&params.after);
    let sent = count_of(after, &changes);
    let tables = params.tables.split(',').map(str::to_owned).collect();
    let counts = changes.subscribe(console.pool());
    let now = Instant::now();
    let subscription =
        Subscription { changes, counts, tables, sent, next_event_at: now, ends_at: now + STREAM_MAX };
    let events =
        Sse::new(stream::unfold(subscription, next)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    // Instead of what a stream says by itself, which lets caches keep it.
    Ok(([(CACHE_CONTROL, "no-store")], events))
}

/// The count in an event id; `None` without an id. That of another process differs from every count of this one.
fn count_of(id: &str, changes: &Changes) -> Option<u64> {
    if id.is_empty() {
        return None;
    }
    let count = id.split_once('.').filter(|(process, _)| *process == changes.process.to_string());
    Some(count.and_then(|(_, count)| count.parse().ok()).unwrap_or(u64::MAX))
}

async fn next(mut subscription: Subscription) -> Option<(Result<Event, Infallible>, Subscription)> {
    let (ends_at, stopping) = (subscription.ends_at, subscription.changes.lifecycle.stopping.clone());
    let event = tokio::select! {
        event = subscription.next_event() => event?,
        () = sleep_until(ends_at) => return None,
        () = stopping.cancelled() => return None,
    };
    Some((Ok(event), subscription))
}

impl Subscription {
    async fn next_event(&mut self) -> Option<Event> {
        sleep_until(self.next_event_at).await;
        loop {
            let count = self.counts.borrow_and_update().of(&self.tables);
            if self.sent != Some(count) {
                let name = if self.sent.is_none() { "at" } else { "changed" };
                self.sent = Some(count);
                self.next_event_at = Instant::now() + MIN_INTERVAL;
                let id = format!("{}.{count}", self.changes.process);
                return Some(Event::default().event(name).id(id).data(name));
            }
            self.counts.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::lifecycle::Lifecycle;

    #[tokio::test]
    async fn many_changes_are_one_event_a_second() {
        let changes = Changes::new(&Lifecycle::default());
        let now = Instant::now();
        let mut subscription = Subscription {
            counts: changes.counts.subscribe(),
            tables: vec!["events".to_owned()],
            sent: None,
            next_event_at: now,
            ends_at: now + STREAM_MAX,
            changes,
        };
        for seconds in 0..3 {
            assert!(subscription.next_event().await.is_some());
            assert!(now.elapsed() >= MIN_INTERVAL * seconds);
            for _ in 0..50 {
                subscription.changes.notify("events");
            }
        }
    }

    #[test]
    fn id_of_another_process_counts_as_a_change() {
        let changes = Changes::new(&Lifecycle::default());
        assert_eq!(count_of("", &changes), None);
        assert_eq!(count_of(&format!("{}.7", changes.process), &changes), Some(7));
        assert_eq!(count_of(&format!("{}.7", Uuid::nil()), &changes), Some(u64::MAX));
        assert_eq!(count_of("x", &changes), Some(u64::MAX));
    }
}
