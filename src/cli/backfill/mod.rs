//! `memberflow backfill`: imports existing data as events.

mod stripe;
mod stripe_events;
mod tables;
mod twilio;

use clap::Subcommand;

use super::Exit;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::backfill::ImportScope;

/// Import existing data, or events that were never received.
///
/// New events are applied meanwhile. Each command can be stopped at any time and run again: nothing is imported twice.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct BackfillArgs {
    #[command(subcommand)]
    command: BackfillCommand,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum BackfillCommand {
    /// Read users, logins, files, visions, journal entries and profiles from the application's tables
    Activity(tables::TablesArgs),
    /// Read subscriptions and payments from the application's tables
    Revenue(tables::TablesArgs),
    /// Read all of the application's tables
    All(tables::TablesArgs),
    Stripe(stripe::StripeArgs),
    StripeEvents(stripe_events::StripeEventsArgs),
    Twilio(twilio::TwilioArgs),
}

/// Runs the subcommand: summary on stdout, progress on stderr.
pub async fn run(args: BackfillArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    match args.command {
        BackfillCommand::Activity(args) => tables::run(args, &[ImportScope::Activity], config, clock).await,
        BackfillCommand::Revenue(args) => tables::run(args, &[ImportScope::Revenue], config, clock).await,
        BackfillCommand::All(args) => tables::run(args, &ImportScope::ALL, config, clock).await,
        BackfillCommand::Stripe(args) => stripe::run(args, config, clock).await,
        BackfillCommand::StripeEvents(args) => stripe_events::run(args, config, clock).await,
        BackfillCommand::Twilio(args) => twilio::run(args, config, clock).await,
    }
}
