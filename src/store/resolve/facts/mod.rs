//! Facts: the present state of each object, whatever order its events came in.
//!
//! A fact remembers the moment of the event that won. An event of an earlier moment changes nothing, one
//! of a later moment wins, and where several share the moment all of them are read from the inbox and
//! [`order`] decides: so the cost does not grow with an object's history, and the result depends on the
//! set of events alone. Of objects whose history the MRR ledger needs, every moment is decided that way
//! and its winner kept as a version; the fact is the last of them.

mod rows;
mod stripe;
mod versioned;
mod winners;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(in crate::store) use self::versioned::Versioned;
pub(in crate::store) use self::winners::Winner;
use self::winners::{claims_of, latest, winners_of, with_found};
use super::claims::Made;
use super::versions::{self, RecomputeFrom};
use crate::project::internal::FOUND;
use crate::project::meaning::Report;
use crate::project::order;
use crate::project::stripe::StripeObject;
use crate::project::supabase::Row;
use crate::project::{Meaning, Reading};

/// A report and the event that made it.
#[derive(Clone, Debug)]
pub struct Reported<T> {
    pub event_id: String,
    pub report: Report<T>,
}

impl<T> Reported<T> {
    /// What decides before anything else.
    pub(in crate::store) const fn moment(&self) -> Moment {
        (self.report.is_final, self.report.number, self.report.occurred_at)
    }
}

/// A state that cannot be left, then the higher number, where there is one, then the later second.
pub(in crate::store) type Moment = (bool, Option<i64>, OffsetDateTime);

/// A fact that a batch changed.
#[derive(Clone, Debug)]
pub struct Changed<T> {
    pub before: Option<T>,
    pub after: T,
}

/// A fact as it stands.
struct Stored<T> {
    moment: Moment,
    /// The event that reported it.
    event_id: String,
    state: T,
}

/// What a batch changed among Stripe's objects.
#[derive(Debug, Default)]
pub struct Settled {
    /// The facts that changed, by object id.
    pub changed: BTreeMap<String, Changed<StripeObject>>,
    /// From when on the customers' ledgers are to be worked out again.
    pub since: RecomputeFrom,
    /// What objects with a history claim, the last of each second.
    pub claims: Vec<Made>,
    /// The changed objects that were parked for want of their state.
    pub thin: BTreeSet<String>,
}

/// Settles what the batch `reported` of Stripe's objects, which belong together as `links` say.
///
/// # Errors
/// Whatever the database says.
pub async fn settle_stripe(
    tx: &mut PgConnection,
    reported: Vec<Reported<StripeObject>>,
    links: &BTreeSet<(String, String)>,
    reading: &Reading,
) -> Result<Settled, sqlx::Error> {
    if reported.is_empty() {
        return Ok(Settled::default());
    }
    let stripe::Known { facts: stored, mut thin } = stripe::known(tx, &subjects(&reported)).await?;
    let decided = versions::decided(tx, &reported).await?;
    let said = stripe::said(&reported);
    // No event of Stripe's tells of these.
    let (found, reported): (Vec<_>, _) =
        reported.into_iter().partition(|one| matches!(one.report.state, StripeObject::FoundPayment(_)));
    let mut winners = winners_of(tx, reported, &stored, &decided, reading, of_stripe).await?;
    let claims = claims_of(&mut winners);
    let revised = versions::write(tx, &winners).await?;
    let mut winners = with_found(latest(winners, &stored), found, &stored);
    stripe::recall_statuses(tx, &mut winners).await?;
    let reminded = stripe::remember(&mut winners, said, &stored);
    stripe::write(tx, &winners, links).await?;
    stripe::write_reminded(tx, &reminded).await?;
    let customer_of = |id: &str| {
        let present =
            winners.iter().map(|winner| &winner.reported.report.state).find(|state| state.id() == id);
        present.or(stored.get(id).map(|stored| &stored.state))?.customer_id()
    };
    let mut since = versions::since(&revised, customer_of);
    let mut changed = changes(winners, stored);
    changed.extend(reminded);
    versions::add_moved(&mut since, &changed);
    thin.retain(|id| changed.contains_key(id));
    Ok(Settled { changed, since, claims, thin })
}

/// Settles what the batch `reported` of application rows and files; returns the facts that changed.
///
/// # Errors
/// Whatever the database says.
pub async fn settle_rows(
    tx: &mut PgConnection,
    reported: Vec<Reported<Row>>,
    reading: &Reading,
) -> Result<BTreeMap<String, Changed<Row>>, sqlx::Error> {
    if reported.is_empty() {
        return Ok(BTreeMap::new());
    }
    let stored = rows::stored(tx, &reported).await?;
    let (found, reported) = reported.into_iter().partition(is_found);
    let winners = winners_of(tx, reported, &stored, &HashSet::new(), reading, of_row).await?;
    let winners = with_found(latest(winners, &stored), found, &stored);
    rows::write(tx, &winners).await?;
    Ok(changes(winners, stored))
}

/// What was read in the application's tables and not reported by an event of its own.
fn is_found<T>(reported: &Reported<T>) -> bool {
    reported.event_id.starts_with(FOUND)
}

fn of_stripe(meaning: Meaning) -> Option<Report<StripeObject>> {
    if let Meaning::Stripe(report) = meaning { Some(*report) } else { None }
}

fn of_row(meaning: Meaning) -> Option<Report<Row>> {
    if let Meaning::Row(report) = meaning { Some(report) } else { None }
}

fn subjects<T>(reported: &[Reported<T>]) -> Vec<String> {
    let subjects: BTreeSet<&String> = reported.iter().map(|one| &one.report.subject).collect();
    subjects.into_iter().cloned().collect()
}

fn changes<T: Clone>(
    winners: Vec<Winner<T>>,
    mut stored: HashMap<String, Stored<T>>,
) -> BTreeMap<String, Changed<T>> {
    winners
        .into_iter()
        .map(|Winner { reported, .. }| {
            let before = stored.remove(&reported.report.subject).map(|stored| stored.state);
            (reported.report.subject, Changed { before, after: reported.report.state })
        })
        .collect()
}

/// The report of a state that is not reported by an event but found in the database. `is_gone`: it was known and
/// is not there any more.
pub(in crate::store) const fn found<T>(
    subject: String,
    state: T,
    occurred_at: OffsetDateTime,
    is_gone: bool,
) -> Report<T> {
    Report {
        subject,
        occurred_at,
        number: None,
        stage: if is_gone { order::Stage::Deleted } else { order::Stage::Created },
        is_final: is_gone,
        state,
        object: Value::Null,
        previous: None,
        corrects_after: None,
    }
}
