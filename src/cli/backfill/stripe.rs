//! `memberflow backfill stripe`: everything that Stripe's API has.

use time::OffsetDateTime;

use crate::cli::{Exit, print_data, reconcile};
use crate::clock::Clock;
use crate::config::Config;
use crate::ops::ledger::parse_since;
use crate::ops::reconcile::Options;

/// Read all customers, subscriptions, invoices, charges, refunds, disputes and the catalogue from Stripe's API.
///
/// Differences are applied like events created in the second in which Stripe answered. Nothing is written if nothing
/// differs. Needs STRIPE_API_KEY.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct StripeArgs {
    /// Leave out invoices, charges, refunds and disputes made before this date or moment.
    #[arg(long, value_name = "DATE", value_parser = parse_since)]
    since: Option<OffsetDateTime>,
    /// The summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Exits with 0, or with 3 if some lists could not be read.
pub(super) async fn run(args: StripeArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let options = Options { fix: true, since: args.since };
    let report = reconcile::run_stripe("backfill", options, config, clock, |_| {}).await?;
    let text = if args.json { serde_json::to_string(&report)? } else { reconcile::summary(&report) };
    print_data(&(text + "\n"))?;
    Ok(if report.skipped.is_empty() { Exit::Fine } else { Exit::SomeFailed })
}
