//! Applies a batch: one transaction from the events to the public tables.
//!
//! The steps are in `Store::apply_in`, `resolve` and `derive::derive`. From reading the facts until the commit, one
//! transaction at a time holds the derivation lock: each batch sees what all batches before it stored, and writers cannot
//! deadlock.
//! Reading the events and storing their bodies, which is most of the work, runs in parallel before that.

use std::collections::BTreeSet;
use std::slice::from_ref;

use sqlx::{PgConnection, Postgres, Transaction};
use time::OffsetDateTime;
use uuid::Uuid;

use super::affected::{Affected, AffectedRevenue};
use super::decoded_batch::{Decoded, DecodedBatch, decode_all};
use super::derive::derive;
use super::events::freshness::Freshness;
use super::events::not_counted::NotCountedTotals;
use super::events::unknown_values::UnknownAndIgnored;
use super::events::{self, EventBodies};
use super::events::{pending, retries};
use super::locks::lock_for_batch;
use super::resolve::emails::AddressReport;
use super::resolve::facts::{Reported, Resolved};
use super::resolve::identity_claims::ClaimReport;
use super::resolve::{activity, catalogue, emails, facts, identity_claims, payments, users, versions};
use super::tables::Tables;
use super::{Store, StoreError, StoreSettings, parked, sms};
use crate::database;
use crate::envelope::Envelope;
use crate::project::DecodeSettings;
use crate::project::payload::{Login, UserReport};
use crate::project::stripe::StripeObject;
use crate::project::supabase::Row;

/// The outcome of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Events applied now.
    pub new: usize,
    /// Events that were applied before.
    pub repeated: usize,
    /// Events that could not be decoded, now dead letters.
    pub dead: usize,
}

