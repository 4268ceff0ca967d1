//! A steady rate: how long each event takes to be answered, and to be seen by somebody else.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use memberflow::ops::fixture::FixtureEvent;
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use crate::House;
use crate::pace::{Answer, post, spread};
use crate::sender::Sender;

/// Between two looks at what has been committed: the resolution of the figures.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// A look goes back a little: an event is seen when its transaction ends, and carries the moment of its begin.
const LATEST: &str = "select event_id from ingest.inbox
                      where source <> 'internal' and applied_at > now() - interval '1 second'";
/// Without news for so long, no more is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Posts `events` at `rate` a second and prints how long they took.
pub async fn run(house: &House, events: &[FixtureEvent], rate: u32) {
    let sender = Sender::to(house.receiver.url());
    let begin = Instant::now();
    let (answers, seen) = tokio::join!(post(&sender, events, rate, begin), watch(house.pool(), events.len()));
    let mut commits: Vec<Duration> = Vec::with_capacity(events.len());
    let mut answered: Vec<Duration> = Vec::with_capacity(events.len());
    for Answer { event_id, posted, took, taken } in answers {
        assert!(taken, "{event_id}");
        answered.push(took);
        commits.extend(seen.get(&event_id).map(|seen| seen.saturating_duration_since(posted)));
    }
    println!("at {rate}/s, {} events, {} seen in time", events.len(), commits.len());
    println!("  webhook to answer: {}", spread(answered));
    println!("  webhook to commit: {}", spread(commits));
}

/// When each event was first seen by another connection.
async fn watch(pool: &PgPool, wanted: usize) -> HashMap<String, Instant> {
    let all = sqlx::query_scalar("select event_id from ingest.inbox").fetch_all(pool).await.unwrap();
    let before: HashSet<String> = all.into_iter().collect();
    let mut seen = HashMap::new();
    let mut last = Instant::now();
    while seen.len() < wanted && last.elapsed() < PATIENCE {
        let events: Vec<String> = sqlx::query_scalar(LATEST).fetch_all(pool).await.unwrap();
        let now = Instant::now();
        for event_id in events {
            if !before.contains(&event_id) && !seen.contains_key(&event_id) {
                seen.insert(event_id, now);
                last = now;
            }
        }
        sleep(LOOK_EVERY).await;
    }
    seen
}
