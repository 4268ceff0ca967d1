//! Derives from the facts: owners, values, sums, rows. Only what can have changed is derived: activity
//! changes no revenue, and a payment changes no subscription.

pub mod customer_revenue;
pub(super) mod delete_unreferenced;
pub mod leads;
pub mod ledger;
pub mod members;
pub mod owners;
pub mod payment_history;
pub(super) mod preexisting_payments;
pub(super) mod preexisting_subscriptions;
pub(super) mod stored_owners;
pub mod subscriptions;
pub(super) mod tiers;
pub mod valuation;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::mem;

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use self::customer_revenue::{ChangedSums, SumsByCustomer};
use self::members::activity::MemberActivity;
use self::members::locked::LockedMembers;
use self::members::{Context, MemberInputs};
use self::owners::OwnerDecisions;
use self::stored_owners::StoredOwners;
use self::subscriptions::SubscriptionWithTier;
use self::valuation::Valuations;
use super::affected::{Affected, AffectedRevenue};
use super::parked::{self, Checked, Parked};
use super::resolve::payments::{ChangedPayments, Sums};
use super::resolve::versions::{self, LedgerFrom};
use super::tables::Tables;
use super::{StoreSettings, sms};

/// What a derivation works with.
#[derive(Clone, Copy)]
struct Derivation<'a> {
    tables: Tables,
    settings: &'a StoreSettings,
    now: OffsetDateTime,
}

/// Derives everything that is `affected` from the facts, and writes it to `tables`.
pub(super) async fn derive(
    tx: &mut PgConnection,
    tables: Tables,
    affected: Affected,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let derivation = Derivation { tables, settings, now };
    let Affected { revenue, activity_only, sms } = affected;
    derive_members(tx, derivation, revenue, activity_only).await?;
    if tables == Tables::Live {
        sms::write(tx, &sms, &settings.sms, now).await?;
    }
    Ok(())
}

/// The customers and users that a derivation is about. The users exist, and of live rows they are locked.
struct Scope {
    /// Customers whose owner was decided again.
    decided: BTreeSet<String>,
    /// Users whose rows are derived completely.
    complete: BTreeSet<Uuid>,
    /// Users of whom only payments were reported.
    payment_only: BTreeSet<Uuid>,
    /// The activity of those whose rows are derived completely, and of those of whom only that may have changed.
    activity: Vec<MemberActivity>,
    /// The customers of the users whose rows are derived, completely or for payments only.
    customers: OwnedCustomers,
    /// Members whose rows are computed as of another moment than now.
    as_of: HashMap<Uuid, OffsetDateTime>,
}

/// The customers of the users in a scope.
struct OwnedCustomers {
    /// Each with its user, who exists.
    owners: HashMap<String, Uuid>,
    /// Those that may have movements without a user, with their user.
    with_unassigned_movements: HashMap<String, Uuid>,
    /// When the clock next changes their values; `None` if that was not loaded.
    next_changes: Option<HashMap<String, OffsetDateTime>>,
    /// Their sums and those of all other affected customers; `None` if they were not loaded.
    sums: Option<SumsByCustomer>,
    /// Whether there may be leads that they convert. `true` if that was not loaded: `leads::convert` looks itself.
    has_leads: bool,
}

impl OwnedCustomers {
    /// Those of `users` among the stored ones: complete if no owner was decided again.
    fn from_stored(
        stored: &StoredOwners,
        owners: HashMap<String, Uuid>,
        sums: SumsByCustomer,
        users: &BTreeSet<Uuid>,
    ) -> Self {
        let of_users = |mut owners: HashMap<String, Uuid>| {
            owners.retain(|_, user| users.contains(user));
            owners
        };
        Self {
            owners: of_users(owners),
            with_unassigned_movements: of_users(stored.with_unassigned_movements()),
            next_changes: Some(stored.next_changes()),
            sums: Some(sums),
            has_leads: stored.has_leads(),
        }
    }

    /// Loads those of `users`.
    async fn load(tx: &mut PgConnection, users: &BTreeSet<Uuid>) -> Result<Self, sqlx::Error> {
        let owners = owners::of_users(tx, users).await?;
        Ok(Self {
            with_unassigned_movements: owners.clone(),
            owners,
            next_changes: None,
            sums: None,
            has_leads: true,
        })
    }
}

