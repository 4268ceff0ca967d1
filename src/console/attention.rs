//! `/console/attention`: what needs somebody: dead letters by cause, events that fail and are retried, what is parked by
//! reason, silent sources, and drift with the jobs that compare and fix.

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::extract::rejection::FormRejection;
use axum::response::{Redirect, Response};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::html::error::PageError;
use super::html::page::{Frame, page};
use super::html::query::Downloads;
use super::html::{confirm, format, query};
use super::state::Console;
use crate::config::console_roles::ConsoleRole;
use crate::console::session::Session;
use crate::ops::dead_letters::{self, Causes, Limits, Selection};
use crate::ops::drift::{self, LastCheck, StoredDifference};
use crate::ops::events::{self, Event, Filter, State as EventState};
use crate::ops::jobs::{self, Job, Operation};
use crate::ops::parked::{self, Parked};
use crate::ops::reconcile::stripe::{NOT_AT_STRIPE, ObjectId};
use crate::ops::sources::{self, Source};

/// Where it is.
const HERE: &str = "/console/attention";
/// The dead letters as files.
const DEAD_LETTERS: &str = "/console/dead-letters";
/// The most failing events that are shown here; their list has all.
const FAILING_SHOWN: u32 = 10;

#[derive(Template)]
#[template(path = "attention.html")]
struct Attention {
    frame: Frame,
    dead: Causes,
    /// Of the dead letters.
    downloads: Downloads,
    /// The newest of those that are retried.
    failing: Vec<Event>,
    parked: Vec<Parked>,
    /// Those that are silent.
    sources: Vec<Source>,
    comparisons: Vec<Comparison>,
    now: OffsetDateTime,
}

/// An operation that compares.
struct Comparison {
    operation: Operation,
    /// The last one.
    check: Option<LastCheck>,
    /// The one that waits or runs.
    job: Option<Job>,
}

/// A difference, and what fixes its object alone.
struct Difference<'a> {
    difference: &'a StoredDifference,
    /// The member of the row, whose events can be applied again.
    member: Option<Uuid>,
    /// The object of Stripe's API, which can be compared again.
    at_stripe: Option<ObjectId>,
}

impl Attention {
    fn is_anything_compared(&self) -> bool {
        self.comparisons.iter().any(|it| it.check.is_some())
    }

    fn needs_confirmation(&self, letters: &i64) -> bool {
        confirm::is_needed(*letters)
    }

    fn age(&self, since: &OffsetDateTime) -> String {
        format::age(*since, self.now)
    }
}

impl Comparison {
    /// What differed; the first difference of each object has what fixes it alone.
    fn differences(&self) -> Vec<Difference<'_>> {
        let mut rows: Vec<Difference<'_>> = Vec::new();
        for difference in self.check.iter().flat_map(|check| check.differences.0.iter()) {
            let object = difference.object.as_str();
            let is_first = rows.last().is_none_or(|last| last.difference.object != object);
            let member = if is_first { member_of(object) } else { None };
            let is_fixable = is_first && self.fixes_alone() && difference.field != NOT_AT_STRIPE;
            let at_stripe = if is_fixable { ObjectId::of_difference(object) } else { None };
            rows.push(Difference { difference, member, at_stripe });
        }
        rows
    }

    /// Whether a job can be requested that fixes one of the objects. The differences of a comparison that fixed what it could
    /// are either fixed or cannot be.
    fn fixes_alone(&self) -> bool {
        let has_fixed = self.check.as_ref().is_some_and(|check| check.is_fix);
        self.operation == Operation::ReconcileStripe && self.job.is_none() && !has_fixed
    }
}

/// The member of an object or row that differed.
fn member_of(object: &str) -> Option<Uuid> {
    let in_key = || object.split(' ').find_map(|part| part.strip_prefix("user_id="));
    object.strip_prefix("member ").or_else(in_key)?.trim_matches('"').parse().ok()
}

/// Shows it.
pub(super) async fn show(State(console): State<Console>, session: Session) -> Result<Response, PageError> {
    let dead = dead_letters::causes(console.pool(), &Selection::default()).await?;
    let (pool, now) = (console.pool(), console.now());
    let retried = Filter { state: Some(EventState::Failing), ..Filter::default() };
    let failing = events::list(pool, &retried, None, FAILING_SHOWN).await?.events;
    let parked = parked::reasons(pool).await?;
    let mut sources = sources::list(&mut *pool.acquire().await?, now).await?;
    sources.retain(|source| source.is_silent);
    let comparisons = comparisons(&console).await?;
    let downloads = query::downloads(DEAD_LETTERS, []);
    let frame = Frame::of(&session, "Attention", "Needs attention");
    Ok(page(&Attention { frame, dead, downloads, failing, parked, sources, comparisons, now }))
}

/// Each operation that compares.
async fn comparisons(console: &Console) -> Result<Vec<Comparison>, PageError> {
    let (mut checks, mut jobs) = (drift::last(console.pool()).await?, jobs::active(console.pool()).await?);
    let of = |operation: Operation| {
        let check = checks.iter().position(|check| check.name == operation.as_str());
        let job = jobs.iter().position(|job| job.operation == operation.as_str());
        Comparison {
            operation,
            check: check.map(|at| checks.swap_remove(at)),
            job: job.map(|at| jobs.swap_remove(at)),
        }
    };
    Ok(Operation::ALL.into_iter().map(of).collect())
}

/// Which letters, and what is done with them.
#[derive(Debug, Deserialize)]
pub(super) struct Act {
    source: String,
    event_type: String,
    reason: String,
    act: String,
    /// Their number, typed.
    #[serde(default)]
    confirm: String,
}

/// Redrives or drops the letters of one cause.
pub(super) async fn act(
    State(console): State<Console>,
    session: Session,
    fields: Result<Form<Act>, FormRejection>,
) -> Result<Redirect, PageError> {
    session.require(ConsoleRole::Operator)?;
    let Form(Act { source, event_type, reason, act, confirm: typed }) = fields?;
    let chosen = Selection {
        source: Some(source),
        event_type: Some(event_type),
        reason: Some(reason),
        ..Selection::default()
    };
    let (pool, clock, actor) = (console.pool(), &console.0.clock, session.actor.as_str());
    let letters = dead_letters::causes(pool, &chosen).await?.letters;
    confirm::check(letters, "dead letters", &typed)?;
    let limits = Limits::ONE_REQUEST;
    match act.as_str() {
        "redrive" => dead_letters::redrive(pool, &chosen, limits, actor, clock).await?,
        "drop" => dead_letters::drop_all(pool, &chosen, limits, actor, clock).await?,
        other => return Err(PageError::Invalid(format!("act is redrive or drop; {other:?} is neither"))),
    };
    Ok(Redirect::to(HERE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn member_is_found_in_what_differed() {
        let id = "ada00000-0000-4000-8000-000000000001";
        for object in [
            format!("member {id}"),
            format!("public.user_revenue_by_currency currency=\"usd\" user_id=\"{id}\""),
        ] {
            assert_eq!(member_of(&object), id.parse().ok(), "{object}");
        }
        for object in ["subscription sub_1", "member", "ingest.claims object_id=\"user_id=7\"", "user_id=x"] {
            assert_eq!(member_of(object), None, "{object}");
        }
    }
}
