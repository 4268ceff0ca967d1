//! Delivering lives: in any order, in any batches, more than once, to two consumers, through a queue or not.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::envelope::Envelope;
use memberflow::lifecycle::Lifecycle;
use memberflow::queue::Queue;
use memberflow::store::{Rules, Store};
use tokio::time::timeout;

use super::model::{self, Tables};
use super::story;
use super::world::{Act, Found, NOW, PHASES, Tier, Told, World, moment};
use crate::support::broker::{TestBroker, broker_url};
use crate::support::database::TestDatabase;

/// Longer than any delivery may take, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// A life that is ready to be told, with what the tables must say in the end.
pub struct Life {
    pub number: u16,
    pub seed: u64,
    pub told: Vec<Told>,
    pub acts: Vec<(usize, Act)>,
    pub found: Vec<Found>,
    pub by_hand: Vec<(uuid::Uuid, &'static str)>,
    pub expected: Tables,
}

impl Life {
    pub fn new(number: u16, seed: u64) -> Self {
        Self::of(story::life(number, seed), seed)
    }

    pub fn of(world: World, seed: u64) -> Self {
        let expected = model::tables(&world);
        let World { number, told, acts, found, by_hand, .. } = world;
        Self { number, seed, told, acts, found, by_hand: by_hand.into_iter().collect(), expected }
    }
}

/// The way that events take to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `Store::apply`, with batches of this size at most, by so many consumers at once.
    Direct {
        batch: usize,
        consumers: usize,
    },
    Postgres,
    RabbitMq,
}

/// A database and its queues, used for one delivery after the other.
pub struct Bench {
    pub database: TestDatabase,
    store: Store,
    lifecycle: Lifecycle,
    queues: Vec<(Way, Queue)>,
    _broker: TestBroker,
}

impl Bench {
    pub async fn new() -> Self {
        let database = TestDatabase::migrated().await;
        let broker = TestBroker::new();
        let mut config = Config::new(database.url());
        config.queue_prefix = broker.prefix.clone();
        let lifecycle = Lifecycle::default();
        let store = Store::new(database.pool.clone(), Clock::fixed(moment(NOW)), Rules::new(&config));
        let embedded = Queue::open(&config, database.pool.clone(), &lifecycle).unwrap();
        config.amqp_url = Some(broker_url().into());
        let broker_queue = Queue::open(&config, database.pool.clone(), &lifecycle).unwrap();
        let queues = vec![(Way::Postgres, embedded), (Way::RabbitMq, broker_queue)];
        Self { database, store, lifecycle, queues, _broker: broker }
    }

    /// Ends the queues' tasks, in good time.
    pub async fn stop(self) {
        self.lifecycle.shutdown(DEADLINE).await.unwrap();
    }

    /// Empties the tables and delivers `lives` in an order that `rng` decides.
    pub async fn deliver<'a>(&self, lives: impl Iterator<Item = &'a Life> + Clone, rng: &mut Rng, way: Way) {
        self.reset().await;
        let mut phases: Vec<Vec<Envelope>> = vec![Vec::new(); PHASES];
        for told in lives.clone().flat_map(|life| &life.told) {
            let copies = if rng.u32(0..100) < 12 { rng.usize(2..4) } else { 1 };
            for _ in 0..copies {
                phases[rng.usize(told.phase..PHASES)].push(told.envelope.clone());
            }
        }
        for (phase, mut events) in phases.into_iter().enumerate() {
            self.act(lives.clone(), phase).await;
            if phase == 0 {
                self.find(lives.clone()).await;
            }
            rng.shuffle(&mut events);
            self.send(events, rng, way).await;
            if rng.bool() {
                self.store.recompute_due().await.unwrap();
            }
        }
        self.catch_up().await;
    }

    /// What waits for a minute to pass.
    pub async fn catch_up(&self) {
        for _ in 0..50 {
            if self.store.recompute_due().await.unwrap() == 0 {
                return;
            }
        }
        eprintln!("something stays due for ever");
    }

    async fn send(&self, events: Vec<Envelope>, rng: &mut Rng, way: Way) {
        let Way::Direct { batch, consumers } = way else { return self.queue(events, way).await };
        let mut parts: Vec<Vec<Vec<Envelope>>> = vec![vec![Vec::new()]; consumers];
        for event in events {
            let part = rng.choice(&mut parts).unwrap();
            if part.last().unwrap().len() >= rng.usize(1..=batch) {
                part.push(Vec::new());
            }
            part.last_mut().unwrap().push(event);
        }
        join_all(parts.into_iter().map(|part| self.apply_all(part))).await;
    }

    /// Applies one batch after the other.
    pub async fn apply_all(&self, batches: Vec<Vec<Envelope>>) {
        for batch in batches {
            let applied = self.store.apply(batch).await.unwrap();
            assert_eq!(applied.dead, 0, "an event that nobody can read");
        }
    }

    async fn queue(&self, events: Vec<Envelope>, way: Way) {
        let (_, queue) = self.queues.iter().find(|(of, _)| *of == way).unwrap();
        let total = events.len();
        for part in events.chunks(200) {
            let accepted = join_all(part.iter().map(|event| queue.accept(event.clone()))).await;
            accepted.into_iter().for_each(|one| one.unwrap());
        }
        let done = AtomicUsize::new(0);
        let both = join_all((0..2).map(|_| self.consume(queue, &done, total)));
        timeout(DEADLINE, both).await.expect("everything accepted is delivered");
    }

    /// Takes batches until `total` events are settled. Each waits a moment at most, since the other may
    /// settle the last.
    async fn consume(&self, queue: &Queue, done: &AtomicUsize, total: usize) {
        let mut consumer = queue.consumer().await.unwrap();
        while done.load(Ordering::SeqCst) < total {
            let Ok(batch) = timeout(Duration::from_millis(50), consumer.next_batch()).await else { continue };
            let batch = batch.unwrap();
            let count = batch.envelopes.len();
            self.store.apply(batch.envelopes.clone()).await.unwrap();
            batch.ack().await.unwrap();
            done.fetch_add(count, Ordering::SeqCst);
        }
    }

    pub async fn reset(&self) {
        let tables: Vec<String> = sqlx::query_scalar(
            "select schemaname || '.' || tablename from pg_tables
             where schemaname = 'ingest' and tablename <> 'schema_migrations'",
        )
        .fetch_all(&self.database.pool)
        .await
        .unwrap();
        let all = format!(
            "truncate {}, auth.users, public.membership_tiers, public.mrr_movements cascade",
            tables.join(", ")
        );
        sqlx::query(sqlx::AssertSqlSafe(all)).execute(&self.database.pool).await.unwrap();
    }

    /// What happens to the database itself at the beginning of `phase`.
    pub async fn act<'a>(&self, lives: impl Iterator<Item = &'a Life>, phase: usize) {
        let mut tx = memberflow::database::begin(&self.database.pool).await.unwrap();
        let acts = lives.flat_map(|life| &life.acts).filter(|(at, _)| *at == phase);
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
    async fn find<'a>(&self, lives: impl Iterator<Item = &'a Life> + Clone) {
        for found in lives.clone().flat_map(|life| &life.found) {
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
        for (user, status) in lives.flat_map(|life| &life.by_hand) {
            let insert =
                "insert into public.user_activity_metrics (user_id, engagement_status) values ($1, $2)";
            sqlx::query(insert).bind(user).bind(status).execute(&self.database.pool).await.unwrap();
        }
        self.store.switch_on().await.unwrap();
    }

    /// What the tables say, in the model's words.
    pub async fn read(&self) -> BTreeMap<&'static str, Vec<String>> {
        let mut tables = BTreeMap::new();
        for (table, select) in SELECTS {
            let rows = sqlx::query_scalar(select).fetch_all(&self.database.pool).await.unwrap();
            tables.insert(table, rows);
        }
        tables
    }
}