impl Scope {
    /// Decides and writes the owners that may have changed. Locks the users whose rows are derived, with those of
    /// `activity_only`; users that do not exist are left out.
    async fn decide_and_lock(
        tx: &mut PgConnection,
        Derivation { tables, settings, now }: Derivation<'_>,
        affected: &AffectedRevenue,
        activity_only: BTreeSet<Uuid>,
    ) -> Result<(Self, OwnerDecisions), sqlx::Error> {
        let touched: BTreeSet<String> =
            affected.touched_customers.difference(&affected.owners_to_decide).cloned().collect();
        let stored = StoredOwners::load(tx, &touched).await?;
        let mut decided = affected.owners_to_decide.clone();
        decided.extend(stored.undecided(&touched));
        let mut complete = affected.users.clone();
        // A named user who has a revenue row and a customer whose owner stays is derived through that customer.
        complete.extend(affected.named.difference(&stored.users_with_revenue_row()));
        // If no owner can change and nobody else was named, everything was loaded with the stored owners.
        let mut is_loaded = decided.is_empty() && complete.is_empty();

        let decisions = owners::decide_owners(tx, &decided, settings.matching, now).await?;
        complete.extend(decisions.before.iter().chain(&decisions.named));
        complete.extend(stored.users_to_value(&affected.customers_to_value, now));
        let (owners, sums) = (stored.by_customer(), stored.sums());
        let mut payment_only: BTreeSet<Uuid> =
            owners.values().copied().filter(|user| !complete.contains(user)).collect();
        complete.extend(take_those_without_sums(&mut payment_only, &owners, &sums, &affected.payments));
        let locked =
            LockedMembers::lock(tx, tables, [&mut complete, &mut payment_only], &activity_only).await?;
        let as_of = tables.as_of(tx, &locked.users()).await?;
        let (activity, to_derive_completely) =
            locked.activity(&complete, &Context { settings, now, as_of: &as_of });
        is_loaded &= to_derive_completely.is_empty();
        payment_only.retain(|user| !to_derive_completely.contains(user));
        complete.extend(to_derive_completely);

        let users: BTreeSet<Uuid> = complete.union(&payment_only).copied().collect();
        let customers = if is_loaded {
            OwnedCustomers::from_stored(&stored, owners, sums, &users)
        } else {
            OwnedCustomers::load(tx, &users).await?
        };
        Ok((Self { decided, complete, payment_only, activity, customers, as_of }, decisions))
    }

    /// All affected customers.
    fn all_customers(&self, affected: &AffectedRevenue) -> BTreeSet<String> {
        let owned = self.customers.owners.keys();
        self.decided.iter().chain(&affected.touched_customers).chain(owned).cloned().collect()
    }

    /// The customers whose subscriptions must be valued.
    fn customers_to_value(&self, affected: &AffectedRevenue) -> BTreeSet<String> {
        let of_complete = self.customers.owners.iter().filter(|(_, user)| self.complete.contains(user));
        let of_complete = of_complete.map(|(customer, _)| customer);
        self.decided.iter().chain(&affected.customers_to_value).chain(of_complete).cloned().collect()
    }
}

/// Takes out those without any sum left: they need the subscriptions for their currency, so they are derived completely.
/// `owners` and the sums `before` the batch have all customers of each.
fn take_those_without_sums(
    payment_only: &mut BTreeSet<Uuid>,
    owners: &HashMap<String, Uuid>,
    before: &SumsByCustomer,
    payments: &ChangedPayments,
) -> Vec<Uuid> {
    if payment_only.is_empty() {
        return Vec::new();
    }
    let after = sums(before, payments, &[], &BTreeSet::new());
    let with_sums: BTreeSet<Uuid> =
        after.keys().filter_map(|(customer, _)| owners.get(customer).copied()).collect();
    payment_only.extract_if(.., |user| !with_sums.contains(user)).collect()
}

/// Derives the rows of what is `affected`, and of the users in `activity_only`, and writes them.
async fn derive_members(
    tx: &mut PgConnection,
    derivation: Derivation<'_>,
    mut affected: AffectedRevenue,
    activity_only: BTreeSet<Uuid>,
) -> Result<(), sqlx::Error> {
    let Derivation { tables, now, .. } = derivation;
    let (mut scope, decisions) = Scope::decide_and_lock(tx, derivation, &affected, activity_only).await?;
    let OwnerDecisions { reassigned, parked: undecided, matches, .. } = decisions;
    if tables == Tables::Live {
        owners::record(tx, matches, now).await?;
    }
    let before = match mem::take(&mut scope.customers.sums) {
        Some(sums) => sums,
        None => customer_revenue::load(tx, &scope.all_customers(&affected)).await?,
    };
    let ledger_from = mem::take(&mut affected.ledger_from);
    let valued = value(tx, &scope, &affected, ledger_from, before, now).await?;
    let force_rewrite = mem::take(&mut affected.force_rewrite);
    let written_payments =
        write_rows(tx, derivation, &scope, &affected.payments, force_rewrite, reassigned, &valued).await?;
    park(tx, affected, scope.decided, undecided, &valued.subscriptions, written_payments, now).await
}

/// What valuing the customers of a scope gives.
struct Valued {
    subscriptions: Vec<SubscriptionWithTier>,
    /// The customers' sums before the batch.
    before: SumsByCustomer,
    /// The customers' sums after the batch.
    sums: SumsByCustomer,
}

