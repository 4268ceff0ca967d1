//! Checks the database once all faults are over: everything is there, once, and right. That no error is
//! overlooked is tested in `planted`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::envelope::Source;
use memberflow::ops::progress::Progress;
use memberflow::ops::rebuild;
use memberflow::store::{Store, StoreSettings};
use sqlx::PgPool;
use tokio::time::sleep;

use super::cluster::Cluster;
use super::sender::Name;
use crate::simulation::history::History;
use crate::simulation::state::{NOW, moment};
use crate::simulation::{compare, tables};

/// The longest that what was accepted may take until it is applied.
const DEADLINE: Duration = Duration::from_secs(180);

/// Pending events, including those of another version.
const WAITING: &str = "
    select (select count(*) from ingest.events where state = 'pending')
         + (select count(*) from ingest.outbox) + (select count(*) from ingest.failing)";

/// Differing rows that are shown, at most.
const SHOWN: usize = 20;

/// Waits until all of `taken` are applied and nothing is on its way.
pub async fn all_applied(cluster: &Cluster, taken: &BTreeSet<Name>) {
    let deadline = Instant::now() + DEADLINE;
    let pool = cluster.pool();
    loop {
        let there = applied(&pool).await;
        let waiting: i64 = sqlx::query_scalar(WAITING).fetch_one(&pool).await.unwrap();
        let missing: Vec<&Name> = taken.difference(&there).collect();
        if missing.is_empty() && waiting == 0 {
            return;
        }
        let shown = &missing[..missing.len().min(20)];
        if Instant::now() >= deadline {
            let count = missing.len();
            let lost = format!("LOST: {count} events answered 2xx are not applied, {waiting} are pending");
            cluster.give_up(&format!("{lost}: {shown:?}")).await;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

async fn applied(pool: &PgPool) -> BTreeSet<Name> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select source, event_id from ingest.events where state = 'applied' and source <> 'internal'",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    rows.into_iter().map(|(source, id)| (source.parse::<Source>().unwrap(), id)).collect()
}

/// The input of an audit, with no process running.
pub struct Audit<'a> {
    pub pool: PgPool,
    pub config: Config,
    /// By which the tables were derived.
    pub clock: Clock,
    pub histories: &'a [&'a History],
    /// The acknowledged events.
    pub taken: &'a BTreeSet<Name>,
}

impl Audit<'_> {
    /// All errors, one line each.
    pub async fn findings(&self) -> Vec<String> {
        let mut findings = self.of_events().await;
        findings.extend(self.of_a_rebuild().await);
        findings.extend(self.of_the_ledger().await);
        findings.extend(self.of_the_histories().await);
        findings
    }

    /// All that was taken is applied, nothing else is, and nothing died.
    async fn of_events(&self) -> Vec<String> {
        let there = applied(&self.pool).await;
        let dead = sqlx::query_as(
            "select event_id, reason from ingest.events where state = 'dead'
             union all select event_id, reason from ingest.dead_letters order by 1",
        );
        let dead: Vec<(String, String)> = dead.fetch_all(&self.pool).await.unwrap();
        let lost = self.taken.difference(&there).map(|(source, id)| format!("LOST: {source} {id}"));
        let unsent =
            there.difference(self.taken).map(|(source, id)| format!("sent by nobody: {source} {id}"));
        let dead = dead.into_iter().map(|(id, reason)| format!("dead: {id}: {reason}"));
        lost.chain(unsent).chain(dead).collect()
    }

    /// Each applied once: what the events make of empty tables is what the tables say.
    async fn of_a_rebuild(&self) -> Vec<String> {
        let store = Store::new(self.pool.clone(), self.clock.clone(), StoreSettings::new(&self.config));
        let mut shown = Vec::new();
        let show = |difference| {
            shown.push(format!("not what the events make: {difference:?}"));
            shown.len() < SHOWN
        };
        let report = rebuild::run(&store, true, &mut Progress::Silent, show).await.unwrap();
        if report.differing_rows() > 0 {
            shown.push(format!("rows that are not what the events make: {:?}", report.differing));
        }
        shown
    }

    async fn of_the_ledger(&self) -> Vec<String> {
        let sums: Vec<(String, i64, i64)> = sqlx::query_as(SUMS).fetch_all(&self.pool).await.unwrap();
        if sums.is_empty() {
            return vec!["ledger: it is empty".to_owned()];
        }
        let differing = sums.into_iter().filter(|(_, moved, mrr)| moved != mrr);
        differing
            .map(|(currency, moved, mrr)| format!("ledger: {currency} moved by {moved}, but MRR is {mrr}"))
            .collect()
    }

    /// The tables match the model at its moment.
    async fn of_the_histories(&self) -> Vec<String> {
        let store =
            Store::new(self.pool.clone(), Clock::fixed(moment(NOW)), StoreSettings::new(&self.config));
        recompute(&store, &self.pool).await;
        let mut said = tables::read(&self.pool).await;
        // The processes' clock is the real one: what it has ended since then is in the ledger, too.
        said.entry("mrr_movements".to_owned()).or_default().retain(|line| effective_at(line) <= NOW);
        let differences = compare::differences(self.histories, &said);
        differences
            .into_iter()
            .map(|(number, said)| format!("history {number} is not emitted as it was:\n{said}"))
            .collect()
    }
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