/// How each table's rows become lines. Moments are Unix seconds, a login's microseconds.
const SELECTS: [(&str, &str); 7] = [
    (
        "customer_subscriptions",
        "select format('user=%s tier=%s customer=%s subscription=%s price=%s status=%s period=%s..%s cancels=%s '
             || 'canceled=%s trial=%s..%s created=%s',
             user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id, stripe_price_id, status,
             extract(epoch from current_period_start)::bigint, extract(epoch from current_period_end)::bigint,
             case when cancel_at_period_end then 'true' else 'false' end, extract(epoch from canceled_at)::bigint,
             extract(epoch from trial_start)::bigint, extract(epoch from trial_end)::bigint,
             extract(epoch from created_at)::bigint)
         from public.customer_subscriptions",
    ),
    (
        "payment_history",
        "select format('user=%s subscription=%s intent=%s invoice=%s amount=%s refunded=%s disputed=%s currency=%s '
             || 'status=%s paid=%s created=%s',
             h.user_id, s.stripe_subscription_id, h.stripe_payment_intent_id, h.stripe_invoice_id, h.amount,
             h.amount_refunded, h.amount_disputed, h.currency, h.status, extract(epoch from h.paid_at)::bigint,
             extract(epoch from h.created_at)::bigint)
         from public.payment_history h left join public.customer_subscriptions s on s.id = h.subscription_id",
    ),
    (
        "user_revenue_metrics",
        "select format('user=%s tier=%s status=%s start=%s months=%s mrr=%s ltv=%s spent=%s currency=%s',
             user_id, subscription_tier, subscription_status, extract(epoch from subscription_start_date)::bigint,
             months_subscribed, mrr, ltv, total_spent, currency)
         from public.user_revenue_metrics",
    ),
    (
        "user_revenue_by_currency",
        "select format('user=%s currency=%s mrr=%s ltv=%s spent=%s', user_id, currency, mrr, ltv, total_spent)
         from public.user_revenue_by_currency",
    ),
    (
        "user_activity_metrics",
        "select format('user=%s last=%s days=%s engagement=%s health=%s logins=%s files=%s mb=%s visions=%s '
             || 'journal=%s profile=%s',
             user_id, (extract(epoch from last_login_at) * 1000000)::bigint, days_since_last_login,
             engagement_status, health_status, total_logins, s3_file_count, total_storage_mb, vision_count,
             journal_entry_count, profile_completion_percent)
         from public.user_activity_metrics",
    ),
    (
        "mrr_movements",
        "select format('customer=%s user=%s currency=%s at=%s kind=%s delta=%s mrr=%s..%s', customer_id, user_id,
             currency, extract(epoch from effective_at)::bigint, kind, delta, mrr_before, mrr_after)
         from public.mrr_movements where superseded_at is null",
    ),
    ("parked", "select format('subject=%s reason=%s', subject, reason) from ingest.parked"),
];