impl Store {
    /// Applies `batch`, all of it or nothing, each event once even if it is redelivered.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn apply(&self, batch: &[Envelope]) -> Result<Applied, StoreError> {
        let decoded = decode_all(batch, &self.settings);
        let tx = database::begin(&self.pool).await?;
        self.apply_in(tx, decoded, EventBodies::Given).await
    }

    /// Applies pending events, all of `batch` or nothing. `transaction`: the one that holds their row locks.
    /// Without it, only events are applied that are still pending, not due for a retry alone, and not locked
    /// by another process.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn apply_pending(
        &self,
        transaction: Option<Transaction<'static, Postgres>>,
        batch: &[Envelope],
    ) -> Result<Applied, StoreError> {
        if let Some(tx) = transaction {
            return self.apply_in(tx, decode_all(batch, &self.settings), EventBodies::Stored).await;
        }
        let mut tx = database::begin(&self.pool).await?;
        let is_locked = pending::lock(&mut tx, batch).await?;
        let ours = batch.iter().zip(is_locked).filter_map(|(event, is_locked)| is_locked.then_some(event));
        let decoded = decode_all(ours, &self.settings);
        self.apply_in(tx, decoded, EventBodies::Stored).await
    }

    /// Retries a pending event alone, unless it is applied or dead by now. Waits for its row lock: the
    /// attempt is already counted, so it must be made.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn apply_alone(&self, event: &Envelope) -> Result<Applied, StoreError> {
        let mut tx = database::begin(&self.pool).await?;
        let is_locked = pending::lock_for_recorded_attempt(&mut tx, from_ref(event)).await? == [true];
        self.apply_in(tx, decode_all(is_locked.then_some(event), &self.settings), EventBodies::Stored).await
    }

    async fn apply_in(
        &self,
        mut tx: Transaction<'static, Postgres>,
        decoded: Decoded<'_>,
        bodies: EventBodies,
    ) -> Result<Applied, StoreError> {
        let now = self.clock.now();
        let Decoded { events, dead } = decoded;
        let decoded_count = events.len();
        retries::dead_letter(&mut tx, &dead, now).await?;
        let mut new = events::mark_applied_and_lock(&mut tx, events, bodies, now).await?;
        let applied = Applied { new: new.len(), repeated: decoded_count - new.len(), dead: dead.len() };
        let not_counted = NotCountedTotals::take_from(&mut new);
        let unknown_and_ignored = UnknownAndIgnored::of(&new);
        let freshness = Freshness::of(&new);
        if !new.is_empty() {
            // The clock is read again: while this batch waited for the lock, another may have derived values as of a
            // later moment.
            let locked_at = self.clock.now();
            unknown_and_ignored.write(&mut tx).await?;
            let batch = DecodedBatch::group(new);
            let affected = resolve(&mut tx, batch, &self.settings, locked_at).await?;
            derive(&mut tx, Tables::Live, affected, &self.settings, locked_at).await?;
        }
        tx.commit().await?;
        for (event, reason) in &dead {
            retries::log_dead_letter(event, reason);
        }
        not_counted.record_metrics();
        unknown_and_ignored.record_metrics();
        freshness.record(self.clock.now());
        Ok(applied)
    }

    /// Rederives the rows of these customers and users without an event: the clock, a tier or a user has
    /// changed.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written.
    pub async fn recompute(
        &self,
        customers: BTreeSet<String>,
        users: BTreeSet<Uuid>,
    ) -> Result<(), StoreError> {
        let affected = AffectedRevenue { owners_to_decide: customers, users, ..AffectedRevenue::default() };
        let mut tx = database::begin(&self.pool).await?;
        lock_for_batch(&mut tx).await?;
        derive(&mut tx, Tables::Live, affected.into(), &self.settings, self.clock.now()).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Applies internal `events` in a transaction that holds the derivation lock.
pub(super) async fn apply_internal(
    tx: &mut PgConnection,
    events: &[Envelope],
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let Decoded { events, dead } = decode_all(events, settings);
    retries::dead_letter(tx, &dead, now).await?;
    let new = events::mark_applied(tx, events, EventBodies::Given, now).await?;
    if new.is_empty() {
        return Ok(());
    }
    let affected = resolve(tx, DecodedBatch::group(new), settings, now).await?;
    derive(tx, Tables::Live, affected, settings, now).await
}

/// Resolves the facts: what each object is now, and what that affects.
pub(super) async fn resolve(
    tx: &mut PgConnection,
    batch: DecodedBatch,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<Affected, sqlx::Error> {
    let named = batch.users_except_row_owners();
    let mut activity_only: BTreeSet<Uuid> = batch.row_owners().collect();
    let DecodedBatch { stripe, rows, logins, users, identity_claims, emails, sms, thin_event_objects } =
        batch;
    let resolved =
        resolve_stripe(tx, stripe, identity_claims, emails, thin_event_objects, &settings.decoding).await?;
    activity_only.extend(resolve_activity(tx, rows, &logins, &settings.decoding).await?);
    let sms = sms::resolve(tx, sms).await?;
    let ReportedUsers { users, customers } = resolve_users(tx, users, now).await?;
    let mut revenue = AffectedRevenue { users, named, ..resolved };
    revenue.owners_to_decide.extend(customers);
    Ok(Affected { revenue, activity_only, sms })
}

/// Resolves Stripe's objects, and what they say about whose customers they are; returns what that affects.
async fn resolve_stripe(
    tx: &mut PgConnection,
    reported: Vec<Reported<StripeObject>>,
    claims: Vec<ClaimReport>,
    addresses: Vec<AddressReport>,
    mut thin_event_objects: BTreeSet<String>,
    settings: &DecodeSettings,
) -> Result<AffectedRevenue, sqlx::Error> {
    let links = links(&reported);
    let resolved = facts::resolve_stripe(tx, reported, &links, settings).await?;
    let Resolved { changed, mut ledger_from, identity_claims, resolved_thin, need_invoice_lines } = resolved;
    // After the facts: only then it is known which claims of an object with a history are the last of their second.
    let claims = claims.into_iter().chain(identity_claims).collect();
    let evidence = [identity_claims::write(tx, claims).await?, emails::write(tx, addresses).await?];
    let parked = parked::thin_objects(tx, &thin_event_objects, &resolved_thin).await?;
    thin_event_objects.extend(resolved_thin);
    versions::add_known_terms(tx, &mut ledger_from, &changed, &need_invoice_lines).await?;
    let payments = payments::resolve(tx, &changed).await?;

    let mut revenue =
        AffectedRevenue { payments, thin_event_objects, parked, ledger_from, ..AffectedRevenue::default() };
    for changed_evidence in evidence {
        revenue.add_evidence(changed_evidence);
    }
    revenue.add_customers(&changed);
    Ok(revenue)
}

/// Resolves rows and logins; returns the users whose activity that may have changed.
async fn resolve_activity(
    tx: &mut PgConnection,
    reported: Vec<Reported<Row>>,
    logins: &[Login],
    settings: &DecodeSettings,
) -> Result<BTreeSet<Uuid>, sqlx::Error> {
    let mut differences = activity::Differences::new();
    let changed = facts::resolve_rows(tx, reported, settings).await?;
    for fact in &changed {
        activity::count_row(&mut differences, fact.before.as_ref(), fact.after(), &settings.tables);
    }
    activity::resolve_logins(tx, logins, &mut differences).await?;
    activity::write(tx, &changed, &differences).await?;
    let owners = changed.iter().flat_map(|fact| fact.before.iter().chain([fact.after()]));
    Ok(differences.keys().copied().chain(owners.filter_map(|row| row.user_id)).collect())
}

/// The users that events were about.
struct ReportedUsers {
    users: BTreeSet<Uuid>,
    /// The customers with evidence that names one of them.
    customers: Vec<String>,
}

/// Records which users were deleted, and finds the customers whose owner may have changed with any of them.
async fn resolve_users(
    tx: &mut PgConnection,
    reported: Vec<UserReport>,
    now: OffsetDateTime,
) -> Result<ReportedUsers, sqlx::Error> {
    let deleted: Vec<Uuid> =
        reported.iter().filter(|user| user.is_deleted).map(|user| user.user_id).collect();
    users::record_deleted(tx, &deleted, now).await?;
    let users: BTreeSet<Uuid> = reported.iter().map(|user| user.user_id).collect();
    let emails = reported.into_iter().flat_map(|user| user.emails).collect();
    let customers = identity_claims::customers_naming(tx, &users, &emails).await?;
    Ok(ReportedUsers { users, customers })
}

/// The pairs `(id, other)` for `stripe_links`: if the object `id` changes, `other` is resolved or valued again. Taken from
/// every report, even if it does not become the fact, so that they depend on the set of events only.
fn links(reported: &[Reported<StripeObject>]) -> BTreeSet<(String, String)> {
    let states = reported.iter().map(|reported| &reported.report.state);
    states
        .flat_map(|state| catalogue::links(state).into_iter().chain(payments::links_both_ways(state)))
        .collect()
}
