//! Compares every object of Stripe's API with what events have reported, and fixes differences by an internal event.
//!
//! Such an event carries the object as the API showed it, a snapshot, and is applied like any other. Its place in the
//! object's history is the second in which it was requested: it wins over events of earlier seconds and loses to later
//! ones, and a final state stays. It is written only if something differs, so a second run changes nothing; and it is
//! stored among the events, so a rebuild applies it again. None is written of an object of a forgotten person.

mod compare;
mod forgotten;
mod lists;
mod object_id;
mod scan;
mod whole;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Options, audit};
use crate::clock::Clock;
use crate::ops::actor::actor;
use crate::ops::drift::{self, Comparison, Sample};
use crate::ops::progress::Progress;
use crate::ops::stripe_api::{StripeApi, StripeApiError};
use crate::store::{Store, StoreError};

pub use self::compare::{DriftedObject, ObjectDrift, SNAPSHOT};
pub(in crate::ops) use self::forgotten::Forgotten;
pub use self::object_id::ObjectId;
pub use crate::project::stripe::FieldDifference;

/// Its name, as the last comparison, the audit log and jobs have it.
const NAME: &str = "reconcile stripe";
/// What stands in place of a field if the API does not know an object: nothing that can be fixed.
pub(crate) const NOT_AT_STRIPE: &str = "not at Stripe";

/// The result.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Whether differences were to be fixed.
    pub fix: bool,
    /// Objects compared, by kind.
    pub objects: BTreeMap<String, u64>,
    /// Objects that differ or are missing, by kind.
    pub drifted: BTreeMap<String, u64>,
    /// How many of them were fixed.
    #[serde(rename = "mended")]
    pub fixed: u64,
    /// Objects among the facts that the API does not know.
    pub not_at_stripe: u64,
    /// Prices, products and coupons that have been deleted at Stripe: no drift.
    pub deleted_at_stripe: u64,
    /// Objects of forgotten persons: compared without what was removed, and never stored again.
    pub forgotten: u64,
    /// Objects that could not be decoded.
    pub unreadable: u64,
    /// Lists that could not be read, each with the reason.
    pub skipped: BTreeMap<String, String>,
    /// How long it took.
    #[serde(rename = "took_s", serialize_with = "crate::ops::seconds")]
    pub took: Duration,
}

impl Report {
    /// How many objects differ (or differed, where they were fixed).
    #[must_use]
    pub fn total(&self) -> u64 {
        self.drifted.values().sum::<u64>() + self.not_at_stripe
    }

    /// How many objects still differ.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.total().saturating_sub(self.fixed)
    }
}

/// The run was aborted. What was fixed until then stays fixed, and the next run continues.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Stripe's API refuses or does not answer.
    #[error("{path}: {source}")]
    Api {
        /// The requested path.
        path: String,
        /// The error.
        source: StripeApiError,
    },
    /// The object that is to be compared alone exists nowhere.
    #[error(
        "neither Stripe nor any event has {0}: check the id, and that STRIPE_API_KEY is of its account and mode"
    )]
    NotFound(String),
    /// The database refuses or does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReconcileError {
    /// What is wrong, what to do about it, and what stays.
    #[must_use]
    pub fn explained(&self) -> String {
        let (path, source) = match self {
            Self::Store(error) => return format!("{error}; {}", error.hint()),
            Self::NotFound(_) => return self.to_string(),
            Self::Api { path, source } => (path, source),
        };
        let hint = match source {
            // It says itself which key to set.
            StripeApiError::OtherMode(_) => "",
            StripeApiError::Refused { status: 401, .. } => {
                "; make a new key (Developers -> API keys in Stripe's dashboard) and set STRIPE_API_KEY"
            }
            StripeApiError::Refused { status: 403, .. } => "; give the restricted key the right to read this",
            StripeApiError::Refused { status: 429, .. } => {
                "; lower MEMBERFLOW_STRIPE_REQUESTS_PER_SECOND, or try again later"
            }
            StripeApiError::Refused { status: 500.., .. } | StripeApiError::Unreachable(_) => {
                "; try again later; see https://status.stripe.com"
            }
            StripeApiError::InvalidResponse(_)
            | StripeApiError::TooManyPages(_)
            | StripeApiError::Refused { .. } => {
                "; see that STRIPE_API_BASE, if set, is the address of Stripe's API"
            }
            StripeApiError::Settings(_) => "; correct STRIPE_API_KEY and STRIPE_API_BASE",
        };
        format!("{path}: {source}{hint}. What was fixed by then stays, and the next run continues")
    }
}

