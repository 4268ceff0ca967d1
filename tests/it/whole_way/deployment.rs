//! A test's own database and queues, and the expected tables once all fixtures are applied.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use memberflow::clock::Clock;
use memberflow::dev::demo;
use memberflow::ops::fixture::{self, FixtureEvent, Scenario, SignsUp};
use memberflow::store::{Store, StoreSettings};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::time::{Instant, sleep};

use crate::support::broker::{TestBroker, broker_url};
use crate::support::database::TestDatabase;
use crate::support::dump::{self, Dump};
use crate::support::events::envelope;
use crate::support::process::Settings;
use crate::support::receiver::{PUBLIC_URL, STRIPE_SECRETS, SUPABASE_SECRETS, TWILIO_TOKENS};

/// Longer than anything here may take, also on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(90);
/// The moment at which tables are compared: what depends on the clock is computed again for it.
pub const NOW: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);

/// Which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    RabbitMq,
    Postgres,
}

/// Everything that a service needs, and the fixtures' members.
pub struct Deployment {
    pub database: TestDatabase,
    pub broker: Option<TestBroker>,
    pub scenarios: Vec<Scenario>,
}

impl Deployment {
    /// A migrated database with the fixtures' tiers and those members who sign up before the events.
    pub async fn new(kind: Kind) -> Self {
        rustls::crypto::ring::default_provider().install_default().ok();
        let deployment = Self::on(TestDatabase::migrated().await, kind);
        deployment.begin().await;
        deployment
    }

    fn on(database: TestDatabase, kind: Kind) -> Self {
        let scenarios = fixture::scenarios(&fixtures_folder()).unwrap();
        let broker = (kind == Kind::RabbitMq).then(TestBroker::new);
        Self { database, broker, scenarios }
    }

    /// What there is before the events.
    async fn begin(&self) {
        let tiers = fixture::tiers(&fixtures_folder()).unwrap();
        demo::insert_tiers(&self.database.pool, &tiers).await.unwrap();
        self.sign_up(SignsUp::Before).await;
    }

    async fn sign_up(&self, when: SignsUp) {
        let members = self.scenarios.iter().flat_map(|scenario| &scenario.members);
        let members: Vec<_> = members.filter(|member| member.signs_up == when).collect();
        demo::sign_up(&self.database.pool, &members).await.unwrap();
        // Fixed ids, so that databases can be compared.
        let same = "update public.user_profiles set id = md5(user_id::text)::uuid, updated_at = '2026-01-01'";
        sqlx::query(same).execute(&self.database.pool).await.unwrap();
        // Trigger events are not part of these tests.
        sqlx::query("delete from ingest.events where state = 'pending'")
            .execute(&self.database.pool)
            .await
            .unwrap();
    }

    /// The settings of a service.
    pub fn settings(&self) -> Settings {
        let broker = self.broker.as_ref();
        vec![
            ("DATABASE_URL", self.database.url()),
            ("AMQP_URL", broker.map_or_else(String::new, |_| broker_url())),
            ("MEMBERFLOW_QUEUE_PREFIX", broker.map_or("unused".to_owned(), |broker| broker.prefix.clone())),
            ("STRIPE_WEBHOOK_SECRETS", STRIPE_SECRETS.to_owned()),
            ("SUPABASE_WEBHOOK_SECRETS", SUPABASE_SECRETS.to_owned()),
            ("TWILIO_AUTH_TOKENS", TWILIO_TOKENS.to_owned()),
            ("MEMBERFLOW_PUBLIC_URL", PUBLIC_URL.to_owned()),
        ]
    }

    /// [`Deployment::settings`] with another value for `name`.
    pub fn settings_with(&self, name: &'static str, value: String) -> Settings {
        let mut settings = self.settings();
        settings.retain(|(other, _)| *other != name);
        settings.push((name, value));
        settings
    }

    /// Every event of the fixtures.
    pub fn events(&self) -> Vec<FixtureEvent> {
        self.scenarios.iter().flat_map(|scenario| scenario.events.iter().cloned()).collect()
    }

    /// The number that a query gives.
    pub async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.database.pool).await.unwrap()
    }

    /// Waits until all of `ids` are applied.
    pub async fn applied(&self, ids: &BTreeSet<String>) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let there = sqlx::query_scalar("select event_id from ingest.events where state = 'applied'");
            let there: Vec<String> = there.fetch_all(&self.database.pool).await.unwrap();
            let there: BTreeSet<String> = there.into_iter().collect();
            let missing: Vec<_> = ids.difference(&there).collect();
            if missing.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "accepted, but never applied: {missing:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Everything in the tables once the last members have come, as of [`NOW`].
    pub async fn tables(&self) -> Dump {
        self.end().await;
        self.dump().await
    }

    /// Signs up the last members, and derives everything as of [`NOW`].
    async fn end(&self) {
        self.sign_up(SignsUp::AfterEvents).await;
        let store = self.store();
        while store.recompute_due().await.unwrap() > 0 {}
        let pool = &self.database.pool;
        let customers = sqlx::query_scalar("select id from ingest.customers");
        let customers: Vec<String> = customers.fetch_all(pool).await.unwrap();
        let users = sqlx::query_scalar("select id from auth.users").fetch_all(pool).await.unwrap();
        store.recompute(customers.into_iter().collect(), users.into_iter().collect()).await.unwrap();
    }

    async fn dump(&self) -> Dump {
        let mut tables = dump::everything(&self.database.pool).await;
        tables.insert("ingest.inbox".to_owned(), self.events_applied().await);
        tables
    }

    /// The events without the moments of the deliveries themselves.
    async fn events_applied(&self) -> Vec<String> {
        let rows = "select concat_ws(' ', source, event_id, event_type, subject, md5(body))
                    from ingest.events where state = 'applied' and source <> 'internal' order by 1";
        sqlx::query_scalar(rows).fetch_all(&self.database.pool).await.unwrap()
    }

    fn store(&self) -> Store {
        let settings = StoreSettings::new(&crate::support::config(self.database.url()));
        Store::new(self.database.pool.clone(), Clock::fixed(NOW), settings)
    }

    /// The tables after applying the events directly, in order.
    async fn tables_of_direct_application() -> Dump {
        let database = TestDatabase::prepared("whole_way: applied directly", async |database| {
            let deployment = Self::on(database, Kind::Postgres);
            deployment.begin().await;
            let store = deployment.store();
            store.initial_import().await.unwrap();
            for events in deployment.events().chunks(40) {
                let events: Vec<_> = events.iter().map(|event| envelope(event, NOW)).collect();
                store.apply(&events).await.unwrap();
            }
            deployment.end().await;
            deployment.database
        })
        .await;
        Self::on(database, Kind::Postgres).dump().await
    }
}

/// The folder of the fixtures.
pub fn fixtures_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// The ids of events.
pub fn ids<'a>(events: impl IntoIterator<Item = &'a FixtureEvent>) -> BTreeSet<String> {
    events.into_iter().map(|event| event.event_id.clone()).collect()
}

/// Fails where `tables` differ from what direct application gives; the moment of switching on aside.
pub async fn assert_as_if_applied_directly(deployment: &Deployment, when: &str) {
    let mut expected: BTreeMap<_, _> = Deployment::tables_of_direct_application().await;
    let mut actual = deployment.tables().await;
    for tables in [&mut expected, &mut actual] {
        tables.remove("ingest.switched_on");
    }
    dump::assert_same(&expected, &actual, when);
}
