//! `memberflow reconcile twilio`

use anyhow::Context as _;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::drift::Findings;
use crate::cli::terminal::printable;
use crate::cli::{Exit, Failure};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::ledger::parse_since;
use crate::ops::progress::Progress;
use crate::ops::reconcile::twilio::{
    self, DriftedField, DriftedMessage, MessageDrift, Options, ReconcileError, Report,
};
use crate::ops::twilio_api::{NO_ACCOUNT, SentRange, TwilioApi, TwilioApiError};
use crate::store::{Store, StoreError, StoreSettings};

/// Compare every text message of Twilio's API with its reports.
///
/// Needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKENS.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct TwilioArgs {
    /// Fix differences, as one more report would.
    #[arg(long)]
    fix: bool,
    /// Leave out messages sent before this date or moment.
    #[arg(long, value_name = "DATE", value_parser = parse_since)]
    since: Option<OffsetDateTime>,
    /// Leave out messages sent after this date or moment: where a run that was ended says that it can be resumed.
    #[arg(long, value_name = "DATE", value_parser = parse_since)]
    until: Option<OffsetDateTime>,
    /// Show at most N of the messages that differ, as text; JSON shows them all.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u64,
    /// One line of JSON per message that differs, then one with the summary.
    #[arg(long)]
    json: bool,
}

/// Exits with 6 if differences remain, with 3 if some messages could not be read.
pub(super) async fn run(args: TwilioArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let options = Options { fix: args.fix, sent: SentRange { since: args.since, until: args.until } };
    let mut findings = Findings::new(args.json, args.limit);
    let show = |drifted: &DriftedMessage| {
        findings.show(drifted, lines);
    };
    let report = run_twilio("reconcile", options, config, clock, show).await?;
    findings.end(&report, report.total(), summary)?;
    Ok(match (report.left(), report.unreadable) {
        (0, 0) => Exit::Fine,
        (0, _) => Exit::SomeFailed,
        _ => Exit::Drift,
    })
}

/// Compares, and fixes if requested. The progress names `command`.
///
/// # Errors
/// A failure with its exit code.
pub async fn run_twilio(
    command: &'static str,
    options: Options,
    config: &Config,
    clock: &Clock,
    show: impl FnMut(&DriftedMessage),
) -> anyhow::Result<Report> {
    let api = TwilioApi::new(config).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let api = api.ok_or_else(|| Failure::new(Exit::Usage, NO_ACCOUNT))?;
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    let store = Store::new(pool, clock.clone(), StoreSettings::new(config));
    let (mut progress, mut reached) = (Progress::on_stderr(command), None);
    let done = tokio::select! {
        done = twilio::run(&store, &api, options, &mut progress, &mut reached, show) => Some(done),
        _ = tokio::signal::ctrl_c() => None,
    };
    match done {
        Some(done) => done.map_err(|error| failure(&error, &resume(reached))),
        None => Err(Failure::new(Exit::Failed, format!("interrupted. {}", resume(reached))).into()),
    }
}

/// 7 if Twilio or the database is down, 4 if Twilio rejects the token, 1 otherwise.
fn failure(error: &ReconcileError, resume: &str) -> anyhow::Error {
    let exit = match error {
        ReconcileError::Store(StoreError::Unavailable(_)) => Exit::DependencyDown,
        ReconcileError::Store(_) => Exit::Failed,
        ReconcileError::Api(api) => match api {
            TwilioApiError::Refused { status: 401 | 403, .. } => Exit::NotAllowed,
            TwilioApiError::Refused { status: 429 | 500.., .. }
            | TwilioApiError::Unreachable(_)
            | TwilioApiError::InvalidResponse(_) => Exit::DependencyDown,
            TwilioApiError::Refused { .. } => Exit::Failed,
            TwilioApiError::Settings(_) => Exit::Usage,
        },
    };
    Failure::new(exit, format!("{error}; {}. {resume}", error.hint())).into()
}

/// What a run that was ended has done, and how to go on: the newest messages are read first.
fn resume(reached: Option<OffsetDateTime>) -> String {
    match reached.and_then(|at| at.format(&Rfc3339).ok()) {
        Some(at) => {
            format!("What was fixed stays. `--until {at}` resumes there; without it all are read again")
        }
        None => "Nothing was read yet: run it again".to_owned(),
    }
}

fn lines(drifted: &DriftedMessage) -> String {
    let DriftedMessage { sid, direction, drift, fields, is_fixed } = drifted;
    let fixed = if *is_fixed { ", fixed" } else { "" };
    if *drift == MessageDrift::Missing {
        return format!("{direction} {sid}: not known here{fixed}");
    }
    let field = |it: &DriftedField| {
        format!(
            "\n    {}: {} -> {}",
            it.field,
            printable(&it.here.to_string()),
            printable(&it.twilio.to_string())
        )
    };
    format!("{direction} {sid}: here -> at Twilio{fixed}{}", fields.iter().map(field).collect::<String>())
}

/// The summary as text.
#[must_use]
pub fn summary(report: &Report) -> String {
    let Report { messages, missing, differing, unreadable, .. } = report;
    let mut lines = vec![format!("{messages:>8}  messages, {missing} not known, {differing} differ")];
    if *unreadable > 0 {
        lines.push(format!("unparseable entries: {unreadable}"));
    }
    let seconds = report.took.as_secs_f64();
    lines.push(match (report.total(), report.left()) {
        (0, _) => format!("no drift: the messages match Twilio ({seconds:.1} s)"),
        (total, 0) => format!("messages that differed and are fixed: {total} ({seconds:.1} s)"),
        (total, _) => {
            format!("messages that differ: {total}; `memberflow reconcile twilio --fix` fixes them ({seconds:.1} s)")
        }
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(error: TwilioApiError) -> Exit {
        Exit::of(&failure(&error.into(), ""))
    }

    #[test]
    fn twilio_outage_and_refusal_have_distinct_codes() {
        let refused = |status| TwilioApiError::Refused { status, message: "no".to_owned() };
        for (error, expected) in [
            (refused(401), Exit::NotAllowed),
            (refused(403), Exit::NotAllowed),
            (refused(429), Exit::DependencyDown),
            (refused(503), Exit::DependencyDown),
            (refused(400), Exit::Failed),
            (TwilioApiError::Unreachable("away".to_owned()), Exit::DependencyDown),
            (TwilioApiError::InvalidResponse("<html>".to_owned()), Exit::DependencyDown),
            (TwilioApiError::Settings("an address".to_owned()), Exit::Usage),
        ] {
            let said = error.to_string();
            assert_eq!(exit(error), expected, "{said}");
        }
    }
}
