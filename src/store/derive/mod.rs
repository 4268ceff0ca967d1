//! Derives from the facts: owners, values, sums, rows. Only what can have changed is derived: activity
//! changes no revenue, and a payment changes no subscription.

pub(super) mod delete_unreferenced;
pub mod leads;
pub mod ledger;
pub mod members;
pub mod money;
pub mod owners;
pub mod payment_history;
pub(super) mod preexisting_payments;
pub(super) mod preexisting_subscriptions;
pub(super) mod stored_owners;
pub mod subscriptions;
pub(super) mod tiers;
pub mod valuation;

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use self::members::{Active, Context, Sources};
use self::owners::Owners;
use self::stored_owners::StoredOwners;
use self::subscriptions::TieredSubscription;
use super::affected::{Affected, AffectedRevenue};
use super::parked::{self, Checked, Parked};
use super::resolve::payments::{ChangedPayments, Sums};
use super::resolve::versions;
use super::tables::Tables;
use super::{Rules, sms};

/// Derives everything that is `affected`.
pub(super) async fn derive(
    tx: &mut PgConnection,
    tables: Tables,
    affected: Affected,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let Affected { revenue, mut active, sms } = affected;
    if revenue.is_empty() {
        retain_existing(tx, tables, [&mut active]).await?;
    } else {
        let derived = derive_revenue(tx, tables, revenue, &mut active, rules, now).await?;
        active.retain(|user| !derived.contains(user));
    }
    let as_of = tables.as_of(tx, &active).await?;
    let context = Context { rules, now, as_of: &as_of };
    let Active { members, due } = members::active(tx, &active, &context).await?;
    members::write_activity(tx, &members, &context).await?;
    if !due.is_empty() {
        let due = AffectedRevenue { users: due, ..AffectedRevenue::default() };
        derive_revenue(tx, tables, due, &mut BTreeSet::new(), rules, now).await?;
    }
    if tables == Tables::Live {
        sms::write(tx, &sms, &rules.sms, now).await?;
    }
    Ok(())
}

/// The customers and users whose revenue is derived.
struct Scope {
    /// Customers whose owner was decided.
    decided: BTreeSet<String>,
    /// Each customer of the users, with its user, who exists.
    by_customer: HashMap<String, Uuid>,
    /// The users whose rows are derived completely.
    users: BTreeSet<Uuid>,
    /// Users of whom only payments were reported.
    payers: BTreeSet<Uuid>,
    /// Customers that have a user, and perhaps movements without one.
    with_unassigned_movements: HashMap<String, Uuid>,
    /// When the clock next changes the customers' values, if that was loaded with their owners.
    schedule: Option<HashMap<String, OffsetDateTime>>,
    has_leads: bool,
}

impl Scope {
    /// Decides the owners of the affected customers, if they may have changed; locks their users and the
    /// `active` ones, and drops those that do not exist.
    async fn of(
        tx: &mut PgConnection,
        tables: Tables,
        affected: &AffectedRevenue,
        active: &mut BTreeSet<Uuid>,
        rules: &Rules,
        now: OffsetDateTime,
    ) -> Result<(Self, Owners), sqlx::Error> {
        let reported: BTreeSet<String> =
            affected.reported.difference(&affected.customers_to_match).cloned().collect();
        let stored = StoredOwners::load(tx, &reported).await?;
        let mut decided = affected.customers_to_match.clone();
        decided.extend(stored.undecided(&reported));
        let mut users = affected.users.clone();
        // A member with rows is derived with a customer that has no other user.
        users.extend(affected.named.difference(&stored.members()));
        // If no owner can change, everything was loaded with them.
        let is_loaded = decided.is_empty() && users.is_empty();

        let owners = owners::decide_owners(tx, &decided, rules.matching, now).await?;
        users.extend(owners.before.iter().chain(&owners.named));
        users.extend(stored.users_to_value(&affected.customers_to_value, now));
        let mut by_customer = stored.by_customer();
        let mut payers: BTreeSet<Uuid> =
            by_customer.values().copied().filter(|user| !users.contains(user)).collect();
        retain_existing(tx, tables, [&mut users, &mut payers, active]).await?;
        if is_loaded {
            by_customer.retain(|_, user| users.contains(user) || payers.contains(user));
            let (with_unassigned_movements, schedule) =
                (stored.with_ownerless_movements(), Some(stored.schedule()));
            let has_leads = stored.has_leads();
            return Ok((
                Self { decided, by_customer, users, payers, with_unassigned_movements, schedule, has_leads },
                owners,
            ));
        }
        let by_customer = owners::of_users(tx, &users.union(&payers).copied().collect()).await?;
        let (with_unassigned_movements, schedule, has_leads) = (by_customer.clone(), None, true);
        Ok((
            Self { decided, by_customer, users, payers, with_unassigned_movements, schedule, has_leads },
            owners,
        ))
    }

