//! What stands in the application's tables, read whatever events have reported or have not; and the members' rows made
//! right. Run again it finds what has gone amiss since: events that were lost.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use crate::ops::actor::note;
use crate::ops::progress::Progress;
use crate::store::backfill::{Counts, Import, Part, Scope, Unknown};
use crate::store::{Store, StoreError};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows looked at, by part.
    pub looked_at: Counts,
    /// Rows that no event had reported, or reported otherwise, by part; for members, rows derived again.
    pub found: Counts,
    /// What the tables could not tell.
    pub unknown: Vec<Unknown>,
    /// How long it took.
    #[serde(rename = "took_s", serialize_with = "crate::ops::seconds")]
    pub took: Duration,
}

/// Reads the tables of `scopes`. Where memberflow has never consumed yet, this is its first start, which reads
/// all of them. Events continue being applied meanwhile. Can be stopped at any moment, by dropping the future or
/// killing the process: the next run continues there.
///
/// # Errors
/// [`StoreError`], which says whether waiting helps.
pub async fn run(store: &Store, scopes: &[Scope], progress: &mut Progress) -> Result<Report, StoreError> {
    let begun = Instant::now();
    let mut report =
        Report { looked_at: Counts::new(), found: Counts::new(), unknown: Vec::new(), took: Duration::ZERO };
    let is_first = !store.has_imported().await?;
    if is_first {
        store.begin_first_start().await?;
    }
    for scope in if is_first { &Scope::ALL } else { scopes } {
        let import = store.read_tables(*scope, is_first).await?;
        follow(&import, progress).await?;
        let (looked_at, found) = import.counts().await?;
        report.looked_at.extend(looked_at);
        report.found.extend(found);
        report.unknown.extend(import.unknown().await?);
    }
    if is_first {
        store.end_first_start().await?;
    }
    progress.finish();
    report.took = begun.elapsed();
    let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    note(store.pool(), "backfill", json!({"scopes": names}), json!({"found": report.found}), store.now())
        .await?;
    Ok(report)
}

async fn follow(import: &Import, progress: &mut Progress) -> Result<(), StoreError> {
    let mut under_way: Option<Part> = None;
    while let Some(step) = import.step().await? {
        if under_way.as_ref() != Some(&step.part) {
            let estimate = import.estimate(&step.part).await?;
            progress.begin(&format!("reading {}", step.part.name()), estimate);
            under_way = Some(step.part);
        }
        progress.advance(step.rows.unsigned_abs());
    }
    Ok(())
}
