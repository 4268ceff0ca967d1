//! `memberflow reconcile supabase`

use anyhow::Context as _;

use super::drift::Findings;
use crate::cli::{Exit, Failure};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::progress::Progress;
use crate::ops::reconcile::supabase::{self, DriftedValue, FixedBy, Report, Whose};
use crate::store::{Store, StoreError, StoreSettings};

/// Compare activity and revenue with a recount of the facts, the facts with the application's tables, campaigns with their
/// leads, tickets with their replies, and text messages with Twilio's reports.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct SupabaseArgs {
    /// Rederive members whose rows differ, and recount campaigns.
    #[arg(long)]
    fix: bool,
    /// Show at most N of the fields that differ, as text; JSON shows them all.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u64,
    /// One line of JSON per field that differs, then one with the summary.
    #[arg(long)]
    json: bool,
}

/// Exits with 6 if differences remain, with 3 if some tables could not be read.
pub(super) async fn run(args: SupabaseArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    let store = Store::new(pool, clock.clone(), StoreSettings::new(config));
    let mut progress = Progress::on_stderr("reconcile");
    let (mut findings, mut total) = (Findings::new(args.json, args.limit), 0);
    let show = |drift: &DriftedValue| {
        total += 1;
        findings.show(drift, line);
    };
    let report = tokio::select! {
        done = supabase::run(&store, args.fix, &mut progress, show) => done.map_err(failure)?,
        _ = tokio::signal::ctrl_c() => {
            return Err(Failure::new(Exit::Failed, "interrupted: what was fixed stays").into());
        }
    };
    findings.end(&report, total, summary)?;
    Ok(exit(&report))
}

fn failure(error: StoreError) -> anyhow::Error {
    let exit = match error {
        StoreError::Unavailable(_) => Exit::DependencyDown,
        StoreError::Rejected(_) => Exit::Failed,
    };
    Failure::new(exit, format!("{error}; {}", error.hint())).into()
}

fn exit(report: &Report) -> Exit {
    match (report.differing.is_empty(), report.skipped.is_empty()) {
        (true, true) => Exit::Fine,
        (true, false) => Exit::SomeFailed,
        _ => Exit::Drift,
    }
}

fn line(drift: &DriftedValue) -> String {
    let DriftedValue {
        whose: Whose::Member(id) | Whose::Campaign(id) | Whose::Ticket(id) | Whose::Message(id),
        field,
        here,
        recount,
        fixed_by,
    } = drift;
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    let from = if *fixed_by == FixedBy::Backfill { "reported" } else { "here" };
    format!("{id} {field}: {from} {} -> counted {}", value(here), value(recount))
}

fn summary(report: &Report) -> String {
    let skipped = report.skipped.iter().map(|table| format!("missing or unreadable: {table}"));
    let mut lines: Vec<String> = skipped.collect();
    if report.fixed_members > 0 {
        lines.push(format!("members rederived: {}", report.fixed_members));
    }
    if report.fixed_campaigns > 0 {
        lines.push(format!("campaigns recounted: {}", report.fixed_campaigns));
    }
    if report.fixed_tickets > 0 {
        lines.push(format!("tickets rederived: {}", report.fixed_tickets));
    }
    lines.extend(
        report
            .differing
            .iter()
            .map(|(command, count)| format!("fields that differ: {count}; `{command}` fixes them")),
    );
    if report.differing.is_empty() {
        lines.push("no drift: the members' rows match the facts and the tables".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn drift_line_names_owner_field_and_count() {
        let drift = DriftedValue {
            whose: Whose::Member(Uuid::nil()),
            field: "storage.objects (files)".to_owned(),
            here: None,
            recount: Some("3".to_owned()),
            fixed_by: FixedBy::Backfill,
        };
        assert_eq!(
            line(&drift),
            format!("{} storage.objects (files): reported nothing -> counted 3", Uuid::nil())
        );
    }

    #[test]
    fn summary_names_the_fixing_command() {
        let mut report = Report::default();
        assert_eq!(exit(&report), Exit::Fine);
        assert_eq!(summary(&report), "no drift: the members' rows match the facts and the tables");
        report.skipped.insert("auth.sessions".to_owned());
        assert_eq!(exit(&report), Exit::SomeFailed);
        report.differing.insert(FixedBy::Rebuild.command(), 2);
        report.fixed_members = 4;
        assert_eq!(exit(&report), Exit::Drift);
        assert_eq!(
            summary(&report),
            "missing or unreadable: auth.sessions\n\
             members rederived: 4\nfields that differ: 2; `memberflow rebuild` fixes them"
        );
    }
}
