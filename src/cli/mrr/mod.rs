//! `memberflow mrr`: the MRR at any date, its waterfall, and how a member's is computed.

mod table;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::members::find;
use super::{Exit, Failure, print};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::ledger::{self, About, InvalidMonths, Month, Question};

/// Show monthly recurring revenue at any date, its movements, and how it is computed.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct MrrArgs {
    #[command(subcommand)]
    command: Option<MrrCommand>,
    #[command(flatten)]
    at: AtArgs,
}

#[derive(Debug, Subcommand)]
enum MrrCommand {
    /// Show the MRR at a date, by currency; the default.
    At(AtArgs),
    /// Show the changes of MRR, month by month.
    Waterfall(WaterfallArgs),
    /// Explain how a member's MRR is computed.
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
struct AtArgs {
    /// The date (its end, in UTC) or moment. [default: now]
    #[arg(long, value_parser = ledger::parse_moment)]
    date: Option<OffsetDateTime>,
    /// As it was known then, before anything that became known later.
    #[arg(long, value_parser = ledger::parse_moment)]
    known_at: Option<OffsetDateTime>,
    /// Only this member's: the user id or the e-mail address.
    #[arg(long)]
    member: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct WaterfallArgs {
    /// The first month, such as 2026-01. [default: eleven before the last]
    #[arg(long)]
    from: Option<Month>,
    /// The last month. [default: the present one]
    #[arg(long)]
    to: Option<Month>,
    /// As it was known then.
    #[arg(long, value_parser = ledger::parse_moment)]
    known_at: Option<OffsetDateTime>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// The user id, the e-mail address or the Stripe customer (cus_…).
    who: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command; data goes to stdout.
///
/// # Errors
/// If there is no such member, the months are invalid, the database does not answer, or stdout cannot be
/// written to.
pub async fn run(args: MrrArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL can't be read")?;
    let now = clock.now();
    match args.command.unwrap_or(MrrCommand::At(args.at)) {
        MrrCommand::At(args) => at(&pool, args, now).await,
        MrrCommand::Waterfall(args) => waterfall(&pool, &args, now).await,
        MrrCommand::Explain(args) => explain(&pool, &args, now).await,
    }
}

async fn at(pool: &PgPool, args: AtArgs, now: OffsetDateTime) -> anyhow::Result<Exit> {
    let user_id = match &args.member {
        Some(name) => Some(find(pool, name).await?),
        None => None,
    };
    let question = Question { at: args.date, known_at: args.known_at, user_id };
    let answer = ledger::mrr_at(pool, &question, now).await.context("cannot read the ledger")?;
    print(&answer, args.json, table::totals)
}

async fn waterfall(pool: &PgPool, args: &WaterfallArgs, now: OffsetDateTime) -> anyhow::Result<Exit> {
    let months = ledger::months(args.from, args.to, now)
        .map_err(|error: InvalidMonths| Failure::new(Exit::Usage, error.to_string()))?;
    let answer = ledger::waterfall(pool, &months, args.known_at).await.context("cannot read the ledger")?;
    print(&answer, args.json, table::waterfall)
}

async fn explain(pool: &PgPool, args: &ExplainArgs, now: OffsetDateTime) -> anyhow::Result<Exit> {
    let is_customer = args.who.starts_with("cus_");
    let about = if is_customer {
        About::Customer(args.who.clone())
    } else {
        About::User(find(pool, &args.who).await?)
    };
    let answer = ledger::explain(pool, &about, now).await.context("cannot read the ledger")?;
    let answer = answer.ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("there is no member or Stripe customer {}", args.who))
    })?;
    print(&answer, args.json, table::explained)
}
