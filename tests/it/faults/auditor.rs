//! Looks at the database from outside once all faults are over: is everything there, once, and true?

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::envelope::Source;
use memberflow::store::{Rules, Store};
use sqlx::PgPool;
use tokio::time::sleep;

use super::sender::Name;
use super::town::Town;
use crate::lives::life::Life;
use crate::lives::world::{NOW, moment};
use crate::lives::{compare, tables};

/// The longest that what was accepted may take until it is applied.
const DEADLINE: Duration = Duration::from_secs(180);

/// Every event in the inbox that came from outside, and what is left over.
#[derive(Debug)]
pub struct Account {
    pub taken: usize,
    pub inbox: usize,
    pub dead: usize,
}

/// Waits until all of `taken` are in the inbox and nothing is on its way.
pub async fn all_applied(town: &Town, taken: &BTreeSet<Name>) {
    let deadline = Instant::now() + DEADLINE;
    let pool = town.pool();
    loop {
        let there = inbox(&pool).await;
        let waiting: i64 =
            sqlx::query_scalar("select count(*) from ingest.outbox").fetch_one(&pool).await.unwrap();
        let missing: Vec<&Name> = taken.difference(&there).collect();
        if missing.is_empty() && waiting == 0 {
            return;
        }
        let shown = &missing[..missing.len().min(20)];
        assert!(
            Instant::now() < deadline,
            "LOST: {} events answered 2xx are not in the inbox, {waiting} wait in the outbox: {shown:?}\n{}",
            missing.len(),
            town.last_words()
        );
        sleep(Duration::from_millis(500)).await;
    }
}

async fn inbox(pool: &PgPool) -> BTreeSet<Name> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("select source, event_id from ingest.inbox where source <> 'internal'")
            .fetch_all(pool)
            .await
            .unwrap();
    rows.into_iter().map(|(source, id)| (source.parse::<Source>().unwrap(), id)).collect()
}

/// Everything that must hold, of a town whose processes have stopped.
pub async fn audit(town: &Town, lives: &[&Life], taken: &BTreeSet<Name>) -> Account {
    let pool = town.pool();
    let there = inbox(&pool).await;
    let dead = sqlx::query_as("select event_id, reason from ingest.dead_letters").fetch_all(&pool);
    let dead: Vec<(String, String)> = dead.await.unwrap();
    assert!(dead.is_empty(), "events that anybody can apply are dead letters: {dead:?}");
    assert_eq!(there.difference(taken).count(), 0, "the inbox holds what nobody sent");
    assert_eq!(taken.difference(&there).count(), 0, "LOST");

    // Each applied once: what the events make of empty tables is what the tables say.
    assert_eq!(town.run(&["rebuild", "--check"]).await, Some(0), "the tables are not what the events make");
    let sums: Vec<(String, i64, i64)> = sqlx::query_as(SUMS).fetch_all(&pool).await.unwrap();
    assert!(!sums.is_empty());
    for (currency, moved, mrr) in sums {
        assert_eq!(moved, mrr, "the movements in {currency} against MRR");
    }
    // And what they say is true, at the moment of which the model speaks.
    let config = Config::new(town.servers.database_url());
    let store = Store::new(pool.clone(), Clock::fixed(moment(NOW)), Rules::new(&config));
    recompute(&store, &pool).await;
    let mut said = tables::read(&pool).await;
    // The processes' clock is the real one: what it has ended since then is in the ledger, too.
    said.entry("mrr_movements".to_owned()).or_default().retain(|line| effective_at(line) <= NOW);
    let differences = compare::differences(lives, &said);
    for (number, said) in &differences {
        eprintln!("life {number}:\n{said}");
    }
    assert!(differences.is_empty(), "{} lives are not told as they were", differences.len());
    Account { taken: taken.len(), inbox: there.len(), dead: dead.len() }
}

/// When a line of the ledger took effect.
fn effective_at(movement: &str) -> i64 {
    movement.split(" at=").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap()
}

/// The sum of all present movements, and of all MRR, by currency.
const SUMS: &str = "
    select currency, coalesce(sum(moved), 0)::bigint, coalesce(sum(mrr), 0)::bigint from (
        select currency::text, delta as moved, 0 as mrr from public.mrr_movements where superseded_at is null
        union all
        select currency::text, 0, mrr from ingest.customer_revenue
    ) as both_sides group by currency";

async fn recompute(store: &Store, pool: &PgPool) {
    let customers: Vec<String> =
        sqlx::query_scalar("select id from ingest.customers").fetch_all(pool).await.unwrap();
    let users = sqlx::query_scalar("select id from auth.users").fetch_all(pool).await.unwrap();
    store.recompute(customers.into_iter().collect(), users.into_iter().collect()).await.unwrap();
    while store.recompute_due().await.unwrap() > 0 {}
}
