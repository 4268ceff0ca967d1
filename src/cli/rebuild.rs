//! `memberflow rebuild`: rederives all tables from the events, and compares or fixes the live ones.

use std::collections::BTreeSet;

use anyhow::Context as _;
use serde_json::{Map, Value};

use super::reconcile::drift::{Findings, short};
use super::{Exit, Failure};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::progress::Progress;
use crate::ops::rebuild::{self, Report};
use crate::store::rebuild::{RebuildError, RowDifference, Selection};
use crate::store::{Store, StoreSettings};

/// Rebuild the derived tables from the event log and repair differences.
///
/// New events are applied meanwhile. It can be stopped at any time: the live tables change in one transaction at the
/// end, and only where they differ.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct RebuildArgs {
    /// Only compare; exit with 6 if a row differs.
    #[arg(long)]
    pub(super) check: bool,
    /// Show at most N of the rows that differ, as text; JSON shows them all.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(super) limit: u64,
    /// One line of JSON per row that differs, then one with the summary.
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs the subcommand: differing rows and the summary on stdout, progress on stderr.
///
/// # Errors
/// If the database is down or refuses, another rebuild is running, or this one was interrupted.
pub async fn run(args: RebuildArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    let store = Store::new(pool, clock.clone(), StoreSettings::new(config));
    drive(&store, None, args).await
}

/// Rebuilds all tables, or the rows that a `selection` of events affects, and prints the result.
pub(super) async fn drive(
    store: &Store,
    selection: Option<&Selection>,
    args: RebuildArgs,
) -> anyhow::Result<Exit> {
    let mut progress = Progress::on_stderr(if selection.is_some() { "replay" } else { "rebuild" });
    let mut findings = Findings::new(args.json, args.limit);
    let show = |difference: RowDifference| findings.show(&difference, row);
    let work = async {
        match selection {
            Some(selection) => rebuild::replay(store, selection, args.check, &mut progress, show).await,
            None => rebuild::run(store, args.check, &mut progress, show).await,
        }
    };
    let finished = tokio::select! {
        finished = work => Some(finished),
        _ = tokio::signal::ctrl_c() => None,
    };
    let report = match finished {
        Some(Err(RebuildError::NothingSelected)) => return nothing_selected(store).await,
        Some(finished) => finished?,
        None => return interrupted(store, &progress, selection.is_some()).await,
    };
    findings.end(&report, report.differing_rows().unsigned_abs(), summary)?;
    Ok(exit(&report))
}

/// 6 if a comparison found a difference; a rebuild has fixed what it found.
fn exit(report: &Report) -> Exit {
    if report.check && report.differing_rows() > 0 { Exit::Drift } else { Exit::Fine }
}

async fn nothing_selected(store: &Store) -> anyhow::Result<Exit> {
    rebuild::clear(store).await.context("the shadow tables remain; the next replay removes them")?;
    Err(Failure::new(Exit::NotFound, RebuildError::NothingSelected.to_string()).into())
}

async fn interrupted(store: &Store, progress: &Progress, is_replay: bool) -> anyhow::Result<Exit> {
    progress.finish();
    rebuild::clear(store).await.context("the shadow tables remain; the next rebuild removes them")?;
    let message = if is_replay {
        "interrupted: what was fixed stays"
    } else {
        "interrupted: the live tables are unchanged, unless the last transaction had begun"
    };
    Err(Failure::new(Exit::Failed, message).into())
}

fn row(difference: &RowDifference) -> String {
    let key: Vec<_> =
        difference.key.iter().map(|(column, value)| format!("{column}={}", bare(value))).collect();
    let name = format!("{} {}", difference.table, key.join(" "));
    match (&difference.before, &difference.after) {
        (Some(before), Some(after)) => name + &columns(before, after),
        (None, Some(after)) => format!("{name}\n    missing: {}", whole(after)),
        (before, None) => format!("{name}\n    too much: {}", whole(before.as_ref().unwrap_or(&Map::new()))),
    }
}

/// The columns that differ, one per line.
pub(super) fn columns(before: &Map<String, Value>, after: &Map<String, Value>) -> String {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let value = |row: &Map<String, Value>, name| row.get(name).map_or_else(|| "-".to_owned(), short);
    names
        .into_iter()
        .map(|name| format!("\n    {name}: {} -> {}", value(before, name), value(after, name)))
        .collect()
}

fn whole(row: &Map<String, Value>) -> String {
    let columns: Vec<_> = row.iter().map(|(column, value)| format!("{column}={}", short(value))).collect();
    columns.join(" ")
}

fn bare(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn summary(report: &Report) -> String {
    let Report { events, pruned, customers, users, unreadable, differing, took, .. } = report;
    let rows = report.differing_rows();
    let mut lines: Vec<String> =
        differing.iter().map(|(table, count)| format!("{count:>8}  {table}")).collect();
    let found = match (rows, report.check, report.selected) {
        (0, _, None) => "no drift: the live tables match the events".to_owned(),
        (0, _, Some(selected)) => format!("no drift in the rows that the {selected} selected events affect"),
        (rows, true, None) => format!("rows that differ: {rows}; `memberflow rebuild` fixes them"),
        (rows, true, Some(_)) => {
            format!("rows that would change: {rows}; run without --dry-run to change them")
        }
        (rows, false, _) => format!("rows that differed and are fixed: {rows}"),
    };
    let seconds = took.as_secs_f64();
    lines.push(format!(
        "{found} ({events} events, {customers} customers, {users} other users, {seconds:.1} s)"
    ));
    if *pruned > 0 {
        lines.push(format!("events whose bodies were pruned: {pruned}; their facts are used as they are"));
    }
    if *unreadable > 0 {
        lines.push(format!("unparseable events: {unreadable}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Option<Map<String, Value>> {
        value.as_object().cloned()
    }

    fn difference(before: Option<Value>, after: Option<Value>) -> RowDifference {
        RowDifference {
            id: 1,
            table: "public.user_revenue_metrics".to_owned(),
            key: object(json!({"user_id": "u"})).unwrap_or_default(),
            before: before.and_then(object),
            after: after.and_then(object),
        }
    }

    #[test]
    fn differing_columns_are_shown_before_and_after() {
        let changed = difference(Some(json!({"mrr": 1})), Some(json!({"mrr": 900})));
        assert_eq!(row(&changed), "public.user_revenue_metrics user_id=u\n    mrr: 1 -> 900");
        let missing = difference(None, Some(json!({"mrr": 900})));
        assert_eq!(row(&missing), "public.user_revenue_metrics user_id=u\n    missing: mrr=900");
        let extra = difference(Some(json!({"mrr": 1})), None);
        assert_eq!(row(&extra), "public.user_revenue_metrics user_id=u\n    too much: mrr=1");
    }

    #[test]
    fn only_a_check_exits_with_drift() {
        let report = |check, rows: i64| Report {
            check,
            selected: None,
            events: 1,
            pruned: 0,
            unreadable: 0,
            customers: 1,
            users: 0,
            differing: [("ingest.claims".to_owned(), rows)].into(),
            took: std::time::Duration::ZERO,
        };
        assert_eq!(exit(&report(true, 1)), Exit::Drift);
        assert_eq!(exit(&report(true, 0)), Exit::Fine);
        assert_eq!(exit(&report(false, 1)), Exit::Fine);
        assert!(summary(&report(true, 3)).starts_with("       3  ingest.claims\n"));
    }
}
