//! `memberflow reconcile`: compares the facts with Stripe, Twilio and the database itself.

pub(super) mod drift;
mod stripe;
mod supabase;
mod twilio;

use clap::Subcommand;

pub(super) use stripe::{run_stripe, summary};
pub(super) use twilio::{run_twilio, summary as twilio_summary};

use super::Exit;
use crate::clock::Clock;
use crate::config::Config;

/// Compare what events reported with Stripe's API, Twilio's API or the database; exit with 6 if they differ.
#[derive(Clone, Debug, clap::Args)]
pub struct ReconcileArgs {
    #[command(subcommand)]
    command: ReconcileCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum ReconcileCommand {
    Stripe(stripe::StripeArgs),
    Supabase(supabase::SupabaseArgs),
    Twilio(twilio::TwilioArgs),
}

/// Runs the subcommand: differences and a summary on stdout, progress on stderr.
pub async fn run(args: ReconcileArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    match args.command {
        ReconcileCommand::Stripe(args) => stripe::run(args, config, clock).await,
        ReconcileCommand::Supabase(args) => supabase::run(args, config, clock).await,
        ReconcileCommand::Twilio(args) => twilio::run(args, config, clock).await,
    }
}
