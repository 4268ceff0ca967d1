//! The database and the queues that lives are delivered to, emptied between two deliveries.

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::lifecycle::Lifecycle;
use memberflow::queue::Queue;
use memberflow::store::{Rules, Store};
use sqlx::AssertSqlSafe;

use super::life::Life;
use super::world::{Act, NOW, Tier, moment};
use crate::support::broker::{TestBroker, broker_url};
use crate::support::database::TestDatabase;
use crate::support::edge::eventually;

/// Events that a queue gives at once: few, so that one order makes many batches.
const BATCH_MAX_EVENTS: usize = 150;

/// A database and its queues, used for one delivery after the other.
pub struct Bench {
    pub database: TestDatabase,
    pub store: Store,
    pub embedded: Queue,
    pub broker: Queue,
    lifecycle: Lifecycle,
    _names: TestBroker,
}

impl Bench {
    pub async fn new() -> Self {
        let database = TestDatabase::migrated().await;
        let names = TestBroker::new();
        let mut config = Config::new(database.url());
        config.queue_prefix = names.prefix.clone();
        config.batch_max_events = BATCH_MAX_EVENTS;
        let lifecycle = Lifecycle::default();
        let store = Store::new(database.pool.clone(), Clock::fixed(moment(NOW)), Rules::new(&config));
        let embedded = Queue::open(&config, database.pool.clone(), &lifecycle).unwrap();
        config.amqp_url = Some(broker_url().into());
        let broker = Queue::open(&config, database.pool.clone(), &lifecycle).unwrap();
        // Until then events would be kept in the outbox, which is the other queue's way.
        eventually("the broker's queue", async || {
            broker.health().await.iter().all(|(_, health)| health.is_ok()).then_some(())
        })
        .await;
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
             where schemaname in ('ingest', 'public') and tablename <> 'schema_migrations'
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

    /// What happens to the database itself at the beginning of `phase`.
    pub async fn act(&self, lives: &[&Life], phase: usize) {
        let mut tx = memberflow::database::begin(&self.database.pool).await.unwrap();
        let acts = lives.iter().flat_map(|life| &life.acts).filter(|(at, _)| *at == phase);
        for (_, act) in acts {
            let query = match act {
                Act::SignUp { id, email, confirmed } => sqlx::query(
                    "insert into auth.users (instance_id, id, email, email_confirmed_at)
                     values ('00000000-0000-0000-0000-000000000000', $1, $2, case when $3 then now() end)",
                )
                .bind(id)
                .bind(email)
                .bind(confirmed),
                Act::Change { id, email, confirmed } => sqlx::query(
                    "update auth.users set email = $2, email_confirmed_at = case when $3 then now() end where id = $1",
                )
                .bind(id)
                .bind(email)
                .bind(confirmed),
                Act::Delete { id } => sqlx::query("delete from auth.users where id = $1").bind(id),
                Act::NameTier(Tier { id, name, price, product }) => sqlx::query(
                    "insert into public.membership_tiers (id, name, stripe_price_id, stripe_product_id)
                     values ($1, $2, $3, $4)",
                )
                .bind(id)
                .bind(name)
                .bind(price)
                .bind(product),
            };
            query.execute(&mut *tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// What stood in the tables before, which switching on reads in.
    pub async fn find(&self, lives: &[&Life]) {
        for found in lives.iter().flat_map(|life| &life.found) {
            sqlx::query(
                "insert into public.customer_subscriptions
                     (id, user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id, stripe_price_id,
                      status, created_at, canceled_at)
                 select $1, $2, t.id, $3, $4, $5, $6::public.subscription_status, to_timestamp($7),
                        case when $6 = 'canceled' then to_timestamp($7 + 86400) end
                 from public.membership_tiers t where t.stripe_price_id = $5",
            )
            .bind(found.id)
            .bind(found.user)
            .bind(&found.customer)
            .bind(&found.subscription)
            .bind(&found.price)
            .bind(found.status)
            .bind(found.created)
            .execute(&self.database.pool)
            .await
            .unwrap();
        }
        for (user, status) in lives.iter().flat_map(|life| &life.by_hand) {
            let insert =
                "insert into public.user_activity_metrics (user_id, engagement_status) values ($1, $2)";
            sqlx::query(insert).bind(user).bind(status).execute(&self.database.pool).await.unwrap();
        }
        self.store.switch_on().await.unwrap();
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
