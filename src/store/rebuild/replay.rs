//! Derives the rows that selected events affect again in shadow tables, with everything connected with them, compares them
//! with the live ones and repairs those.
//!
//! The selected events are replayed in subsets. Each is compared in one transaction that blocks nobody. If something
//! differs, it is derived once more under the derivation lock and fixed in the same transaction. So a subset is only as
//! large as consumers may wait for.
//!
//! The values of a subset also depend on its subscriptions' prices, coupons and discounts. They are resolved from their
//! events like the rest, and used to value, but neither compared nor fixed: many others may depend on them. If the
//! selected events are about a price or a coupon, it is fixed in their subset, and the customers that depend on it follow
//! in subsets of their own.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use time::OffsetDateTime;

use super::resolve::in_pages;
use super::selection::{self, SelectedEvent};
use super::subset::{self, Subset};
use super::{
    Counts, Rebuild, RebuildError, Selection, begin_shadow, compare, derive, repair, resolve, seed, shadow,
};
use crate::store::audit::{self, Act};
use crate::store::events::{self, EventKey};
use crate::store::{StoreSettings, locks};

/// Selected events, or dependent customers, per subset.
const ROOTS: usize = 100;

/// What is still to be replayed.
#[derive(Debug)]
pub struct ReplayQueue {
    events: Vec<SelectedEvent>,
    /// Customers that depend on a price or a coupon that a selected event is about.
    dependents: BTreeSet<String>,
    /// The ids of the customer and of the member that the selection is about.
    owners: Vec<String>,
    /// The ids of all subsets before.
    done: BTreeSet<String>,
    total: usize,
}

impl ReplayQueue {
    /// How many events were selected.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// How many of them are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.events.len()
    }
}

/// The outcome of replaying a subset.
#[derive(Debug, Default)]
pub struct SubsetReport {
    /// Events resolved.
    pub events: u64,
    /// Events whose bodies were pruned.
    pub pruned: u64,
    /// Events that can't be decoded (any more).
    pub unreadable: u64,
    /// Stripe's customers.
    pub customers: u64,
    /// Users without a customer.
    pub users: u64,
    /// How many rows differed, by live table.
    pub differing: Counts,
}

impl Rebuild {
    /// Begins a replay, with empty shadow tables.
    ///
    /// # Errors
    /// [`RebuildError`]; nothing was changed then.
    pub async fn begin_replay(store: &crate::store::Store) -> Result<Self, RebuildError> {
        let mut rebuild = Self::on_empty_tables(store).await?;
        // Everything is found by index, whatever the planner believes.
        rebuild
            .connection
            .execute("set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off")
            .await?;
        store.recompute_due().await?;
        Ok(rebuild)
    }

    /// Finds the selected events.
    ///
    /// # Errors
    /// [`RebuildError`]; that no event is selected, too.
    pub async fn select(&mut self, selection: &Selection) -> Result<ReplayQueue, RebuildError> {
        let mut tx = self.connection.begin().await?;
        let events = selection.find(&mut tx).await?;
        tx.commit().await?;
        if events.is_empty() {
            return Err(RebuildError::NothingSelected);
        }
        let total = events.len();
        let owners = selection.owner_ids().collect();
        Ok(ReplayQueue { events, dependents: BTreeSet::new(), owners, done: BTreeSet::new(), total })
    }

    /// Replays the next subset: derives and compares it, and fixes it where it differs unless this is only a `check`;
    /// `None` at the end. The audit log says of each that was fixed that `actor` did so.
    ///
    /// # Errors
    /// [`RebuildError`]; nothing of the subset was changed then.
    pub async fn replay_next(
        &mut self,
        queue: &mut ReplayQueue,
        check: bool,
        actor: &str,
        arguments: &Value,
    ) -> Result<Option<SubsetReport>, RebuildError> {
        let Some(roots) = self.next_roots(queue).await? else { return Ok(None) };
        if roots.is_empty() {
            return Ok(Some(SubsetReport::default()));
        }
        let (now, settings) = (self.clock().now(), self.settings().clone());
        let mut tx = begin_shadow(&mut self.connection, "begin isolation level repeatable read").await?;
        let (mut report, subset) = derive_subset(&mut tx, roots, &settings, now).await?;
        compare::find_lasting(&mut tx, &settings, now).await?;
        report.differing = compare::count(&mut tx).await?;
        tx.commit().await?;
        let ids: BTreeSet<String> = subset.ids.into_iter().collect();
        if !check && !report.differing.is_empty() {
            let mut tx = begin_shadow(&mut self.connection, "begin").await?;
            locks::lock(&mut tx).await?;
            super::Tables::Shadow.set_search_path(&mut tx).await?;
            (report, _) = derive_subset(&mut tx, ids.clone(), &settings, now).await?;
            report.differing = repair::fix(&mut tx, &settings, now).await?;
            let outcome = json!({"differing": report.differing});
            let act = Act { actor, act: "replay", arguments: arguments.clone(), outcome };
            audit::record(&mut tx, act, now).await?;
            tx.commit().await?;
        }
        queue.done.extend(ids);
        Ok(Some(report))
    }

