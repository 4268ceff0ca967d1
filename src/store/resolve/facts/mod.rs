//! Facts: the present state of each object, in whatever order its events arrived.
//!
//! A fact stores the position of the event that won. An event of an earlier position changes nothing, one of a
//! later position wins, and if several share the position, all of them are read from `ingest.events` and
//! [`order`] decides. So the cost does not grow with an object's history, and the result depends on the set
//! of events only. For objects whose history the MRR ledger needs, every position is decided that way and its
//! winner stored as a version; the fact is the last of them.

mod resolvable;
mod rows;
mod stripe;
mod winners;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(in crate::store) use self::resolvable::Resolvable;
pub(in crate::store) use self::winners::Winner;
use self::winners::{add_imported, decide_winners, latest, take_identity_claims};
use super::identity_claims::ClaimReport;
use super::versions::{self, LedgerFrom};
use crate::project::internal::IMPORT_PREFIX;
use crate::project::order;
use crate::project::payload::Report;
use crate::project::stripe::StripeObject;
use crate::project::supabase::Row;
use crate::project::{DecodeSettings, Payload};

/// A report and the event that made it.
#[derive(Clone, Debug)]
pub struct Reported<T> {
    /// The event that reported it.
    pub event_id: String,
    /// What it reported.
    pub report: Report<T>,
}

impl<T> Reported<T> {
    /// Where in the object's history it belongs.
    pub(in crate::store) const fn position(&self) -> HistoryPosition {
        let Report { is_final, sequence, occurred_at, .. } = self.report;
        HistoryPosition { is_final, sequence, occurred_at }
    }
}

/// Where a report belongs in its object's history: compared field by field. Final states are last, then the higher
/// sequence number, if any, then the later second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::store) struct HistoryPosition {
    pub is_final: bool,
    pub sequence: Option<i64>,
    pub occurred_at: OffsetDateTime,
}

/// A Stripe object whose fact a batch changed.
#[derive(Clone, Debug)]
pub struct ChangedObject {
    /// The fact before the batch, if there was one.
    pub before: Option<StripeObject>,
    /// The fact now.
    pub after: StripeObject,
}

/// A fact as stored.
struct Stored<T> {
    position: HistoryPosition,
    /// The event that reported it.
    event_id: String,
    state: T,
}

/// What a batch changed among Stripe's objects.
#[derive(Debug, Default)]
pub struct Resolved {
    /// The facts that changed, by object id.
    pub changed: BTreeMap<String, ChangedObject>,
    /// The second from which each customer's ledger is recomputed.
    pub ledger_from: LedgerFrom,
    /// The identity claims of objects with a history, the last of each second.
    pub identity_claims: Vec<ClaimReport>,
    /// The changed objects that were parked because their state was missing.
    pub resolved_thin: BTreeSet<String>,
    /// Customers with a subscription whose amounts only invoices show: at least those of the reported invoices.
    pub need_invoice_lines: BTreeSet<String>,
}

