//! Applying a batch: one transaction from the inbox to the public tables.
//!
//! The steps stand in [`Store::apply`]. From the moment that the facts are read until the commit, one
//! transaction at a time holds the projection's lock: what one batch derives always sees what all
//! batches before it stored, and writers cannot wait for each other in a circle. Reading the events and
//! writing their bytes, which is most of the work, goes on in parallel before it.

use std::collections::BTreeSet;

use sqlx::{PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::derived::Tables;
use super::facts::{Settled, Told};
use super::members::{Active, Context, Sources};
use super::news::{News, read_all};
use super::parked::{self, LookedAt, Parked};
use super::payments::ChangedPayments;
use super::uncounted::Uncounted;
use super::unrecognised::Unrecognised;
use super::versions::Since;
use super::{
    Rules, Store, StoreError, activity, catalogue, claims, customers, dead_letters, emails, facts, inbox,
    leads, members, money, movements, payment_history, payments, subscriptions, versions, worth,
};
use crate::database;
use crate::envelope::Envelope;
use crate::project::movements::BEGINNING;
use crate::project::stripe::StripeObject;

/// "memberflo" in ASCII: the advisory lock under which facts and projections change.
const PROJECTION_LOCK: i64 = 0x6d65_6d62_6572_666c;

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Events applied now.
    pub new: usize,
    /// Events that were applied before.
    pub repeated: usize,
    /// Events that can't be read: dead letters now.
    pub dead: usize,
}

/// What must be derived anew.
#[derive(Debug, Default)]
pub struct Touched {
    pub customers: BTreeSet<String>,
    /// Users whose revenue and activity may have changed.
    pub users: BTreeSet<Uuid>,
    /// Users whose activity alone may have changed.
    pub active: BTreeSet<Uuid>,
    pub payments: ChangedPayments,
    /// Objects of whose state there was news.
    pub objects: BTreeSet<String>,
    pub parked: Vec<Parked>,
    /// Customers whose payments' rows are to be written whether or not they changed.
    pub anew: BTreeSet<String>,
    /// From when on the customers' ledgers are to be worked out anew.
    pub since: Since,
}

impl Touched {
    /// Whether anything can have changed but activity.
    fn reaches_revenue(&self) -> bool {
        !(self.customers.is_empty()
            && self.users.is_empty()
            && self.objects.is_empty()
            && self.payments.written.is_empty()
            && self.payments.removed.is_empty())
    }
}

impl Store {
    /// Applies `batch`, all of it or nothing, each event once however often it comes.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps. Nothing is written then.
    pub async fn apply(&self, batch: Vec<Envelope>) -> Result<Applied, StoreError> {
        let now = self.clock.now();
        let total = batch.len();
        let (events, dead) = read_all(batch, &self.rules);
        let mut tx = database::begin(&self.pool).await?;
        dead_letters::insert(&mut tx, &dead, now).await?;
        let mut new = inbox::insert(&mut tx, events, now).await?;
        let applied = Applied { new: new.len(), repeated: total - new.len() - dead.len(), dead: dead.len() };
        let uncounted = Uncounted::take_from(&mut new);
        let unrecognised = Unrecognised::of(&new);
        if !new.is_empty() {
            lock(&mut tx).await?;
            unrecognised.write(&mut tx).await?;
            let news = News::sort(new);
            let touched = settle(&mut tx, news, &self.rules, now).await?;
            derive(&mut tx, Tables::Live, touched, &self.rules, now).await?;
        }
        tx.commit().await?;
        uncounted.count();
        unrecognised.count();
        Ok(applied)
    }

    /// Keeps events that can never be applied, each with its reason.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps. Nothing is written then.
    pub async fn bury(&self, dead: Vec<(Envelope, String)>) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await?;
        Ok(dead_letters::insert(&mut connection, &dead, self.clock.now()).await?)
    }

    /// Derives the rows of these customers and users anew, without an event: the clock, a tier or a user
    /// has changed what they say.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps. Nothing is written then.
    pub async fn recompute(
        &self,
        customers: BTreeSet<String>,
        users: BTreeSet<Uuid>,
    ) -> Result<(), StoreError> {
        self.derive_anew(Touched { customers, users, ..Touched::default() }).await
    }

    pub(super) async fn derive_anew(&self, touched: Touched) -> Result<(), StoreError> {
        let mut tx = database::begin(&self.pool).await?;
        lock(&mut tx).await?;
        derive(&mut tx, Tables::Live, touched, &self.rules, self.clock.now()).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The connections and the moment: for what is derived beside events.
    pub(super) fn parts(&self) -> (&PgPool, OffsetDateTime) {
        (&self.pool, self.clock.now())
    }
}

