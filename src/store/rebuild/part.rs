//! A part of the tables derived again in shadow tables, compared with the live ones and repaired: what chosen events, and what
//! is connected with them, affect.
//!
//! Each part is compared in one transaction that blocks nobody. Only where something differs it is derived once
//! more, under the projection's lock, and fixed in the same transaction. So a part is as large as consumers may wait for.
//!
//! Besides itself, the values of a part depend on its subscriptions' prices, coupons and discounts. They are resolved
//! from their events like the rest, and valued with, but neither compared nor fixed: many others may depend on them. Where
//! the chosen events are about a price or a coupon, it is fixed as a part, and whoever depends on it follows in parts of
//! their own.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use time::OffsetDateTime;

use super::resolve::{EventName, in_pages};
use super::scope::{self, Scope};
use super::selection::{self, Chosen};
use super::{
    Counts, Rebuild, RebuildError, Selection, begin_shadow, compare, derive, repair, resolve, seed, shadow,
};
use crate::store::audit::{self, Act};
use crate::store::{Rules, events, locks};

/// Chosen events, or dependents, that make up a part with everything connected with them.
const ROOTS: usize = 100;

/// What is to be derived again.
#[derive(Debug)]
pub struct Parts {
    chosen: Vec<Chosen>,
    /// Customers that depend on a price or a coupon that was chosen.
    dependents: BTreeSet<String>,
    /// The customer and the member that the events are about.
    somebody: Vec<String>,
    /// All names of the parts before.
    done: BTreeSet<String>,
    total: usize,
}

impl Parts {
    /// How many events were chosen.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// How many of them are left.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.chosen.len()
    }
}

/// What came of a part.
#[derive(Debug, Default)]
pub struct Part {
    /// Events resolved.
    pub events: u64,
    /// Events whose bodies were pruned.
    pub pruned: u64,
    /// Events that can't be read (any more).
    pub unreadable: u64,
    /// Stripe's customers.
    pub customers: u64,
    /// Users without a customer.
    pub users: u64,
    /// How many rows differed, by live table.
    pub differing: Counts,
}

