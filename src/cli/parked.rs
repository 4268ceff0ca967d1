//! `memberflow parked list`: what waits for missing information.

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::moment::minutes;
use super::table::{plain, spaced};
use super::terminal::printable;
use super::{Exit, print};
use crate::config::Config;
use crate::database;
use crate::ops::parked::{self, Filter, ParkedItem};

/// List items that wait for missing information: a user, a tier, an object at Stripe, the owner of a number.
#[derive(Debug, Args)]
pub struct ParkedArgs {
    #[command(subcommand)]
    command: ParkedCommand,
}

#[derive(Debug, Subcommand)]
enum ParkedCommand {
    /// List parked items, oldest first.
    List(ListArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Filter by reason: unknown_user, no_tier, unmatched_number, …
    #[arg(long)]
    reason: Option<String>,
    /// Only this customer, subscription, payment or number.
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command; data goes to stdout.
///
/// # Errors
/// If the database does not answer, or stdout cannot be written to.
pub async fn run(args: ParkedArgs, config: &Config) -> anyhow::Result<Exit> {
    let ParkedCommand::List(args) = args.command;
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    let filter = Filter { reason: args.reason, subject: args.subject, ..Filter::default() };
    let waiting = parked::list(&pool, &filter, i64::from(args.limit)).await;
    print(&waiting.context("cannot read what is parked")?, args.json, |waiting| table(waiting))
}

fn table(waiting: &[ParkedItem]) -> String {
    if waiting.is_empty() {
        return "nothing is parked".to_owned();
    }
    let mut table = plain(&["Subject", "Reason", "Since", "What is missing"]);
    for one in waiting {
        let detail = printable(&one.detail);
        table.add_row([
            printable(&one.subject),
            one.reason.replace('_', " "),
            minutes(one.parked_at),
            detail,
        ]);
    }
    spaced(table).trim_fmt()
}
