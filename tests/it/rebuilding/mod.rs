//! `memberflow rebuild`: derives shadow tables from the events, compares them with the live ones, and repairs
//! those.

mod command;
mod damage;
mod from_inbox;
mod partial_replays;
mod pruned;
mod repairing;
mod retention;
mod standing;
mod traffic;

use fastrand::Rng;
use memberflow::clock::Clock;
use memberflow::envelope::Envelope;
use memberflow::ops::fixture::SignsUp;
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild::{self, Report};
use memberflow::store::rebuild::{RebuildError, RowDifference};
use memberflow::store::{Store, StoreSettings};
use time::OffsetDateTime;
use time::macros::datetime;

use crate::support::database::TestDatabase;
use crate::support::population::Population;

const NOW: OffsetDateTime = datetime!(2026-11-20 12:00 UTC);

/// A population and the database for its events.
struct PopulatedApp {
    database: TestDatabase,
    store: Store,
    population: Population,
    rounds: usize,
}

impl PopulatedApp {
    /// Members of so many rounds, signed up; no event yet.
    async fn found(rounds: usize) -> Self {
        let populated = Self::on(TestDatabase::migrated().await, rounds);
        populated.begin().await;
        populated
    }

    /// With all their events applied, in an order of chance: a copy of what the first test made that wanted so many rounds.
    async fn lived(rounds: usize) -> Self {
        let what = format!("rebuilding: {rounds} rounds");
        let database = TestDatabase::prepared(&what, async |database| {
            let populated = Self::on(database, rounds);
            populated.begin().await;
            apply(&populated.store, populated.shuffled(rounds as u64)).await;
            populated.end().await;
            populated.database
        })
        .await;
        Self::on(database, rounds)
    }

    fn on(database: TestDatabase, rounds: usize) -> Self {
        let store = store(&database, NOW);
        Self { database, store, population: Population::read(), rounds }
    }

    async fn begin(&self) {
        self.population.insert_tiers(&self.database.pool).await;
        for round in 0..self.rounds {
            self.population.sign_up(&self.database.pool, round, SignsUp::Before).await;
        }
    }

    fn shuffled(&self, seed: u64) -> Vec<Envelope> {
        let mut events: Vec<_> =
            (0..self.rounds).flat_map(|round| self.population.events(round, NOW)).collect();
        Rng::with_seed(seed).shuffle(&mut events);
        events
    }

    /// Those sign up who do so after their events, and what waited for them is applied.
    async fn end(&self) {
        for round in 0..self.rounds {
            self.population.sign_up(&self.database.pool, round, SignsUp::AfterEvents).await;
        }
        while self.store.recompute_due().await.unwrap() > 0 {}
    }

    async fn execute(&self, statement: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&self.database.pool).await.unwrap();
    }

    /// What a query gives, as text.
    async fn text(&self, query: &str) -> String {
        let text = format!("select coalesce(string_agg(q::text, ' ' order by q::text), '') from ({query}) q");
        sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_one(&self.database.pool).await.unwrap()
    }

    async fn check(&self) -> (Report, Vec<RowDifference>) {
        run(&self.store, true).await.unwrap()
    }

    async fn rebuild(&self) -> (Report, Vec<RowDifference>) {
        run(&self.store, false).await.unwrap()
    }

    async fn assert_sound(&self, when: &str) {
        let (report, differences) = self.check().await;
        assert_eq!(differences, [], "{when}");
        assert_eq!(report.differing_rows(), 0, "{when}");
    }
}

fn store(database: &TestDatabase, now: OffsetDateTime) -> Store {
    Store::new(
        database.pool.clone(),
        Clock::fixed(now),
        StoreSettings::new(&crate::support::config(database.url())),
    )
}

async fn apply(store: &Store, events: Vec<Envelope>) {
    for batch in events.chunks(101) {
        store.apply(batch).await.unwrap();
    }
}

async fn run(store: &Store, check: bool) -> Result<(Report, Vec<RowDifference>), RebuildError> {
    let mut differences = Vec::new();
    let show = |difference| {
        differences.push(difference);
        true
    };
    let report = rebuild::run(store, check, &mut Progress::Silent, show).await?;
    Ok((report, differences))
}