/// Applies `events` of our own in a transaction that has the projection's turn.
pub(super) async fn within(
    tx: &mut PgConnection,
    events: Vec<Envelope>,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let (events, dead) = read_all(events, rules);
    dead_letters::insert(tx, &dead, now).await?;
    let new = inbox::insert(tx, events, now).await?;
    if new.is_empty() {
        return Ok(());
    }
    let touched = settle(tx, News::sort(new), rules, now).await?;
    derive(tx, Tables::Live, touched, rules, now).await
}

/// Waits for the projection's turn, which lasts until the transaction ends, and names its tables.
pub(super) async fn lock(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock($1), set_config('search_path', $2, true)")
        .bind(PROJECTION_LOCK)
        .bind(Tables::Live.search_path())
        .execute(tx)
        .await?;
    Ok(())
}

/// Facts first: what each object is now, and whom that touches.
pub(super) async fn settle(
    tx: &mut PgConnection,
    news: News,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<Touched, sqlx::Error> {
    let mut touched =
        Touched { users: news.claimed(), active: news.owners().collect(), ..Touched::default() };
    payments::link(tx, &links(&news.stripe)).await?;
    let Settled { changed, since, claims } = facts::settle_stripe(tx, news.stripe, &rules.reading).await?;
    touched.customers = claims::write(tx, news.claims.into_iter().chain(claims).collect()).await?;
    touched.customers.extend(emails::write(tx, news.emails).await?);
    touched.parked = parked::thin(tx, &news.thin, changed.keys()).await?;
    touched.objects = news.thin;
    touched.objects.extend(changed.keys().cloned());
    for fact in changed.values() {
        let states = fact.before.iter().chain([&fact.after]);
        touched.customers.extend(states.filter_map(|state| state.customer_id()).map(ToOwned::to_owned));
    }
    touched.since = since;
    for customer in versions::of_known_terms(tx, &changed).await? {
        touched.since.insert(customer, BEGINNING);
    }
    touched.customers.extend(touched.since.keys().cloned());
    touched.payments = payments::settle(tx, &changed).await?;
    touched.customers.extend(touched.payments.customers().map(ToOwned::to_owned).collect::<Vec<_>>());

    let mut differences = activity::Differences::new();
    let rows = facts::settle_rows(tx, news.rows, &rules.reading).await?;
    activity::count_rows(&rows, &rules.reading.tables, &mut differences);
    activity::settle_logins(tx, &news.logins, &mut differences).await?;
    activity::write(tx, &differences).await?;
    touched.active.extend(differences.keys());
    let owners = rows.values().flat_map(|fact| fact.before.iter().chain([&fact.after]));
    touched.active.extend(owners.filter_map(|row| row.user_id));

    let gone: Vec<Uuid> = news.users.iter().filter(|user| user.is_gone).map(|user| user.user_id).collect();
    claims::remember_gone(tx, &gone, now).await?;
    let seen: BTreeSet<Uuid> = news.users.iter().map(|user| user.user_id).collect();
    let emails = news.users.into_iter().flat_map(|user| user.emails).collect();
    touched.customers.extend(claims::naming(tx, &seen, &emails).await?);
    touched.users.extend(seen);
    Ok(touched)
}

/// What the `told` objects belong to and hang on. Taken from every report, whether or not it becomes the fact:
/// what the table of links holds then depends on the set of events alone.
fn links(told: &[Told<StripeObject>]) -> BTreeSet<(String, String)> {
    let states = told.iter().map(|told| &told.report.state);
    states.flat_map(|state| catalogue::links(state).into_iter().chain(payments::edges(state))).collect()
}

/// Then everything that is derived from them: owners, values, sums, rows. A user of whom only activity was told has
/// the same revenue as before.
pub(super) async fn derive(
    tx: &mut PgConnection,
    tables: Tables,
    mut touched: Touched,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let active: BTreeSet<Uuid> = touched.active.difference(&touched.users).copied().collect();
    let moments = tables.moments(tx, &active).await?;
    let context = Context { rules, now, moments: &moments };
    let Active { mut members, due } = members::active(tx, &active, &context).await?;
    touched.users.extend(due);
    if touched.reaches_revenue() {
        let derived = derive_revenue(tx, tables, touched, rules, now).await?;
        members.retain(|member| !derived.contains(&member.user_id));
    }
    members::write_activity(tx, &members, &context).await
}

/// Returns the users whose rows were derived, those of their activity included.
async fn derive_revenue(
    tx: &mut PgConnection,
    tables: Tables,
    touched: Touched,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<BTreeSet<Uuid>, sqlx::Error> {
    let Touched { mut customers, mut users, payments, objects, parked, mut anew, since, .. } = touched;
    let mut owners = customers::decide_owners(tx, &customers, rules.matching, now).await?;
    if tables == Tables::Live {
        customers::record(tx, std::mem::take(&mut owners.matches), now).await?;
    }
    users.extend(owners.before.iter().chain(&owners.named));
    let users: BTreeSet<Uuid> =
        claims::present(tx, &users.into_iter().collect::<Vec<_>>()).await?.into_iter().collect();
    let by_customer = customers::of_users(tx, &users).await?;
    let touched_customers = customers.clone();
    customers.extend(by_customer.keys().cloned());

    let since = versions::due(tx, since, &customers, now).await?;
    let (worth, catalogue) = worth::value(tx, &customers, now).await?;
    let placed = subscriptions::place(tx, worth).await?;
    let before = money::load(tx, &customers).await?;
    let after = sums(&before, &payments, &placed);
    money::write(tx, &before, &after).await?;
    movements::revise(tx, &since, catalogue, &by_customer, now).await?;
    movements::assign(tx, &owners.moved, &by_customer).await?;

    let new_rows = subscriptions::write(tx, &placed, &by_customer, now).await?;
    anew.extend(owners.moved.iter().cloned().chain(new_rows));
    let history = payment_history::write(tx, &payments, &anew, &by_customer).await?;
    let moments = tables.moments(tx, &users).await?;
    members::write(
        tx,
        &Sources {
            users: &users,
            customers: &by_customer,
            sums: &after,
            subscriptions: &placed,
            context: Context { rules, now, moments: &moments },
        },
    )
    .await?;
    if tables == Tables::Live {
        leads::convert(tx, &users).await?;
    }

    let settled = payments.written.iter().chain(&payments.removed).map(|it| it.id.clone());
    let looked_at = LookedAt {
        customers: touched_customers,
        subscriptions: placed.iter().map(|placed| placed.worth.subscription.id.clone()).collect(),
        payments: settled.chain(history.payments).collect(),
        objects,
    };
    let parked: Vec<Parked> = parked
        .into_iter()
        .chain(owners.parked)
        .chain(placed.iter().flat_map(subscriptions::Placed::parked))
        .chain(history.too_large)
        .collect();
    parked::replace(tx, &looked_at, &parked, now).await?;
    Ok(users)
}

/// The customers' sums with what the batch changed: money by its differences, MRR as it is now.
fn sums(
    before: &money::Revenue,
    payments: &ChangedPayments,
    placed: &[subscriptions::Placed],
) -> money::Revenue {
    let mut after = before.clone();
    for sums in after.values_mut() {
        sums.mrr = 0;
    }
    for (key, difference) in &payments.differences {
        after.entry(key.clone()).or_default().add(difference);
    }
    for placed in placed {
        let mrr = &placed.worth.mrr;
        if mrr.minor != 0 {
            let key = (placed.worth.subscription.customer.clone(), mrr.currency.clone());
            after.entry(key).or_default().add(&money::Sums { mrr: mrr.minor, ..money::Sums::default() });
        }
    }
    // No row, and so no currency of the member's: the next time nothing would be found here either.
    after.retain(|_, sums| *sums != money::Sums::default());
    after
}
