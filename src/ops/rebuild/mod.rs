//! Rebuild: all derived tables again from the inbox, beside the live ones, to compare them or to mend them.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use crate::ops::actor::actor;
use crate::ops::progress::Progress;
use crate::store::Store;
use crate::store::rebuild::{self, Counts, Difference, Rebuild, RebuildError, Selection};

/// Differences that are in memory at once.
const PAGE: i64 = 500;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// It only compared.
    pub check: bool,
    /// Events whose part of the tables it was narrowed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected: Option<u64>,
    /// Events in the inbox when it began, with their bodies.
    pub events: u64,
    /// Events whose bodies were pruned: what they told is taken as it stands.
    pub pruned: u64,
    /// Events that can't be read (any more).
    pub unreadable: u64,
    /// Stripe's customers.
    pub customers: u64,
    /// Users without a customer.
    pub users: u64,
    /// How many rows differed from what the events make of them, by table.
    pub differing: Counts,
    /// How long it took.
    #[serde(rename = "took_s", serialize_with = "seconds")]
    pub took: Duration,
}

fn seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((took.as_secs_f64() * 10.0).round() / 10.0)
}

impl Report {
    /// How many rows differed.
    #[must_use]
    pub fn differing_rows(&self) -> i64 {
        self.differing.values().sum()
    }
}

/// Derives everything again; then compares (`check`) or makes the live tables equal. `show` gets the rows
/// that differed, until it has seen enough and says `false`.
///
/// Can be stopped at any moment, by dropping the future or killing the process: the live tables change in
/// one transaction at the end. What is left behind then is replaced by the next run.
///
/// # Errors
/// [`RebuildError`]; nothing was changed then.
pub async fn run(
    store: &Store,
    check: bool,
    progress: &mut Progress,
    show: impl FnMut(Difference) -> bool,
) -> Result<Report, RebuildError> {
    narrowed(store, None, check, progress, show).await
}

/// Projects the selected events again: the same as [`run`], for the rows that these events have a say in and
/// what hangs on those.
///
/// # Errors
/// [`RebuildError`]; nothing was changed then.
pub async fn replay(
    store: &Store,
    selection: &Selection,
    check: bool,
    progress: &mut Progress,
    show: impl FnMut(Difference) -> bool,
) -> Result<Report, RebuildError> {
    narrowed(store, Some(selection), check, progress, show).await
}

async fn narrowed(
    store: &Store,
    selection: Option<&Selection>,
    check: bool,
    progress: &mut Progress,
    mut show: impl FnMut(Difference) -> bool,
) -> Result<Report, RebuildError> {
    let begun = Instant::now();
    let mut rebuild = Rebuild::begin(store).await?;
    let mut report = derive(&mut rebuild, progress).await?;
    report.check = check;
    if let Some(selection) = selection {
        report.selected = Some(rebuild.narrow(selection).await?);
    }
    progress.begin("comparing with the live tables", 0);
    let (act, arguments) = match selection {
        Some(selection) => ("replay", serde_json::to_value(selection).unwrap_or_default()),
        None => ("rebuild", json!({})),
    };
    report.differing =
        if check { rebuild.compare().await? } else { rebuild.repair(&actor(), act, arguments).await? };
    progress.finish();
    let mut last = 0;
    'pages: loop {
        let page = rebuild.differences(last, PAGE).await?;
        let Some(end) = page.last() else { break };
        last = end.id;
        for difference in page {
            if !show(difference) {
                break 'pages;
            }
        }
    }
    rebuild.end().await?;
    report.took = begun.elapsed();
    Ok(report)
}

/// Removes what a run that was stopped has left behind.
///
/// # Errors
/// [`RebuildError`]
pub async fn clear(store: &Store) -> Result<(), RebuildError> {
    rebuild::clear(store).await
}

async fn derive(rebuild: &mut Rebuild, progress: &mut Progress) -> Result<Report, RebuildError> {
    let (events, pruned) = rebuild.count_events().await?;
    progress.begin("settling events", events);
    let mut unreadable = 0;
    loop {
        let page = rebuild.settle_page().await?;
        if page.events == 0 {
            break;
        }
        unreadable += page.unreadable as u64;
        progress.advance(page.events as u64);
    }
    rebuild.add_up().await?;

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
    let (differing, took) = (Counts::new(), Duration::ZERO);
    Ok(Report { check: false, selected: None, events, pruned, unreadable, customers, users, differing, took })
}
