//! Stripe's API beside the facts: every object of it compared with what the events have reported, and what differs
//! fixed by an event of our own.
//!
//! Such an event carries the object as the API showed it, a snapshot, and takes the same way as all others. Its
//! place in the object's history is the second in which it was asked for: it wins over events of earlier
//! seconds and loses to later ones, and what has ended stays so. It is written only where there is something
//! to fix, so a second run finds nothing to do, and it is kept in the inbox, so a rebuild takes it again.

mod compare;
mod lists;
mod walk;
mod whole;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::clock::Clock;
use crate::ops::actor::note;
use crate::ops::drift::{Comparison, Found};
use crate::ops::progress::Progress;
use crate::ops::stripe_api::{StripeApi, StripeApiError};
use crate::store::{Store, StoreError};

pub use self::compare::{Drift, Drifted, SNAPSHOT};
pub use crate::project::stripe::Difference;

/// What to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Fix what differs.
    pub fix: bool,
    /// Leave out invoices, payments, refunds and disputes made before. Customers, subscriptions and the
    /// catalogue are always compared whole, since any of them can change at any time.
    pub since: Option<OffsetDateTime>,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What differed was fixed.
    pub fix: bool,
    /// Objects compared, by kind.
    pub objects: BTreeMap<String, u64>,
    /// Objects that differ or are missing, by kind.
    pub drifted: BTreeMap<String, u64>,
    /// Those of them that were fixed.
    pub mended: u64,
    /// Objects among the facts that the API does not know.
    pub not_at_stripe: u64,
    /// Prices, products and coupons that have been deleted at Stripe: no drift.
    pub deleted_at_stripe: u64,
    /// Objects that no sense could be made of.
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
        self.total().saturating_sub(self.mended)
    }
}

/// It ended before its end. What was fixed by then stays fixed, and the next run continues from there.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Stripe's API refuses or does not answer.
    #[error("{path}: {source}")]
    Api {
        /// What was asked for.
        path: String,
        /// What came of it.
        source: StripeApiError,
    },
    /// The database refuses or does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares all that the API shows with the facts: first what is flagged, then list by list, page by page.
/// `show` gets each object that differs.
///
/// # Errors
/// [`ReconcileError`]
pub async fn run(
    store: &Store,
    api: &StripeApi,
    clock: &Clock,
    options: Options,
    progress: &mut Progress,
    mut show: impl FnMut(&Drifted),
) -> Result<Report, ReconcileError> {
    let begun = Instant::now();
    if options.fix {
        // What stood in the tables before memberflow is older than anything that the API says now.
        store.initial_import().await?;
    }
    let mut found = Found::default();
    let found_and_shown = |drifted: &Drifted| {
        note_differences(&mut found, drifted);
        show(drifted);
    };
    let mut walk = walk::Walk::new(store, api, clock, options, found_and_shown);
    let result = walk.all(progress).await;
    progress.finish();
    let mut report = walk.report;
    report.took = begun.elapsed();
    if report.mended > 0 {
        let arguments = json!({"since": options.since.map(OffsetDateTime::unix_timestamp)});
        note(store.pool(), "reconcile stripe", arguments, json!(report), store.now())
            .await
            .map_err(StoreError::from)?;
    }
    result?;
    let comparison = Comparison {
        name: "reconcile stripe",
        is_fix: options.fix,
        found: report.total(),
        remaining: report.left(),
        at: store.now(),
    };
    found.keep(store.pool(), comparison).await;
    Ok(report)
}

fn note_differences(found: &mut Found, drifted: &Drifted) {
    let object = || format!("{} {}", drifted.kind, drifted.id);
    let whole = match drifted.drift {
        // No drift.
        Drift::DeletedAtStripe => return,
        Drift::Missing => "missing",
        Drift::NotAtStripe => "not at Stripe",
        Drift::Differs => "",
    };
    if !whole.is_empty() {
        found.add(object, whole, &Value::Null, &Value::Null);
    }
    for field in &drifted.fields {
        found.add(object, &field.field, &field.here, &field.stripe);
    }
}