    /// All affected customers.
    fn customers(&self, affected: &AffectedRevenue) -> BTreeSet<String> {
        self.decided.iter().chain(&affected.reported).chain(self.by_customer.keys()).cloned().collect()
    }

    /// The customers whose subscriptions must be valued.
    fn to_value(&self, affected: &AffectedRevenue) -> BTreeSet<String> {
        let of_users = self.by_customer.iter().filter(|(_, user)| self.users.contains(user));
        let of_users = of_users.map(|(customer, _)| customer);
        self.decided.iter().chain(&affected.customers_to_value).chain(of_users).cloned().collect()
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
    affected: AffectedRevenue,
    active: &mut BTreeSet<Uuid>,
    rules: &Rules,
    now: OffsetDateTime,
) -> Result<BTreeSet<Uuid>, sqlx::Error> {
    let (mut scope, owners) = Scope::of(tx, tables, &affected, active, rules, now).await?;
    if tables == Tables::Live {
        owners::record(tx, owners.matches, now).await?;
    }
    let before = money::load(tx, &scope.customers(&affected)).await?;
    scope.value_users_without_sums(&before, &affected.payments);
    let to_value = scope.to_value(&affected);
    let AffectedRevenue { payments, objects, parked, mut force_rewrite, recompute_from, .. } = affected;
    let Scope { decided, by_customer, users, payers, with_unassigned_movements, schedule, has_leads } = scope;

    let schedule = match schedule {
        Some(schedule) => schedule,
        None => valuation::scheduled(tx, &to_value).await?,
    };
    let recompute_from = versions::due(recompute_from, &schedule, &to_value, now);
    let (valuation, catalogue) = valuation::value(tx, &to_value, &schedule, now).await?;
    let tiered = subscriptions::assign_tiers(tx, valuation).await?;
    let after = sums(&before, &payments, &tiered, &to_value);
    money::write(tx, &before, &after).await?;
    ledger::revise(tx, &recompute_from, catalogue, &by_customer, now).await?;
    ledger::assign(tx, &owners.moved, &by_customer, &with_unassigned_movements).await?;

    let new_rows = subscriptions::write(tx, &tiered, &by_customer, now).await?;
    force_rewrite.extend(owners.moved.into_iter().chain(new_rows));
    let history = payment_history::write(tx, &payments, &force_rewrite, &by_customer).await?;
    let as_of = tables.as_of(tx, &users).await?;
    let sources = Sources {
        users: &users,
        payers: &payers,
        customers: &by_customer,
        sums: &after,
        subscriptions: &tiered,
        context: Context { rules, now, as_of: &as_of },
    };
    members::write(tx, &sources).await?;
    if tables == Tables::Live && has_leads {
        leads::convert(tx, &users.union(&payers).copied().collect()).await?;
    }

    let may_be_parked =
        |tiered: &&TieredSubscription| tiered.valuation.is_parked || tiered.parked().next().is_some();
    let subscriptions = tiered.iter().filter(may_be_parked);
    let checked = Checked {
        customers: decided,
        subscriptions: subscriptions.map(|it| it.valuation.subscription.id.clone()).collect(),
        payments: payments.large.into_iter().chain(history.large).collect(),
        objects,
    };
    let parked: Vec<Parked> = parked
        .into_iter()
        .chain(owners.parked)
        .chain(tiered.iter().flat_map(TieredSubscription::parked))
        .chain(history.too_large)
        .collect();
    parked::replace(tx, &checked, &parked, now).await?;
    Ok(users)
}

/// Drops users who are not in `auth.users`. For live rows the others are locked: a concurrent deletion waits for
/// this transaction, or this one waits here, before it has written any row that the deletion needs.
async fn retain_existing<const N: usize>(
    tx: &mut PgConnection,
    tables: Tables,
    sets: [&mut BTreeSet<Uuid>; N],
) -> Result<(), sqlx::Error> {
    let users: BTreeSet<Uuid> = sets.iter().flat_map(|users| users.iter().copied()).collect();
    if users.is_empty() {
        return Ok(());
    }
    let statement = match tables {
        Tables::Live => "select ingest.hold_users($1)",
        Tables::Shadow => "select id from auth.users where id = any($1)",
    };
    let users: Vec<Uuid> = users.into_iter().collect();
    let existing: Vec<Uuid> = sqlx::query_scalar(statement).bind(users).fetch_all(tx).await?;
    let existing: BTreeSet<Uuid> = existing.into_iter().collect();
    for users in sets {
        users.retain(|user| existing.contains(user));
    }
    Ok(())
}

/// The customers' sums with what the batch changed: money by its differences, MRR as it is now.
fn sums(
    before: &money::Revenue,
    payments: &ChangedPayments,
    tiered: &[TieredSubscription],
    to_value: &BTreeSet<String>,
) -> money::Revenue {
    let mut after = before.clone();
    for (_, sums) in after.iter_mut().filter(|((customer, _), _)| to_value.contains(customer)) {
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
