//! Derives from the facts: owners, values, sums, rows. Only what can have changed is derived: activity
//! changes no revenue, and a payment changes no subscription.

pub(super) mod delete_unreferenced;
pub(super) mod involved;
pub mod leads;
pub mod ledger;
pub mod members;
pub mod money;
pub mod owners;
pub mod payment_history;
pub(super) mod preexisting_payments;
pub(super) mod preexisting_subscriptions;
pub mod subscriptions;
pub(super) mod tiers;
pub mod valuation;

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use self::involved::Involved;
use self::members::{Active, Context, Sources};
use self::owners::Owners;
use self::subscriptions::TieredSubscription;
use super::parked::{self, Checked, Parked};
use super::resolve::payments::{ChangedPayments, Sums};
use super::resolve::versions;
use super::tables::Tables;
use super::touched::Touched;
use super::{Rules, sms};

/// Derives everything that `touched` affects.
pub(super) async fn derive(
    tx: &mut PgConnection,
    tables: Tables,
    mut touched: Touched,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let sms = std::mem::take(&mut touched.sms);
    let mut active = std::mem::take(&mut touched.active);
    if touched.reaches_revenue() {
        let derived = derive_revenue(tx, tables, touched, &mut active, rules, now).await?;
        active.retain(|user| !derived.contains(user));
    } else {
        active = hold_present(tx, tables, &active).await?;
    }
    let moments = tables.moments(tx, &active).await?;
    let context = Context { rules, now, moments: &moments };
    let Active { members, due } = members::active(tx, &active, &context).await?;
    members::write_activity(tx, &members, &context).await?;
    if !due.is_empty() {
        let touched = Touched { users: due, ..Touched::default() };
        derive_revenue(tx, tables, touched, &mut BTreeSet::new(), rules, now).await?;
    }
    if tables == Tables::Live {
        sms::write(tx, &sms, &rules.texting, now).await?;
    }
    Ok(())
}

/// The affected customers and users.
struct Reach {
    owners: Owners,
    /// Customers whose user was decided.
    decided: BTreeSet<String>,
    /// Each customer of the users, with its user, who exists.
    by_customer: HashMap<String, Uuid>,
    /// The users whose rows are derived completely.
    users: BTreeSet<Uuid>,
    /// Users of whom only payments were reported.
    payers: BTreeSet<Uuid>,
    /// Customers that have a user, and perhaps movements without one.
    ownerless: HashMap<String, Uuid>,
    /// When the clock next changes the customers' values, if loaded.
    schedule: Option<HashMap<String, OffsetDateTime>>,
    has_leads: bool,
}

impl Reach {
    /// Decides the owners of the affected customers, if they may have changed; locks their users and the
    /// `active` ones, and drops those that do not exist.
    async fn find(
        tx: &mut PgConnection,
        tables: Tables,
        touched: &mut Touched,
        active: &mut BTreeSet<Uuid>,
        rules: &Rules,
        now: OffsetDateTime,
    ) -> Result<Self, sqlx::Error> {
        let asked: BTreeSet<String> = touched.involved.difference(&touched.customers).cloned().collect();
        let involved = Involved::load(tx, &asked).await?;
        let mut decided = std::mem::take(&mut touched.customers);
        decided.extend(involved.undecided(&asked));
        let mut known = involved.by_customer();
        let mut to_value = involved.users_to_value(&touched.valued, now);
        // A member with rows is derived with a customer that has no other user.
        let members = involved.members();
        touched.users.extend(std::mem::take(&mut touched.named).difference(&members));
        let mut payers: BTreeSet<Uuid> =
            known.values().copied().filter(|user| !to_value.contains(user)).collect();
        if decided.is_empty() && touched.users.is_empty() {
            let all = known.values().chain(&*active).copied().collect();
            let present = hold_present(tx, tables, &all).await?;
            active.retain(|user| present.contains(user));
            known.retain(|_, user| present.contains(user));
            to_value.retain(|user| present.contains(user));
            payers.retain(|user| present.contains(user));
            return Ok(Self {
                owners: Owners::default(),
                decided,
                payers,
                users: to_value,
                ownerless: involved.with_ownerless_movements(),
                schedule: Some(involved.schedule()),
                has_leads: involved.has_leads,
                by_customer: known,
            });
        }
        let owners = owners::decide_owners(tx, &decided, rules.matching, now).await?;
        let mut users = std::mem::take(&mut touched.users);
        users.extend(owners.before.iter().chain(&owners.named).chain(&to_value));
        payers.retain(|user| !users.contains(user));
        let all = users.iter().chain(&payers).chain(&*active).copied().collect();
        let mut present = hold_present(tx, tables, &all).await?;
        active.retain(|user| present.contains(user));
        present.retain(|user| users.contains(user) || payers.contains(user));
        let by_customer = owners::of_users(tx, &present).await?;
        users.retain(|user| present.contains(user));
        Ok(Self {
            owners,
            decided,
            users,
            payers,
            ownerless: by_customer.clone(),
            schedule: None,
            has_leads: true,
            by_customer,
        })
    }

    /// The customers whose subscriptions must be valued.
    fn valued(&self, touched: &Touched) -> BTreeSet<String> {
        let of_users = self.by_customer.iter().filter(|(_, user)| self.users.contains(user));
        let of_users = of_users.map(|(customer, _)| customer);
        self.decided.iter().chain(&touched.valued).chain(of_users).cloned().collect()
    }

