//! `memberflow backfill twilio`: every text message that Twilio's API has.

use time::OffsetDateTime;

use crate::cli::{Exit, print_data, reconcile};
use crate::clock::Clock;
use crate::config::Config;
use crate::ops::ledger::parse_since;
use crate::ops::reconcile::twilio::Options;
use crate::ops::twilio_api::SentRange;

/// Read all text messages from Twilio's API, those that no webhook reported among them.
///
/// Each message is merged with the reports received so far, and a missed STOP counts. Nothing is written if nothing
/// differs. Needs TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKENS.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct TwilioArgs {
    /// Leave out messages sent before this date or moment.
    #[arg(long, value_name = "DATE", value_parser = parse_since)]
    since: Option<OffsetDateTime>,
    /// Leave out messages sent after this date or moment: where a run that was ended says that it can be resumed.
    #[arg(long, value_name = "DATE", value_parser = parse_since)]
    until: Option<OffsetDateTime>,
    /// The summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Exits with 0, or with 3 if some messages could not be read.
pub(super) async fn run(args: TwilioArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let options = Options { fix: true, sent: SentRange { since: args.since, until: args.until } };
    let report = reconcile::run_twilio("backfill", options, config, clock, |_| {}).await?;
    let text = if args.json { serde_json::to_string(&report)? } else { reconcile::twilio_summary(&report) };
    print_data(&(text + "\n"))?;
    Ok(if report.unreadable == 0 { Exit::Fine } else { Exit::SomeFailed })
}
