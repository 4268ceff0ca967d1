//! Counts the changes of each table, for the streams of all open pages.
//!
//! While any stream is open, one connection of the process listens to the tables' notifications (`docs/live-changes.md`).
//! Only one transaction that notifies can commit at a time, so events send no notifications, and other tables only if their
//! triggers are installed: the process polls for the newest rows by index, and for Postgres' counters of changed rows.
//! Neither costs more with more streams.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use sqlx::FromRow;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolOptions};
use tokio::sync::watch;
use tokio::time::sleep;
use uuid::Uuid;

use crate::database;
use crate::lifecycle::Lifecycle;

/// The channel of the notifications.
const CHANNEL: &str = "memberflow_changes";
/// Between attempts to listen.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Between two polls.
const POLL_EVERY: Duration = Duration::from_secs(2);
/// What changes with each table that sends no notifications: the last entry of an index, the few rows that can change, or
/// counters of changed rows.
const NEWEST: &str = "
select 'events' as table, concat_ws(' ',
    (select max(applied_at) from ingest.events where applied_at is not null),
    (select max(dead_at) from ingest.events where state = 'dead'),
    (select max(next_attempt_at) from ingest.events where state = 'pending' and not alone)) as mark
union all select 'parked', (select max(parked_at) from ingest.parked)::text
union all select 'audit_log', (select max(at) from ingest.audit_log)::text
union all select 'jobs', concat_ws(' ', (select max(id) from ingest.jobs),
    (select string_agg(concat_ws(' ', id, state), ' ' order by id) from ingest.jobs
     where state in ('waiting', 'running')))
union all select 'job_progress', (select string_agg(concat_ws(' ', id, part, done), ' ' order by id) from ingest.jobs
    where state = 'running')
union all select t.name, case when not exists (
        select from pg_trigger g where g.tgrelid = r.id and g.tgname = 'memberflow_notify_inserts')
    then concat_ws(' ', pg_stat_get_tuples_inserted(r.id), pg_stat_get_tuples_updated(r.id),
                   pg_stat_get_tuples_deleted(r.id)) end
from unnest($1::text[]) as t (name)
cross join lateral (select to_regclass('public.' || t.name)::oid as id) r";
/// The tables that are polled by Postgres' counters, which show a commit within ten seconds, unless they notify.
const COUNTED: [&str; 10] = [
    "customer_subscriptions",
    "payment_history",
    "user_revenue_metrics",
    "user_activity_metrics",
    "support_tickets",
    "support_ticket_replies",
    "sms_messages",
    "marketing_campaigns",
    "leads",
    "mrr_movements",
];

/// How often each table has changed, as far as this process knows; under an empty name, how often any of them may have.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts(Arc<BTreeMap<String, u64>>);

impl Counts {
    /// How often any of `tables` has changed.
    pub(super) fn of(&self, tables: &[String]) -> u64 {
        let of_one = |name: &str| self.0.get(name).copied().unwrap_or_default();
        tables.iter().map(|table| of_one(table)).sum::<u64>() + of_one("")
    }
}

/// A table that sends no notifications, and what identifies its present state.
#[derive(Debug, PartialEq, Eq, FromRow)]
struct Newest {
    table: String,
    mark: Option<String>,
}

/// The counts that all streams share. Cheap to clone.
#[derive(Clone)]
pub(in crate::console) struct Changes {
    /// Of the process, which ends the streams with it.
    pub(super) lifecycle: Lifecycle,
    pub(super) counts: watch::Sender<Counts>,
    is_running: Arc<AtomicBool>,
    /// Distinguishes the counts of this process from those of another.
    pub(super) process: Uuid,
}

impl Changes {
    pub(in crate::console) fn new(lifecycle: &Lifecycle) -> Self {
        let (counts, _) = watch::channel(Counts::default());
        Self { lifecycle: lifecycle.clone(), counts, is_running: Arc::default(), process: Uuid::new_v4() }
    }

    /// Subscribes to the counts. The first subscription starts listening and polling.
    pub(super) fn subscribe(&self, pool: &PgPool) -> watch::Receiver<Counts> {
        let receiver = self.counts.subscribe();
        if !self.is_running.swap(true, Ordering::SeqCst) {
            // Changes before this were not counted: a page that reconnects may have missed some.
            self.notify("");
            let (changes, pool) = (self.clone(), pool.clone());
            self.lifecycle.tasks.spawn(async move { changes.run_while_subscribed(pool).await });
        }
        receiver
    }