    /// Without any sum left, a member's currency comes from the subscriptions.
    fn value_users_without_sums(&mut self, before: &money::Revenue, payments: &ChangedPayments) {
        if self.payers.is_empty() {
            return;
        }
        let after = sums(before, payments, &[], &BTreeSet::new());
        let with_sums: BTreeSet<Uuid> =
            after.keys().filter_map(|(customer, _)| self.by_customer.get(customer).copied()).collect();
        let without = self.payers.extract_if(.., |user| !with_sums.contains(user));
        self.users.extend(without);
    }
}

/// Returns the users whose rows were derived, including those of activity.
async fn derive_revenue(
    tx: &mut PgConnection,
    tables: Tables,
    mut touched: Touched,
    active: &mut BTreeSet<Uuid>,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<BTreeSet<Uuid>, sqlx::Error> {
    let mut reach = Reach::find(tx, tables, &mut touched, active, rules, now).await?;
    if tables == Tables::Live {
        owners::record(tx, std::mem::take(&mut reach.owners.matches), now).await?;
    }
    let all: BTreeSet<String> =
        reach.decided.iter().chain(&touched.involved).chain(reach.by_customer.keys()).cloned().collect();
    let before = money::load(tx, &all).await?;
    reach.value_users_without_sums(&before, &touched.payments);
    let valued = reach.valued(&touched);
    let Touched { payments, objects, parked, mut force_rewrite, since, .. } = touched;

    let schedule = match reach.schedule.take() {
        Some(schedule) => schedule,
        None => valuation::scheduled(tx, &valued).await?,
    };
    let since = versions::due(since, &schedule, &valued, now);
    let (valuation, catalogue) = valuation::value(tx, &valued, &schedule, now).await?;
    let tiered = subscriptions::assign_tiers(tx, valuation).await?;
    let after = sums(&before, &payments, &tiered, &valued);
    money::write(tx, &before, &after).await?;
    ledger::revise(tx, &since, catalogue, &reach.by_customer, now).await?;
    ledger::assign(tx, &reach.owners.moved, &reach.by_customer, &reach.ownerless).await?;

    let new_rows = subscriptions::write(tx, &tiered, &reach.by_customer, now).await?;
    force_rewrite.extend(reach.owners.moved.iter().cloned().chain(new_rows));
    let history = payment_history::write(tx, &payments, &force_rewrite, &reach.by_customer).await?;
    let moments = tables.moments(tx, &reach.users).await?;
    let sources = Sources {
        users: &reach.users,
        payers: &reach.payers,
        customers: &reach.by_customer,
        sums: &after,
        subscriptions: &tiered,
        context: Context { rules, now, moments: &moments },
    };
    members::write(tx, &sources).await?;
    if tables == Tables::Live && reach.has_leads {
        leads::convert(tx, &reach.users.union(&reach.payers).copied().collect()).await?;
    }

    let to_note =
        |tiered: &&TieredSubscription| tiered.valuation.is_parked || tiered.parked().next().is_some();
    let checked = Checked {
        customers: reach.decided,
        subscriptions: tiered.iter().filter(to_note).map(|it| it.valuation.subscription.id.clone()).collect(),
        payments: payments.large.into_iter().chain(history.large).collect(),
        objects,
    };
    let parked: Vec<Parked> = parked
        .into_iter()
        .chain(reach.owners.parked)
        .chain(tiered.iter().flat_map(TieredSubscription::parked))
        .chain(history.too_large)
        .collect();
    parked::replace(tx, &checked, &parked, now).await?;
    Ok(reach.users)
}

/// Those of `users` who are in `auth.users`. For live rows they are locked: a concurrent deletion waits for
/// this transaction, or this one waits here, before it has written any row that the deletion needs.
async fn hold_present(
    tx: &mut PgConnection,
    tables: Tables,
    users: &BTreeSet<Uuid>,
) -> Result<BTreeSet<Uuid>, sqlx::Error> {
    if users.is_empty() {
        return Ok(BTreeSet::new());
    }
    let statement = match tables {
        Tables::Live => "select ingest.hold_users($1)",
        Tables::Shadow => "select id from auth.users where id = any($1)",
    };
    let users: Vec<Uuid> = users.iter().copied().collect();
    let present: Vec<Uuid> = sqlx::query_scalar(statement).bind(users).fetch_all(tx).await?;
    Ok(present.into_iter().collect())
}

/// The customers' sums with what the batch changed: money by its differences, MRR as it is now.
fn sums(
    before: &money::Revenue,
    payments: &ChangedPayments,
    tiered: &[TieredSubscription],
    valued: &BTreeSet<String>,
) -> money::Revenue {
    let mut after = before.clone();
    for (_, sums) in after.iter_mut().filter(|((customer, _), _)| valued.contains(customer)) {
        sums.mrr = 0;
    }
    for (key, difference) in &payments.differences {
        after.entry(key.clone()).or_default().add(difference);
    }
    for tiered in tiered {
        let mrr = &tiered.valuation.mrr;
        if mrr.minor != 0 {
            let key = (tiered.valuation.subscription.customer.clone(), mrr.currency.clone());
            after.entry(key).or_default().add(&Sums { mrr: mrr.minor, ..Sums::default() });
        }
    }
    // Rows of zeros are not stored, and must not decide the member's currency.
    after.retain(|_, sums| *sums != Sums::default());
    after
}