/// Compares all objects of the API with the facts: first the unresolved ones, then list by list, page by page.
/// `show` gets each object that differs.
pub async fn run(
    store: &Store,
    api: &StripeApi,
    clock: &Clock,
    options: Options,
    progress: &mut Progress,
    show: impl FnMut(&DriftedObject),
) -> Result<Report, ReconcileError> {
    run_by(store, api, clock, options, &actor(), progress, show).await
}

/// The same; the audit log says that `actor` did it.
pub async fn run_by(
    store: &Store,
    api: &StripeApi,
    clock: &Clock,
    options: Options,
    actor: &str,
    progress: &mut Progress,
    mut show: impl FnMut(&DriftedObject),
) -> Result<Report, ReconcileError> {
    let begun = Instant::now();
    if options.fix {
        // Pre-existing rows are older than anything that the API shows now.
        store.initial_import().await?;
    }
    let mut sample = Sample::default();
    let note_and_show = |drifted: &DriftedObject| {
        note_differences(&mut sample, drifted);
        show(drifted);
    };
    let mut scan = scan::Scan::new(store, api, clock, options, note_and_show);
    let result = scan.all(progress).await;
    progress.finish();
    let mut report = scan.report;
    report.took = begun.elapsed();
    if report.fixed > 0 {
        let arguments = json!({"since": options.since.map(OffsetDateTime::unix_timestamp)});
        audit(store, actor, NAME, arguments, &report).await?;
    }
    result?;
    let comparison = Comparison {
        name: NAME,
        actor,
        is_fix: options.fix,
        found: report.total(),
        remaining: report.left(),
        at: store.now(),
    };
    sample.store(store.pool(), comparison).await;
    Ok(report)
}

/// Compares one object, and fixes it if `fix`. The stored comparison of all stays, without what agrees now.
pub async fn run_object_by(
    store: &Store,
    api: &StripeApi,
    clock: &Clock,
    fix: bool,
    object: &ObjectId,
    actor: &str,
    mut show: impl FnMut(&DriftedObject),
) -> Result<Report, ReconcileError> {
    let begun = Instant::now();
    if fix {
        store.initial_import().await?;
    }
    // A customer is shown with its discount, so there can be two.
    let mut agreeing = Vec::new();
    let note_and_show = |drifted: &DriftedObject| {
        if drifted.is_fixed {
            agreeing.push(drifted.name());
        }
        show(drifted);
    };
    let mut scan = scan::Scan::new(store, api, clock, Options { fix, since: None }, note_and_show);
    let result = scan.one(object).await;
    let mut report = scan.report;
    report.took = begun.elapsed();
    if report.fixed > 0 {
        audit(store, actor, NAME, json!({"object": object.as_str()}), &report).await?;
    }
    result?;
    if report.total() == 0 && !report.objects.is_empty() {
        agreeing.push(object.name());
    }
    drift::remove_agreeing(store.pool(), NAME, &agreeing).await;
    Ok(report)
}

fn note_differences(sample: &mut Sample, drifted: &DriftedObject) {
    let object = || drifted.name();
    let whole = match drifted.drift {
        // No drift.
        ObjectDrift::DeletedAtStripe => return,
        ObjectDrift::Missing => "missing",
        ObjectDrift::NotAtStripe => NOT_AT_STRIPE,
        ObjectDrift::Differs => "",
    };
    if !whole.is_empty() {
        sample.add(object, whole, &Value::Null, &Value::Null);
    }
    for field in &drifted.fields {
        sample.add(object, &field.field, &field.here, &field.stripe);
    }
}
