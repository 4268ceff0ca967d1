//! `memberflow backfill stripe-events`: events that were never received.

use time::OffsetDateTime;

use crate::cli::{Exit, Failure, print_data, stripe_api};
use crate::clock::Clock;
use crate::config::Config;
use crate::ops::backfill::stripe_events::{self, Options, Report};
use crate::ops::ledger::parse_since;
use crate::ops::progress::Progress;

/// Apply events that were never received, from the thirty days that Stripe keeps them.
///
/// Events keep their ids and times: one that is delivered later after all is not applied again. After an outage this
/// restores exactly what was missed; `backfill stripe` fixes what is older. Needs STRIPE_API_KEY.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct StripeEventsArgs {
    /// Only events made at this date or moment, or later.
    #[arg(long, value_name = "DATE", value_parser = parse_since)]
    since: Option<OffsetDateTime>,
    /// Only events that Stripe could not deliver to every endpoint; faster.
    #[arg(long)]
    undelivered: bool,
    /// The summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Exits with 0, or with 3 if some events could not be applied.
pub(super) async fn run(args: StripeEventsArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let (store, api) = stripe_api::open(config, clock)?;
    let options = Options { since: args.since, undelivered: args.undelivered };
    let mut progress = Progress::on_stderr("backfill");
    let report = tokio::select! {
        done = stripe_events::run(&store, &api, clock, options, &mut progress) => done.map_err(stripe_api::failure)?,
        _ = tokio::signal::ctrl_c() => {
            return Err(Failure::new(Exit::Failed, "interrupted: what was applied stays; the next run applies the rest").into());
        }
    };
    let text = if args.json { serde_json::to_string(&report)? } else { summary(&report) };
    print_data(&(text + "\n"))?;
    Ok(if report.dead + report.unreadable == 0 { Exit::Fine } else { Exit::SomeFailed })
}

fn summary(report: &Report) -> String {
    let Report { listed, new, dead, forgotten, unreadable } = report;
    let mut text = format!("events that Stripe has: {listed}; new and applied: {new}");
    if *dead > 0 {
        text += &format!("; dead letters, see `memberflow dead-letters list`: {dead}");
    }
    if *forgotten > 0 {
        text += &format!("; about forgotten persons, left out: {forgotten}");
    }
    if *unreadable > 0 {
        text += &format!("; unparseable: {unreadable}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_names_only_failures_besides_counts() {
        let fine = Report { listed: 9, new: 2, ..Report::default() };
        assert_eq!(summary(&fine), "events that Stripe has: 9; new and applied: 2");
        let text = summary(&Report { dead: 1, unreadable: 3, ..fine });
        assert!(
            text.ends_with("; dead letters, see `memberflow dead-letters list`: 1; unparseable: 3"),
            "{text}"
        );
    }
}
