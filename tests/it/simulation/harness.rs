//! The database and the queues that histories are delivered to, emptied between two deliveries.

use memberflow::clock::Clock;
use memberflow::lifecycle::Lifecycle;
use memberflow::queue::Queue;
use memberflow::store::{Store, StoreSettings};
use sqlx::AssertSqlSafe;

use super::acts;
use super::history::History;
use super::state::{NOW, moment};
use crate::support::broker::{TestBroker, broker_url};
use crate::support::database::TestDatabase;
use crate::support::receiver::eventually;

/// Events that a queue gives at once: few, so that one order makes many batches.
const BATCH_MAX_EVENTS: usize = 150;

/// A database and its queues, used for one delivery after the other.
pub struct Harness {
    pub database: TestDatabase,
    pub store: Store,
    pub embedded: Queue,
    pub broker: Queue,
    lifecycle: Lifecycle,
    _names: TestBroker,
}

impl Harness {
    pub async fn new() -> Self {
        let database = TestDatabase::migrated().await.with_connections(6);
        let names = TestBroker::new();
        let mut config = crate::support::config(database.url());
        config.queue_prefix = names.prefix.clone();
        config.batch_max_events = BATCH_MAX_EVENTS;
        let lifecycle = Lifecycle::default();
        let store = Store::new(database.pool.clone(), Clock::fixed(moment(NOW)), StoreSettings::new(&config));
        let open = |config: &memberflow::config::Config| {
            Queue::open(config, database.pool.clone(), database.pool.clone(), &lifecycle)
        };
        let embedded = open(&config).unwrap();
        config.amqp_url = Some(broker_url().into());
        let broker = open(&config).unwrap();
        // Until then events would be kept in Postgres, which is the other queue's way.
        eventually("the broker's queue", async || broker.broker_state().unwrap().ok()).await;
        Self { database, store, embedded, broker, lifecycle, _names: names }
    }

    /// Ends the queues' tasks, in good time.
    pub async fn stop(self) {
        self.lifecycle.shutdown(std::time::Duration::from_secs(30)).await.unwrap();
    }

    /// Empties all tables that hold anything.
    pub async fn reset(&self) {
        let tables: Vec<String> = sqlx::query_scalar(
            "select schemaname || '.' || tablename from pg_tables
             where schemaname in ('ingest', 'public') and tablename not in ('schema_migrations', 'ticket_settings')
             union all select 'auth.users'",
        )
        .fetch_all(&self.database.pool)
        .await
        .unwrap();
        let asked: Vec<String> = tables
            .iter()
            .map(|table| format!("select '{table}' where exists (select from {table})"))
            .collect();
        let held: Vec<String> = sqlx::query_scalar(AssertSqlSafe(asked.join(" union all ")))
            .fetch_all(&self.database.pool)
            .await
            .unwrap();
        if !held.is_empty() {
            let truncate = format!("truncate {} cascade", held.join(", "));
            sqlx::query(AssertSqlSafe(truncate)).execute(&self.database.pool).await.unwrap();
        }
    }

    /// Pre-existing rows, which the first start imports.
    pub async fn import_preexisting(&self, histories: &[&History]) {
        acts::insert_preexisting(&self.database.pool, histories).await;
        self.store.initial_import().await.unwrap();
    }

    /// What waits for a minute to pass.
    pub async fn catch_up(&self) {
        for _ in 0..50 {
            if self.store.recompute_due().await.unwrap() == 0 {
                return;
            }
        }
        panic!("something stays due for ever");
    }
}