/// Values the subscriptions of the customers in `scope`, whose sums were `before`, and revises their ledgers.
async fn value(
    tx: &mut PgConnection,
    scope: &Scope,
    affected: &AffectedRevenue,
    mut ledger_from: LedgerFrom,
    before: SumsByCustomer,
    now: OffsetDateTime,
) -> Result<Valued, sqlx::Error> {
    let customers = scope.customers_to_value(affected);
    let OwnedCustomers { owners, next_changes, .. } = &scope.customers;
    let next_changes = match next_changes {
        Some(times) => Cow::Borrowed(times),
        None => Cow::Owned(valuation::load_next_changes(tx, &customers).await?),
    };
    versions::add_due(&mut ledger_from, &next_changes, &customers, now);
    let Valuations { subscriptions, catalogue } =
        valuation::value(tx, &customers, &next_changes, now).await?;
    let subscriptions = subscriptions::assign_tiers(tx, subscriptions).await?;
    let sums = sums(&before, &affected.payments, &subscriptions, &customers);
    ledger::revise(tx, &ledger_from, catalogue, owners, now).await?;
    Ok(Valued { subscriptions, before, sums })
}

/// Writes the rows of the users in `scope`, and assigns the ledgers of `reassigned` customers. Returns what it found out
/// about payments.
async fn write_rows(
    tx: &mut PgConnection,
    Derivation { tables, settings, now }: Derivation<'_>,
    scope: &Scope,
    payments: &ChangedPayments,
    mut force_rewrite: BTreeSet<String>,
    reassigned: BTreeSet<String>,
    valued: &Valued,
) -> Result<payment_history::Written, sqlx::Error> {
    let Scope { complete, payment_only, activity, customers, as_of, .. } = scope;
    let OwnedCustomers { owners, with_unassigned_movements, has_leads, .. } = customers;
    // The revised movements have their user already; this is for all others.
    ledger::assign(tx, &reassigned, owners, with_unassigned_movements).await?;
    // Subscriptions before the payments that reference them: those of a customer with a new row are written again.
    let with_new_row = subscriptions::write(tx, &valued.subscriptions, owners, now).await?;
    force_rewrite.extend(reassigned.into_iter().chain(with_new_row));
    let written_payments = payment_history::write(tx, payments, &force_rewrite, owners).await?;
    let inputs = MemberInputs {
        complete,
        payment_only,
        activity,
        owners,
        sums: &valued.sums,
        changed_sums: ChangedSums::between(&valued.before, &valued.sums),
        subscriptions: &valued.subscriptions,
        context: Context { settings, now, as_of },
    };
    members::write(tx, &inputs).await?;
    if tables == Tables::Live && *has_leads {
        leads::convert(tx, &complete.union(payment_only).copied().collect()).await?;
    }
    Ok(written_payments)
}

/// Parks what is missing. `decided`: the customers whose owner was decided, of whom some are `undecided`.
async fn park(
    tx: &mut PgConnection,
    affected: AffectedRevenue,
    decided: BTreeSet<String>,
    undecided: Vec<Parked>,
    with_tiers: &[SubscriptionWithTier],
    written_payments: payment_history::Written,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let AffectedRevenue { payments, thin_event_objects, parked: thin, .. } = affected;
    let may_be_parked = with_tiers.iter().filter(|it| it.valuation.is_parked || it.parked().next().is_some());
    let checked = Checked {
        customers: decided,
        subscriptions: may_be_parked.map(|it| it.valuation.subscription.id.clone()).collect(),
        payments: payments.exceeding_int4.into_iter().chain(written_payments.exceeding_int4).collect(),
        thin_event_objects,
    };
    let parked: Vec<Parked> = thin
        .into_iter()
        .chain(undecided)
        .chain(with_tiers.iter().flat_map(SubscriptionWithTier::parked))
        .chain(written_payments.too_large)
        .collect();
    parked::replace(tx, &checked, &parked, now).await
}

/// The customers' sums after the batch: those `before`, money changed by the differences of `payments`, and the MRR of
/// the customers in `to_value` replaced by that of the subscriptions `with_tiers`.
fn sums(
    before: &SumsByCustomer,
    payments: &ChangedPayments,
    with_tiers: &[SubscriptionWithTier],
    to_value: &BTreeSet<String>,
) -> SumsByCustomer {
    let mut after = before.clone();
    for (_, sums) in after.iter_mut().filter(|((customer, _), _)| to_value.contains(customer)) {
        sums.mrr = 0;
    }
    for (key, difference) in &payments.differences {
        after.entry(key.clone()).or_default().add(difference);
    }
    for with_tier in with_tiers {
        let mrr = &with_tier.valuation.mrr;
        if mrr.minor != 0 {
            let key = (with_tier.valuation.subscription.customer.clone(), mrr.currency.clone());
            after.entry(key).or_default().add(&Sums { mrr: mrr.minor, ..Sums::default() });
        }
    }
    // Rows of zeros are not stored, and must not decide the member's currency.
    after.retain(|_, sums| *sums != Sums::default());
    after
}
