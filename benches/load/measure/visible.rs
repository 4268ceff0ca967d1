//! When an event's effect is seen by somebody else: a connection of its own reads `public.payment_history` again and
//! again. A payment's row and the member's sums are one transaction, so whoever sees the row sees the metrics.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep};

use super::post::Shown;

/// Between two polls: the resolution of the figures.
const POLL_EVERY: Duration = Duration::from_millis(1);
/// Events that one poll looks for, the longest waiting first.
const POLLED_AT_ONCE: usize = 500;
/// If none becomes visible for this long, the rest is given up.
const PATIENCE: Duration = Duration::from_secs(30);

const ROWS: &str =
    "select stripe_invoice_id, status from public.payment_history where stripe_invoice_id = any($1)";

/// Events whose effect is waited for.
#[derive(Default)]
pub struct Follower {
    waiting: Mutex<Vec<(Shown, Instant)>>,
    all_posted: AtomicBool,
}

impl Follower {
    pub fn follow(&self, shown: Shown, posted: Instant) {
        self.waiting.lock().unwrap().push((shown, posted));
    }

    /// No more will follow.
    pub fn all_posted(&self) {
        self.all_posted.store(true, Ordering::Relaxed);
    }

    /// How long each took, sorted, and how many were given up.
    pub async fn watch(&self, url: &str) -> (Vec<Duration>, usize) {
        let mut connection = PgConnection::connect(url).await.unwrap();
        let (mut took, mut last) = (Vec::new(), Instant::now());
        loop {
            let ended = self.all_posted.load(Ordering::Relaxed);
            let invoices: Vec<String> = {
                let waiting = self.waiting.lock().unwrap();
                waiting.iter().take(POLLED_AT_ONCE).map(|(shown, _)| shown.invoice_id.clone()).collect()
            };
            if invoices.is_empty() {
                if ended {
                    break;
                }
                last = Instant::now();
            } else {
                let rows: Vec<(String, String)> =
                    sqlx::query_as(ROWS).bind(invoices).fetch_all(&mut connection).await.unwrap();
                let now = Instant::now();
                let seen = self.take(&rows, now);
                if !seen.is_empty() {
                    last = now;
                }
                took.extend(seen);
            }
            if last.elapsed() > PATIENCE {
                break;
            }
            sleep(POLL_EVERY).await;
        }
        connection.close().await.ok();
        took.sort();
        let given_up = self.waiting.lock().unwrap().len();
        (took, given_up)
    }

    /// Takes out what `rows` show.
    fn take(&self, rows: &[(String, String)], now: Instant) -> Vec<Duration> {
        let status: HashMap<&str, &str> =
            rows.iter().map(|(invoice, status)| (invoice.as_str(), status.as_str())).collect();
        let is_shown = |shown: &Shown| {
            status.get(shown.invoice_id.as_str()).is_some_and(|status| !shown.paid || *status == "succeeded")
        };
        let mut seen = Vec::new();
        self.waiting.lock().unwrap().retain(|(shown, posted)| {
            let gone = is_shown(shown);
            if gone {
                seen.push(now.saturating_duration_since(*posted));
            }
            !gone
        });
        seen
    }
}

/// Below what the `share` of these sorted durations lies, in milliseconds.
pub fn ms_at(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).map_or(f64::INFINITY, |it| it.as_secs_f64() * 1000.0)
}
