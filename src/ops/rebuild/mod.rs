//! Rebuild: derives all tables again from the events, into shadow tables, and compares or fixes the live ones.

mod bounded;

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Value, json};

use crate::ops::actor::actor;
use crate::ops::drift::{Comparison, Sample};
use crate::ops::progress::Progress;
use crate::store::Store;
use crate::store::audit::{self, Act};
use crate::store::rebuild::{self, Counts, Rebuild, RebuildError, RowDifference, Selection, SubsetReport};

pub use bounded::{BoundedError, EVENTS_MAX, Replayed, replay_within};

/// Differences that are in memory at once.
const PAGE: i64 = 500;

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ReplayReport)]
pub struct Report {
    /// It only compared.
    pub check: bool,
    /// Events that were selected to be applied again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected: Option<u64>,
    /// Events that were resolved: those in the inbox when it began, with their bodies, or those about the rows that the
    /// selected events affect.
    pub events: u64,
    /// Events whose bodies were pruned: what they reported is taken as it stands.
    pub pruned: u64,
    /// Events that can't be read (any more).
    pub unreadable: u64,
    /// Stripe's customers.
    pub customers: u64,
    /// Users without a customer.
    pub users: u64,
    /// How many rows differed from what the events make of them, by table.
    #[schema(value_type = HashMap<String, i64>)]
    pub differing: Counts,
    /// How long it took.
    #[serde(rename = "took_s", serialize_with = "crate::ops::seconds")]
    #[schema(value_type = f64)]
    pub took: Duration,
}

impl Report {
    /// How many rows differed.
    #[must_use]
    pub fn differing_rows(&self) -> i64 {
        self.differing.values().sum()
    }

    fn add(&mut self, subset: SubsetReport) {
        self.events += subset.events;
        self.pruned += subset.pruned;
        self.unreadable += subset.unreadable;
        self.customers += subset.customers;
        self.users += subset.users;
        for (table, rows) in subset.differing {
            *self.differing.entry(table).or_default() += rows;
        }
    }
}

/// Derives everything again, then compares (`check`) or fixes the live tables. `show` gets the rows that
/// differed, until it returns `false`.
///
/// Can be stopped at any moment, by dropping the future or killing the process: the live tables change in
/// one transaction at the end. Leftovers are replaced by the next run.
///
/// # Errors
/// [`RebuildError`]; nothing was changed then.
pub async fn run(
    store: &Store,
    check: bool,
    progress: &mut Progress,
    show: impl FnMut(RowDifference) -> bool,
) -> Result<Report, RebuildError> {
    run_by(store, check, &actor(), progress, show).await
}

/// The same; the audit log says that `actor` did it.
pub async fn run_by(
    store: &Store,
    check: bool,
    actor: &str,
    progress: &mut Progress,
    show: impl FnMut(RowDifference) -> bool,
) -> Result<Report, RebuildError> {
    everything(store, ("rebuild", json!({})), check, actor, progress, show).await
}

/// Re-applies the selected events: the same as [`run`] for the rows that these events affect and everything connected
/// with them, subset by subset. A selection of all events is a rebuild.
///
/// Can be stopped at any moment: each subset is fixed in one transaction, and those fixed before stay so.
pub async fn replay(
    store: &Store,
    selection: &Selection,
    check: bool,
    progress: &mut Progress,
    show: impl FnMut(RowDifference) -> bool,
) -> Result<Report, RebuildError> {
    replay_by(store, selection, check, &actor(), progress, show).await
}