    /// The ids that the next subset begins with; empty if earlier subsets contain them all, `None` at the end.
    async fn next_roots(
        &mut self,
        queue: &mut ReplayQueue,
    ) -> Result<Option<BTreeSet<String>>, RebuildError> {
        let mut roots: BTreeSet<String> = queue.owners.drain(..).collect();
        if !queue.events.is_empty() {
            let page = queue.events.split_off(queue.events.len().saturating_sub(ROOTS));
            let mut tx = self.connection.begin().await?;
            roots.extend(selection::ids_in(&mut tx, &page, &self.store.settings).await?);
            queue.dependents.extend(subset::dependent_customers(&mut tx, &roots).await?);
            tx.commit().await?;
        } else if !queue.dependents.is_empty() {
            roots.extend((0..ROOTS).map_while(|_| queue.dependents.pop_first()));
        } else if roots.is_empty() {
            return Ok(None);
        }
        roots.retain(|id| !queue.done.contains(id));
        Ok(Some(roots))
    }
}

/// Derives the subset connected with `roots` in the shadow tables, which contain nothing else that is compared.
async fn derive_subset(
    tx: &mut PgConnection,
    mut roots: BTreeSet<String>,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<(SubsetReport, Subset), sqlx::Error> {
    loop {
        shadow::empty(tx).await?;
        let subset = subset::find_connected(tx, roots, settings).await?;
        let pruned = seed::seed_subset(tx, settings).await?;
        let mut report = SubsetReport { pruned, ..SubsetReport::default() };
        resolve_events(tx, &subset.events, Some(&subset.ids), settings, now, &mut report).await?;
        resolve_dependencies(tx, settings, now, &mut report).await?;
        resolve::finish_resolving_in(tx, now).await?;
        tx.execute(KNOWN_USERS).await?;
        report.customers = derive::find_customers_in(tx).await?;
        let mut last = String::new();
        while derive::derive_customers_after(tx, &mut last, settings, now).await? > 0 {}
        report.users = derive::find_users_in(tx).await?;
        let mut last = uuid::Uuid::nil();
        while derive::derive_users_after(tx, &mut last, settings, now).await? > 0 {}
        let missing = subset::missing_ids(tx).await?;
        if missing.is_empty() {
            return Ok((report, subset));
        }
        roots = subset.ids.into_iter().chain(missing).collect();
    }
}

/// Resolves the events with these keys. `ids`: only what they report about these.
async fn resolve_events(
    tx: &mut PgConnection,
    keys: &[EventKey],
    ids: Option<&HashSet<String>>,
    settings: &StoreSettings,
    now: OffsetDateTime,
    report: &mut SubsetReport,
) -> Result<(), sqlx::Error> {
    for page in in_pages(keys) {
        let events = events::by_keys(tx, &page).await?;
        let resolved = resolve::resolve_and_park(tx, &events, ids, settings, now).await?;
        report.events += resolved.events as u64;
        report.unreadable += resolved.unreadable as u64;
    }
    tx.execute("analyze stripe_facts; analyze stripe_links; analyze row_facts; analyze logins").await?;
    Ok(())
}

/// Resolves the prices, coupons and discounts that the subset's objects depend on, and what those depend on.
async fn resolve_dependencies(
    tx: &mut PgConnection,
    settings: &StoreSettings,
    now: OffsetDateTime,
    report: &mut SubsetReport,
) -> Result<(), sqlx::Error> {
    let mut checked = Vec::new();
    loop {
        let unknown: Vec<String> = sqlx::query_scalar(
            "select distinct l.id from stripe_links l
             where not exists (select from stripe_facts f where f.id = l.id) and l.id <> all ($1)",
        )
        .bind(&checked)
        .fetch_all(&mut *tx)
        .await?;
        if unknown.is_empty() {
            return Ok(());
        }
        seed::seed_objects(tx, &unknown).await?;
        let events: Vec<EventKey> = sqlx::query_as(
            "select i.source, i.event_id from unnest($1::text[]) as u (id)
             cross join lateral (select * from ingest.events i where i.subject = u.id offset 0) i
             where i.state = 'applied' and i.pruned_at is null order by 1, 2",
        )
        .bind(&unknown)
        .fetch_all(&mut *tx)
        .await?;
        resolve_events(tx, &events, None, settings, now, report).await?;
        checked.extend(unknown);
    }
}

/// The users ever seen are known from more than events; copies those that the subset names.
const KNOWN_USERS: &str = "
    insert into users
    select u.* from (
        select distinct c.id::uuid as id from claims cross join unnest(claimed_users) as c (id)
        where c.id ~ '^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$'
        union select user_id from customer_emails where user_id is not null
        union select id from scope where id is not null
    ) n
    cross join lateral (select * from ingest.users u where u.id = n.id offset 0) u
    on conflict do nothing";
