//! Facts: the present state of each object, whatever order its events came in.
//!
//! A fact remembers the moment of the event that won. An event of an earlier moment changes nothing, one
//! of a later moment wins, and where several share the moment all of them are read from the inbox and
//! [`order`] decides: so the cost does not grow with an object's history, and the result depends on the
//! set of events alone. Of objects whose history the MRR ledger needs, every moment is decided that way
//! and its winner kept as a version; the fact is the last of them.

mod contender;
mod contest;
mod rows;
mod stripe;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;
use sqlx::PgConnection;
use time::OffsetDateTime;

pub(super) use self::contender::Contender;
pub(super) use self::contest::Won;
use self::contest::{claims_of, contest, latest, with_found};
use super::claims::Made;
use super::versions::{self, Since};
use crate::project::internal::FOUND;
use crate::project::meaning::Report;
use crate::project::order;
use crate::project::stripe::StripeObject;
use crate::project::supabase::Row;
use crate::project::{Meaning, Reading};

/// A report and the event that made it.
#[derive(Clone, Debug)]
pub struct Told<T> {
    pub event_id: String,
    pub report: Report<T>,
}

impl<T> Told<T> {
    /// What decides before anything else.
    pub(super) const fn moment(&self) -> Moment {
        (self.report.is_final, self.report.number, self.report.occurred_at)
    }
}

/// A state that cannot be left, then the higher number, where there is one, then the later second.
pub(super) type Moment = (bool, Option<i64>, OffsetDateTime);

/// A fact that a batch changed.
#[derive(Clone, Debug)]
pub struct Changed<T> {
    pub before: Option<T>,
    pub after: T,
}

/// A fact as it stands.
struct Stored<T> {
    moment: Moment,
    /// The event that told of it.
    event_id: String,
    state: T,
}

/// What a batch changed among Stripe's objects.
#[derive(Debug, Default)]
pub struct Settled {
    /// The facts that changed, by object id.
    pub changed: BTreeMap<String, Changed<StripeObject>>,
    /// From when on the customers' ledgers are to be worked out anew.
    pub since: Since,
    /// What objects with a history claim, the last of each second.
    pub claims: Vec<Made>,
    /// The changed objects that were parked for want of their state.
    pub thin: BTreeSet<String>,
}

/// Settles what the batch `told` of Stripe's objects, which belong together as `links` say.
///
/// # Errors
/// Whatever the database says.
pub async fn settle_stripe(
    tx: &mut PgConnection,
    told: Vec<Told<StripeObject>>,
    links: &BTreeSet<(String, String)>,
    reading: &Reading,
) -> Result<Settled, sqlx::Error> {
    if told.is_empty() {
        return Ok(Settled::default());
    }
    let stripe::Known { facts: stored, mut thin } = stripe::known(tx, &subjects(&told)).await?;
    let decided = versions::decided(tx, &told).await?;
    let said = stripe::said(&told);
    // No event of Stripe's tells of these.
    let (found, told): (Vec<_>, _) =
        told.into_iter().partition(|one| matches!(one.report.state, StripeObject::FoundPayment(_)));
    let mut won = contest(tx, told, &stored, &decided, reading, of_stripe).await?;
    let claims = claims_of(&mut won);
    let revised = versions::write(tx, &won).await?;
    let mut won = with_found(latest(won, &stored), found, &stored);
    stripe::recall_statuses(tx, &mut won).await?;
    let reminded = stripe::remember(&mut won, said, &stored);
    stripe::write(tx, &won, links).await?;
    stripe::write_reminded(tx, &reminded).await?;
    let customer_of = |id: &str| {
        let present = won.iter().map(|won| &won.told.report.state).find(|state| state.id() == id);
        present.or(stored.get(id).map(|stored| &stored.state))?.customer_id()
    };
    let mut since = versions::since(&revised, customer_of);
    let mut changed = changes(won, stored);
    changed.extend(reminded);
    versions::add_moved(&mut since, &changed);
    thin.retain(|id| changed.contains_key(id));
    Ok(Settled { changed, since, claims, thin })
}

/// Settles what the batch `told` of application rows and files; returns the facts that changed.
///
/// # Errors
/// Whatever the database says.
pub async fn settle_rows(
    tx: &mut PgConnection,
    told: Vec<Told<Row>>,
    reading: &Reading,
) -> Result<BTreeMap<String, Changed<Row>>, sqlx::Error> {
    if told.is_empty() {
        return Ok(BTreeMap::new());
    }
    let stored = rows::stored(tx, &told).await?;
    let (found, told) = told.into_iter().partition(is_found);
    let won = contest(tx, told, &stored, &HashSet::new(), reading, of_row).await?;
    let won = with_found(latest(won, &stored), found, &stored);
    rows::write(tx, &won).await?;
    Ok(changes(won, stored))
}

/// What was read in the application's tables and not told by an event of its own.
fn is_found<T>(told: &Told<T>) -> bool {
    told.event_id.starts_with(FOUND)
}

fn of_stripe(meaning: Meaning) -> Option<Report<StripeObject>> {
    if let Meaning::Stripe(report) = meaning { Some(*report) } else { None }
}

fn of_row(meaning: Meaning) -> Option<Report<Row>> {
    if let Meaning::Row(report) = meaning { Some(report) } else { None }
}

fn subjects<T>(told: &[Told<T>]) -> Vec<String> {
    let subjects: BTreeSet<&String> = told.iter().map(|one| &one.report.subject).collect();
    subjects.into_iter().cloned().collect()
}

fn changes<T: Clone>(
    won: Vec<Won<T>>,
    mut stored: HashMap<String, Stored<T>>,
) -> BTreeMap<String, Changed<T>> {
    won.into_iter()
        .map(|Won { told, .. }| {
            let before = stored.remove(&told.report.subject).map(|stored| stored.state);
            (told.report.subject, Changed { before, after: told.report.state })
        })
        .collect()
}

/// The report of a state that is not told by an event but found in the database. `is_gone`: it was known and
/// is not there any more.
pub(super) const fn found<T>(
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