/// The same; the audit log says that `actor` did it.
pub async fn replay_by(
    store: &Store,
    selection: &Selection,
    check: bool,
    actor: &str,
    progress: &mut Progress,
    mut show: impl FnMut(RowDifference) -> bool,
) -> Result<Report, RebuildError> {
    let begun = Instant::now();
    let arguments = serde_json::to_value(selection).unwrap_or_default();
    if selection.is_everything() {
        let report = everything(store, ("replay", arguments), check, actor, progress, show).await?;
        return Ok(Report { selected: Some(report.events), ..report });
    }
    let mut rebuild = Rebuild::begin_replay(store).await?;
    let mut queue = rebuild.select(selection).await?;
    let mut report = Report { check, selected: Some(queue.total() as u64), ..Report::default() };
    progress.begin("re-applying events", queue.total() as u64);
    let (mut left, mut more) = (queue.left(), true);
    while let Some(subset) = rebuild.replay_next(&mut queue, check, actor, &arguments).await? {
        progress.advance((left - queue.left()) as u64);
        left = queue.left();
        let is_equal = subset.differing.is_empty();
        report.add(subset);
        more = more && (is_equal || show_differences(&mut rebuild, &mut show).await?);
    }
    progress.finish();
    if !check && report.differing.is_empty() {
        let act = Act { actor, act: "replay", arguments, outcome: json!({"differing": {}}) };
        audit::record(&mut *store.pool().acquire().await?, act, store.now()).await?;
    }
    rebuild.end().await?;
    report.took = begun.elapsed();
    Ok(report)
}

async fn everything(
    store: &Store,
    (act, arguments): (&str, Value),
    check: bool,
    actor: &str,
    progress: &mut Progress,
    mut show: impl FnMut(RowDifference) -> bool,
) -> Result<Report, RebuildError> {
    let begun = Instant::now();
    let mut rebuild = Rebuild::begin(store).await?;
    let mut report = derive(&mut rebuild, progress).await?;
    let mut sample = Sample::default();
    report.check = check;
    progress.begin("comparing with the live tables", 0);
    report.differing =
        if check { rebuild.compare().await? } else { rebuild.repair(actor, act, arguments).await? };
    progress.finish();
    show_differences(&mut rebuild, &mut |difference: RowDifference| {
        sample.add_row(&difference);
        show(difference)
    })
    .await?;
    rebuild.end().await?;
    report.took = begun.elapsed();
    let rows = report.differing_rows().unsigned_abs();
    let (is_fix, remaining) = if check { (false, rows) } else { (true, 0) };
    let comparison = Comparison { name: "rebuild", actor, is_fix, found: rows, remaining, at: store.now() };
    sample.store(store.pool(), comparison).await;
    Ok(report)
}

/// Shows the differences of the last comparison; returns whether more are wanted.
async fn show_differences(
    rebuild: &mut Rebuild,
    show: &mut impl FnMut(RowDifference) -> bool,
) -> Result<bool, RebuildError> {
    let mut last = 0;
    loop {
        let page = rebuild.differences(last, PAGE).await?;
        let Some(end) = page.last() else { return Ok(true) };
        last = end.id;
        for difference in page {
            if !show(difference) {
                return Ok(false);
            }
        }
    }
}

/// Removes the leftovers of an interrupted run.
pub async fn clear(store: &Store) -> Result<(), RebuildError> {
    rebuild::clear(store).await
}

async fn derive(rebuild: &mut Rebuild, progress: &mut Progress) -> Result<Report, RebuildError> {
    let (events, pruned) = rebuild.count_events().await?;
    progress.begin("resolving events", events);
    let mut unreadable = 0;
    loop {
        let page = rebuild.resolve_page().await?;
        if page.events == 0 {
            break;
        }
        unreadable += page.unreadable as u64;
        progress.advance(page.events as u64);
    }
    rebuild.finish_resolving().await?;

    let customers = rebuild.find_customers().await?;
    progress.begin("deriving customers", customers);
    loop {
        match rebuild.derive_customers().await? {
            0 => break,
            count => progress.advance(count as u64),
        }
    }
    let users = rebuild.find_users().await?;
    progress.begin("deriving users", users);
    loop {
        match rebuild.derive_users().await? {
            0 => break,
            count => progress.advance(count as u64),
        }
    }
    Ok(Report { events, pruned, unreadable, customers, users, ..Report::default() })
}
