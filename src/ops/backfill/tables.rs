//! Imports the application's tables, and derives the members' rows. A later run imports rows of lost events.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;

use crate::ops::actor::note;
use crate::ops::progress::Progress;
use crate::store::backfill::{Counts, Import, ImportScope, Limitation, Phase};
use crate::store::{Store, StoreError};

/// The result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows read, by phase.
    #[serde(rename = "looked_at")]
    pub checked: Counts,
    /// Rows that no event had reported, or reported with other values, by phase; for members, rows derived again.
    #[serde(rename = "found")]
    pub imported: Counts,
    /// What the tables do not show.
    #[serde(rename = "unknown")]
    pub limitations: Vec<Limitation>,
    /// How long it took.
    #[serde(rename = "took_s", serialize_with = "crate::ops::seconds")]
    pub took: Duration,
}

/// Reads the tables of `scopes`; all of them if memberflow has never consumed yet (its first start). Events are applied
/// meanwhile. Can be stopped at any moment, by dropping the future or killing the process: the next run continues.
///
/// # Errors
/// [`StoreError`], which says whether waiting helps.
pub async fn run(
    store: &Store,
    scopes: &[ImportScope],
    progress: &mut Progress,
) -> Result<Report, StoreError> {
    let begun = Instant::now();
    let mut report = Report {
        checked: Counts::new(),
        imported: Counts::new(),
        limitations: Vec::new(),
        took: Duration::ZERO,
    };
    let is_first = !store.has_imported().await?;
    if is_first {
        store.begin_initial_import().await?;
    }
    let scopes = if is_first { &ImportScope::ALL[..] } else { scopes };
    for scope in scopes {
        let import = store.import_tables(*scope, is_first).await?;
        import_all(&import, progress).await?;
        let (checked, imported) = import.counts().await?;
        report.checked.extend(checked);
        report.imported.extend(imported);
        report.limitations.extend(import.limitations().await?);
    }
    if is_first {
        store.end_initial_import().await?;
    }
    progress.finish();
    report.took = begun.elapsed();
    let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    note(store.pool(), "backfill", json!({"scopes": names}), json!({"found": report.imported}), store.now())
        .await?;
    Ok(report)
}

async fn import_all(import: &Import, progress: &mut Progress) -> Result<(), StoreError> {
    let mut current: Option<Phase> = None;
    while let Some(step) = import.step().await? {
        if current.as_ref() != Some(&step.phase) {
            let estimate = import.estimate(&step.phase).await?;
            progress.begin(&format!("reading {}", step.phase.name()), estimate);
            current = Some(step.phase);
        }
        progress.advance(step.rows.unsigned_abs());
    }
    Ok(())
}
