//! `memberflow reconcile`: what Stripe and the database itself say, beside what the events have told.

mod stripe;
mod supabase;

use clap::Subcommand;

pub(super) use stripe::{StripeRun, run_stripe, summary};

use super::Exit;
use crate::clock::Clock;
use crate::config::Config;

/// Compare what was derived from events with Stripe's API or with the database itself; exit with 6 if they differ.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct ReconcileArgs {
    #[command(subcommand)]
    command: ReconcileCommand,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum ReconcileCommand {
    Stripe(stripe::StripeArgs),
    Supabase(supabase::SupabaseArgs),
}

/// Runs the subcommand: what differs and a summary on stdout, progress on stderr.
///
/// # Errors
/// The database or Stripe is away or refuses, or the command was interrupted.
pub async fn run(args: ReconcileArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    match args.command {
        ReconcileCommand::Stripe(args) => stripe::run(args, config, clock).await,
        ReconcileCommand::Supabase(args) => supabase::run(args, config, clock).await,
    }
}
