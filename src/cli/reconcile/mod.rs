//! `memberflow reconcile`: what Stripe, Twilio and the database itself say, beside what the events have reported.

mod stripe;
mod supabase;
mod twilio;

use clap::Subcommand;
use serde::Serialize;

pub(super) use stripe::{StripeRun, run_stripe, summary};
pub(super) use twilio::{TwilioRun, run_twilio, summary as twilio_summary};

use super::Exit;
use super::terminal::write_line;
use crate::clock::Clock;
use crate::config::Config;

/// Compare what was derived from events with Stripe's or Twilio's API or with the database itself; exit with 6 if they differ.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct ReconcileArgs {
    #[command(subcommand)]
    command: ReconcileCommand,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum ReconcileCommand {
    Stripe(stripe::StripeArgs),
    Supabase(supabase::SupabaseArgs),
    Twilio(twilio::TwilioArgs),
}

/// Runs the subcommand: what differs and a summary on stdout, progress on stderr.
///
/// # Errors
/// The database, Stripe or Twilio is away or refuses, or the command was interrupted.
pub async fn run(args: ReconcileArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    match args.command {
        ReconcileCommand::Stripe(args) => stripe::run(args, config, clock).await,
        ReconcileCommand::Supabase(args) => supabase::run(args, config, clock).await,
        ReconcileCommand::Twilio(args) => twilio::run(args, config, clock).await,
    }
}

/// Writes each thing that differs as a line of JSON, or the first `limit` of them as `lines` puts it, and counts in `shown`.
fn showing<T: Serialize>(json: bool, limit: u64, shown: &mut u64, lines: fn(&T) -> String) -> impl FnMut(&T) {
    move |drifted| {
        if json || *shown < limit {
            *shown += 1;
            let text = if json { serde_json::to_string(drifted).ok() } else { Some(lines(drifted)) };
            // A reader that has seen enough is no failure.
            text.map(|text| write_line(&text).ok());
        }
    }
}
