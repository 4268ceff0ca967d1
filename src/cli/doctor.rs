//! `memberflow doctor`: checks everything that memberflow needs, and prints fixes.

use super::{Exit, print_data};
use crate::config::Config;
use crate::ops::doctor::{self, Finding, Level, Report};

/// Check the database, the queue, the secrets, Stripe and Twilio, and print fixes.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct DoctorArgs {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the checks and prints the findings.
///
/// # Errors
/// Stdout can't be written to.
pub async fn run(args: DoctorArgs, config: &Config) -> anyhow::Result<Exit> {
    let report = doctor::examine(config).await;
    let text = if args.json { serde_json::to_string_pretty(&report)? } else { text(&report) };
    print_data(&(text + "\n"))?;
    Ok(exit(&report))
}

/// 0 nothing failed, 1 a check failed, 7 a dependency does not answer.
fn exit(report: &Report) -> Exit {
    match report.worst() {
        Level::Fine | Level::Note | Level::Warning => Exit::Fine,
        Level::Failed => Exit::Failed,
        Level::Down => Exit::DependencyDown,
    }
}

fn text(report: &Report) -> String {
    let mut lines: Vec<String> = report.findings.iter().map(line).collect();
    let count = |wanted: &[Level]| report.findings.iter().filter(|f| wanted.contains(&f.level)).count();
    let (failed, warnings) = (count(&[Level::Failed, Level::Down]), count(&[Level::Warning]));
    lines.push(match (failed, warnings) {
        (0, 0) => "\neverything is in order".to_owned(),
        (0, warnings) => format!("\nnothing failed; warnings: {warnings}"),
        (failed, warnings) => format!("\nfailed: {failed}, warnings: {warnings}"),
    });
    lines.join("\n")
}

fn line(finding: &Finding) -> String {
    let mark = match finding.level {
        Level::Fine => "ok  ",
        Level::Note => "note",
        Level::Warning => "warn",
        Level::Failed => "FAIL",
        Level::Down => "DOWN",
    };
    let fix = finding.fix.as_ref().map_or_else(String::new, |fix| format!("\n      -> {fix}"));
    format!("{mark}  {}: {}{fix}", finding.check, finding.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(levels: &[Level]) -> Report {
        let finding = |level: &Level| Finding {
            check: "database",
            level: *level,
            message: "a message".to_owned(),
            fix: (*level >= Level::Warning).then(|| "do this".to_owned()),
        };
        Report { findings: levels.iter().map(finding).collect() }
    }

    #[test]
    fn worst_finding_decides_exit_code() {
        for (levels, code) in [
            (&[][..], Exit::Fine),
            (&[Level::Fine, Level::Warning], Exit::Fine),
            (&[Level::Failed, Level::Fine], Exit::Failed),
            (&[Level::Down, Level::Failed, Level::Note], Exit::DependencyDown),
        ] {
            assert_eq!(exit(&report(levels)), code, "{levels:?}");
        }
    }

    #[test]
    fn finding_is_a_line_with_its_fix() {
        assert_eq!(
            text(&report(&[Level::Fine, Level::Failed])),
            "ok    database: a message\nFAIL  database: a message\n      -> do this\n\nfailed: 1, warnings: 0"
        );
        assert!(text(&report(&[Level::Note])).ends_with("everything is in order"));
    }
}