impl Rebuild {
    /// Begins without anything in the shadow tables: for parts.
    ///
    /// # Errors
    /// [`RebuildError`]; nothing was changed then.
    pub async fn begin_parts(store: &crate::store::Store) -> Result<Self, RebuildError> {
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
    pub async fn choose(&mut self, selection: &Selection) -> Result<Parts, RebuildError> {
        let mut tx = self.connection.begin().await?;
        let chosen = selection.choose(&mut tx).await?;
        tx.commit().await?;
        if chosen.is_empty() {
            return Err(RebuildError::NothingSelected);
        }
        let total = chosen.len();
        let somebody = selection.somebody().collect();
        Ok(Parts { chosen, dependents: BTreeSet::new(), somebody, done: BTreeSet::new(), total })
    }

    /// Derives the next part and compares it, and fixes it where it differs unless this is only a `check`; none at the end.
    /// The audit log says of each that was fixed that `actor` did so.
    ///
    /// # Errors
    /// [`RebuildError`]; nothing of the part was changed then.
    pub async fn next_part(
        &mut self,
        parts: &mut Parts,
        check: bool,
        actor: &str,
        arguments: &Value,
    ) -> Result<Option<Part>, RebuildError> {
        let Some(roots) = self.next_roots(parts).await? else { return Ok(None) };
        if roots.is_empty() {
            return Ok(Some(Part::default()));
        }
        let (now, rules) = (self.clock().now(), self.rules().clone());
        let mut tx = begin_shadow(&mut self.connection, "begin isolation level repeatable read").await?;
        let (mut part, scope) = derive_part(&mut tx, roots, &rules, now).await?;
        compare::find_settled(&mut tx, &rules, now).await?;
        part.differing = compare::count(&mut tx).await?;
        tx.commit().await?;
        let roots = scope.names.into_iter().collect();
        if !check && !part.differing.is_empty() {
            let mut tx = begin_shadow(&mut self.connection, "begin").await?;
            locks::lock(&mut tx).await?;
            super::Tables::Shadow.set_search_path(&mut tx).await?;
            part = derive_part(&mut tx, BTreeSet::clone(&roots), &rules, now).await?.0;
            part.differing = repair::fix(&mut tx, &rules, now).await?;
            let outcome = json!({"differing": part.differing});
            let act = Act { actor, act: "replay", arguments: arguments.clone(), outcome };
            audit::record(&mut tx, act, now).await?;
            tx.commit().await?;
        }
        parts.done.extend(roots);
        Ok(Some(part))
    }

    /// The names that the next part begins with, empty where earlier ones hold them all; none at the end.
    async fn next_roots(&mut self, parts: &mut Parts) -> Result<Option<BTreeSet<String>>, RebuildError> {
        let mut roots: BTreeSet<String> = parts.somebody.drain(..).collect();
        if !parts.chosen.is_empty() {
            let page = parts.chosen.split_off(parts.chosen.len().saturating_sub(ROOTS));
            let mut tx = self.connection.begin().await?;
            roots.extend(selection::names(&mut tx, &page, &self.store.rules).await?);
            parts.dependents.extend(scope::dependents(&mut tx, &roots).await?);
            tx.commit().await?;
        } else if !parts.dependents.is_empty() {
            roots.extend((0..ROOTS).map_while(|_| parts.dependents.pop_first()));
        } else if roots.is_empty() {
            return Ok(None);
        }
        roots.retain(|name| !parts.done.contains(name));
        Ok(Some(roots))
    }
}

/// Makes the shadow tables hold the part connected with `names`, and nothing else that is compared.
async fn derive_part(
    tx: &mut PgConnection,
    mut names: BTreeSet<String>,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<(Part, Scope), sqlx::Error> {
    loop {
        shadow::empty(tx).await?;
        let scope = scope::gather(tx, names, rules).await?;
        let pruned = seed::plant_part(tx, rules).await?;
        let mut part = Part { pruned, ..Part::default() };
        resolve_events(tx, &scope.events, Some(&scope), rules, now, &mut part).await?;
        resolve_dependencies(tx, rules, now, &mut part).await?;
        resolve::add_up_in(tx, now).await?;
        tx.execute(KNOWN_USERS).await?;
        part.customers = derive::find_customers_in(tx).await?;
        let mut last = String::new();
        while derive::page_of_customers(tx, &mut last, rules, now).await? > 0 {}
        part.users = derive::find_users_in(tx).await?;
        let mut last = uuid::Uuid::nil();
        while derive::page_of_users(tx, &mut last, rules, now).await? > 0 {}
        let missed = scope::missed(tx).await?;
        if missed.is_empty() {
            return Ok((part, scope));
        }
        names = scope.names.into_iter().chain(missed).collect();
    }
}

/// Resolves events of these names; of what is reported a scope, only that.
async fn resolve_events(
    tx: &mut PgConnection,
    names: &[EventName],
    scope: Option<&Scope>,
    rules: &Rules,
    now: OffsetDateTime,
    part: &mut Part,
) -> Result<(), sqlx::Error> {
    for page in in_pages(names) {
        let events = events::named(tx, &page).await?;
        let names = scope.map(|scope| &scope.names);
        let resolved = resolve::page_of(tx, &events, names, rules, now).await?;
        part.events += resolved.events as u64;
        part.unreadable += resolved.unreadable as u64;
    }
    tx.execute("analyze stripe_facts; analyze stripe_links; analyze row_facts; analyze logins").await?;
    Ok(())
}

/// Resolves the prices, coupons and discounts that the part's objects depend on, and what those depend on.
async fn resolve_dependencies(
    tx: &mut PgConnection,
    rules: &Rules,
    now: OffsetDateTime,
    part: &mut Part,
) -> Result<(), sqlx::Error> {
    let mut asked = Vec::new();
    loop {
        let unknown: Vec<String> = sqlx::query_scalar(
            "select distinct l.id from stripe_links l
             where not exists (select from stripe_facts f where f.id = l.id) and l.id <> all ($1)",
        )
        .bind(&asked)
        .fetch_all(&mut *tx)
        .await?;
        if unknown.is_empty() {
            return Ok(());
        }
        seed::plant_objects(tx, &unknown).await?;
        let events: Vec<EventName> = sqlx::query_as(
            "select i.source, i.event_id from unnest($1::text[]) as u (id)
             cross join lateral (select * from ingest.events i where i.subject = u.id offset 0) i
             where i.state = 'applied' and i.pruned_at is null order by 1, 2",
        )
        .bind(&unknown)
        .fetch_all(&mut *tx)
        .await?;
        resolve_events(tx, &events, None, rules, now, part).await?;
        asked.extend(unknown);
    }
}

/// Who was ever seen is known from more than events; of all of them those are needed whom something names.
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