    async fn run_while_subscribed(self, pool: PgPool) {
        let options = pool.connect_options();
        loop {
            let running = async {
                tokio::select! {
                    () = self.counts.closed() => {}
                    () = self.keep_listening(&options) => {}
                    () = self.keep_polling(&pool) => {}
                }
            };
            if self.lifecycle.until_stopping(running).await.is_none() {
                return;
            }
            self.is_running.store(false, Ordering::SeqCst);
            // Somebody may have subscribed in between.
            if self.counts.receiver_count() == 0 || self.is_running.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }

    async fn keep_listening(&self, options: &PgConnectOptions) {
        loop {
            if let Err(error) = self.listen(options).await {
                tracing::debug!(%error, "not listening for changes, will retry");
            }
            sleep(RETRY_AFTER).await;
        }
    }

    async fn listen(&self, options: &PgConnectOptions) -> Result<(), sqlx::Error> {
        // On its own connection: pages share theirs.
        let pool = database::without_delay(PgPoolOptions::new().max_connections(1))
            .connect_lazy_with(options.clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            match listener.try_recv().await? {
                Some(notification) => self.notify(&table_of(notification.payload())),
                // The connection was lost and is open again.
                None => self.notify(""),
            }
        }
    }

    async fn keep_polling(&self, pool: &PgPool) {
        let mut last: Option<Vec<Newest>> = None;
        loop {
            match sqlx::query_as(NEWEST).bind(COUNTED).fetch_all(pool).await {
                Ok(newest) => self.notify_differing(last.replace(newest).as_deref(), last.as_deref()),
                Err(error) => tracing::debug!(%error, "poll for changes failed, will retry"),
            }
            sleep(POLL_EVERY).await;
        }
    }

    /// Notifies of each table that is not as `before`.
    fn notify_differing(&self, before: Option<&[Newest]>, now: Option<&[Newest]>) {
        for (before, now) in before.into_iter().flatten().zip(now.into_iter().flatten()) {
            if before != now {
                self.notify(&now.table);
            }
        }
    }

    /// Counts a change of `table`, or of every table if it is empty, and wakes the streams.
    pub(super) fn notify(&self, table: &str) {
        self.counts
            .send_modify(|Counts(counts)| *Arc::make_mut(counts).entry(table.to_owned()).or_default() += 1);
    }
}

/// The table of a notification: `{"table": …, "members": […]}`. Empty if the payload is of a later version.
fn table_of(payload: &str) -> String {
    #[derive(Deserialize)]
    struct Notification {
        table: String,
    }
    serde_json::from_str(payload).map_or_else(|_| String::new(), |Notification { table }| table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_is_notified_of_its_tables_and_of_unknown_ones() {
        let changes = Changes::new(&Lifecycle::default());
        let tables = ["support_tickets".to_owned(), "sms_messages".to_owned()];
        for (payload, expected) in [
            (r#"{"table": "support_tickets", "members": []}"#, 1),
            (r#"{"table": "payment_history", "members": null}"#, 1),
            (r#"{"table": "sms_messages", "members": null}"#, 2),
            ("of a later version", 3),
        ] {
            changes.notify(&table_of(payload));
            assert_eq!(changes.counts.borrow().of(&tables), expected, "{payload}");
        }
    }

    #[test]
    fn polled_table_notifies_once_its_newest_row_differs() {
        let changes = Changes::new(&Lifecycle::default());
        let newest = |mark: &str| {
            [("events", Some(mark.to_owned())), ("parked", None)]
                .map(|(table, mark)| Newest { table: table.to_owned(), mark })
        };
        let count = |table: &str| changes.counts.borrow().of(&[table.to_owned()]);
        let polls = ["1", "1", "2"].map(newest);
        changes.notify_differing(None, Some(&polls[0]));
        changes.notify_differing(Some(&polls[0]), Some(&polls[1]));
        assert_eq!(count("events"), 0);
        changes.notify_differing(Some(&polls[1]), Some(&polls[2]));
        assert_eq!((count("events"), count("parked")), (1, 0));
    }
}
