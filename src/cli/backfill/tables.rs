//! `memberflow backfill activity`, `revenue` and `all`: imports the application's tables.

use anyhow::Context as _;

use crate::cli::{Exit, Failure, print_data};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::backfill::tables::{self, Report};
use crate::ops::progress::Progress;
use crate::store::backfill::ImportScope;
use crate::store::{Store, StoreError, StoreSettings};

/// Imports the rows as events and updates the members. The first start of `serve` does this by itself. Later runs find
/// rows that no event reported, rows that changed without an event, and rows that were deleted. An interrupted run
/// continues where it stopped.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct TablesArgs {
    /// One JSON document.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand: findings and limitations on stdout, progress on stderr.
///
/// # Errors
/// If the database is down or refuses, or this was interrupted.
pub(super) async fn run(
    args: TablesArgs,
    scopes: &[ImportScope],
    config: &Config,
    clock: &Clock,
) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    let store = Store::new(pool, clock.clone(), StoreSettings::new(config));
    let mut progress = Progress::on_stderr("backfill");
    let finished = tokio::select! {
        finished = tables::run(&store, scopes, &mut progress) => Some(finished),
        _ = tokio::signal::ctrl_c() => None,
    };
    progress.finish();
    let Some(finished) = finished else {
        let message = "interrupted: the next run continues from here";
        return Err(Failure::new(Exit::Failed, message).into());
    };
    let report = finished.map_err(explained)?;
    let text = if args.json { serde_json::to_string(&report)? } else { summary(&report) };
    print_data(&(text + "\n"))
}

fn explained(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Unavailable(cause) => {
            let message =
                format!("the database is not available: {cause}; what was read is kept, run it again");
            Failure::new(Exit::DependencyDown, message).into()
        }
        rejected @ StoreError::Rejected(_) => rejected.into(),
    }
}

fn summary(report: &Report) -> String {
    let Report { checked, imported, limitations, took } = report;
    let mut lines = Vec::new();
    for (phase, rows) in checked {
        let imported = imported.get(phase).copied().unwrap_or(0);
        lines.push(format!("{rows:>10}  {phase}: {imported} new or changed"));
    }
    for limitation in limitations {
        let count = limitation.count.map(|count| format!("{count} ")).unwrap_or_default();
        lines.push(format!("not known: {count}{}", limitation.what));
    }
    lines.push(format!("read in {:.1} s", took.as_secs_f64()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::backfill::Limitation;

    #[test]
    fn summary_shows_findings_and_limitations() {
        let counts = |rows| [("visions".to_owned(), rows)].into();
        let limitation = |count, what: &str| Limitation { count, what: what.to_owned() };
        let report = Report {
            checked: counts(12),
            imported: counts(3),
            limitations: vec![limitation(Some(2), "files are nobody's"), limitation(None, "no audit log")],
            took: Duration::from_millis(1234),
        };
        assert_eq!(
            summary(&report),
            "        12  visions: 3 new or changed\nnot known: 2 files are nobody's\n\
             not known: no audit log\nread in 1.2 s"
        );
    }
}