/// Resolves the batch's reports of Stripe objects; `links` say which belong together.
pub async fn resolve_stripe(
    tx: &mut PgConnection,
    reported: Vec<Reported<StripeObject>>,
    links: &BTreeSet<(String, String)>,
    settings: &DecodeSettings,
) -> Result<Resolved, sqlx::Error> {
    if reported.is_empty() {
        return Ok(Resolved::default());
    }
    let stripe::StoredFacts { facts: stored, decided_positions, parked_as_thin, mut need_invoice_lines } =
        stripe::load(tx, &reported).await?;
    let sticky_by_id = stripe::sticky_by_id(&reported);
    // Imported ones are not reported by Stripe.
    let (imported, reported): (Vec<_>, _) =
        reported.into_iter().partition(|one| matches!(one.report.state, StripeObject::ImportedPayment(_)));
    let mut position_winners =
        decide_winners(tx, reported, &stored, &decided_positions, settings, of_stripe).await?;
    // Claims and versions are of every position, so they come before the latest of each object are chosen.
    let identity_claims = take_identity_claims(&mut position_winners);
    let new_versions = versions::of_winners(&position_winners);
    let new_need_invoice_lines = new_versions.iter().filter(|version| version.wants_lines);
    need_invoice_lines
        .extend(new_need_invoice_lines.filter_map(|it| it.state.customer_id()).map(ToOwned::to_owned));
    let mut fact_winners = add_imported(latest(position_winners, &stored), imported, &stored);
    let extended = stripe::merge_sticky(&mut fact_winners, sticky_by_id, &stored);
    let revised = stripe::write(tx, &fact_winners, &new_versions, links).await?;
    stripe::inherit_statuses(tx, &mut fact_winners).await?;
    let states = extended.iter().map(|(id, fact)| (id.as_str(), &fact.after));
    stripe::update_states(tx, states.collect()).await?;
    let customer_of = |id: &str| {
        let present =
            fact_winners.iter().map(|winner| &winner.reported.report.state).find(|state| state.id() == id);
        present.or(stored.get(id).map(|stored| &stored.state))?.customer_id()
    };
    let mut ledger_from = versions::ledger_from_revised(&revised, customer_of);
    let mut changed = changes(fact_winners, stored);
    changed.extend(extended);
    versions::add_changed_customers(&mut ledger_from, &changed);
    let mut resolved_thin = parked_as_thin;
    resolved_thin.retain(|id| changed.contains_key(id));
    Ok(Resolved { changed, ledger_from, identity_claims, resolved_thin, need_invoice_lines })
}

/// An application row or file whose fact a batch changes.
pub(in crate::store) struct ChangedRow {
    /// The fact before the batch, if there was one.
    pub before: Option<Row>,
    /// The fact now.
    pub winner: Winner<Row>,
}

impl ChangedRow {
    /// The state now.
    pub const fn after(&self) -> &Row {
        &self.winner.reported.report.state
    }
}

/// Resolves the batch's reports of application rows and files. [`activity::write`](super::activity::write) stores what it
/// returns.
pub(in crate::store) async fn resolve_rows(
    tx: &mut PgConnection,
    reported: Vec<Reported<Row>>,
    settings: &DecodeSettings,
) -> Result<Vec<ChangedRow>, sqlx::Error> {
    if reported.is_empty() {
        return Ok(Vec::new());
    }
    let mut stored = rows::load(tx, &reported).await?;
    let (imported, reported) = reported.into_iter().partition(is_imported);
    let winners = decide_winners(tx, reported, &stored, &HashSet::new(), settings, of_row).await?;
    let winners = add_imported(latest(winners, &stored), imported, &stored);
    let changed = winners.into_iter().map(|winner| {
        let before = stored.remove(&winner.reported.report.subject).map(|stored| stored.state);
        ChangedRow { before, winner }
    });
    Ok(changed.collect())
}

/// Whether it was imported from the application's tables.
fn is_imported<T>(reported: &Reported<T>) -> bool {
    reported.event_id.starts_with(IMPORT_PREFIX)
}

fn of_stripe(payload: Payload) -> Option<Report<StripeObject>> {
    if let Payload::Stripe(report) = payload { Some(*report) } else { None }
}

fn of_row(payload: Payload) -> Option<Report<Row>> {
    if let Payload::Row(report) = payload { Some(report) } else { None }
}

fn changes(
    winners: Vec<Winner<StripeObject>>,
    mut stored: HashMap<String, Stored<StripeObject>>,
) -> BTreeMap<String, ChangedObject> {
    winners
        .into_iter()
        .map(|Winner { reported, .. }| {
            let before = stored.remove(&reported.report.subject).map(|stored| stored.state);
            (reported.report.subject, ChangedObject { before, after: reported.report.state })
        })
        .collect()
}

/// The report of a state that was imported from the database. `is_deleted`: it was known and no longer exists.
pub(in crate::store) const fn imported<T>(
    subject: String,
    state: T,
    occurred_at: OffsetDateTime,
    is_deleted: bool,
) -> Report<T> {
    Report {
        subject,
        occurred_at,
        sequence: None,
        change_kind: if is_deleted { order::ChangeKind::Deleted } else { order::ChangeKind::Created },
        is_final: is_deleted,
        state,
        object: Value::Null,
        previous: None,
        departures_before: None,
    }
}
