//! `memberflow backfill`: makes events of what exists already.

mod stripe;
mod stripe_events;

use clap::Subcommand;

use super::Exit;
use crate::clock::Clock;
use crate::config::Config;

/// Take in what was there before memberflow, or what never reached it.
///
/// Live events go on being applied meanwhile. Each command can be stopped at any moment and run again: what is
/// there already is not taken in twice.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct BackfillArgs {
    #[command(subcommand)]
    command: BackfillCommand,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum BackfillCommand {
    Stripe(stripe::StripeArgs),
    StripeEvents(stripe_events::StripeEventsArgs),
}

/// Runs the subcommand: what came of it on stdout, progress on stderr.
///
/// # Errors
/// The database or Stripe is away or refuses, or the command was interrupted.
pub async fn run(args: BackfillArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    match args.command {
        BackfillCommand::Stripe(args) => stripe::run(args, config, clock).await,
        BackfillCommand::StripeEvents(args) => stripe_events::run(args, config, clock).await,
    }
}
