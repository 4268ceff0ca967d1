//! Posting at a steady rate, and how long it took.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use memberflow::ops::fixture::FixtureEvent;
use tokio::time::{Instant, sleep_until};

use crate::sender::Sender;

/// What came of one event.
pub struct Answer {
    pub took: Duration,
    pub taken: bool,
}

/// Posts `events` at `rate` a second from `begin` on.
pub async fn post(sender: &Sender, events: &[FixtureEvent], rate: u32, begin: Instant) -> Vec<Answer> {
    let mut under_way = FuturesUnordered::new();
    let mut done = Vec::with_capacity(events.len());
    for (index, event) in (0_u32..).zip(events) {
        let due = begin + Duration::from_secs(1) * index / rate;
        while Instant::now() < due {
            tokio::select! {
                Some(answer) = under_way.next() => done.push(answer),
                () = sleep_until(due) => {}
            }
        }
        under_way.push(async move {
            let posted = Instant::now();
            let taken = sender.post(event).await.is_ok_and(|response| response.status().is_success());
            Answer { took: posted.elapsed(), taken }
        });
    }
    while let Some(answer) = under_way.next().await {
        done.push(answer);
    }
    done
}

/// Below what the `share` of these sorted durations lies, in milliseconds.
pub fn ms_at(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(0.0, |it| it.as_secs_f64() * 1000.0)
}
