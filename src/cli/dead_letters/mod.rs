//! `memberflow dead-letters list|show|redrive|drop`: events that could not be applied, and what to do with them.

mod text;

use std::num::NonZeroU32;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgPool;
use time::OffsetDateTime;

use super::{Exit, Failure, print};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::actor::actor;
use crate::ops::dead_letters::{self, Acted, DeadLetter, Limits, Selection};
use crate::ops::events;
use crate::ops::ledger::parse_since;

/// List, show, re-enqueue or drop dead letters.
#[derive(Debug, Args)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
enum DeadLettersCommand {
    /// List dead letters, the newest first.
    List(ListArgs),
    /// Show one with its body.
    Show(ShowArgs),
    /// Re-enqueue selected dead letters.
    Redrive(RedriveArgs),
    /// Drop selected dead letters for good.
    Drop(DropArgs),
}

#[derive(Debug, Args)]
struct SelectionArgs {
    /// Only of this source: stripe, supabase.auth or supabase.database.
    #[arg(long)]
    source: Option<String>,
    /// Only of this type, such as invoice.paid or invoice.*
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only with this text in the reason.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only those given up since this date or moment.
    #[arg(long, value_name = "DATE", value_parser = parse_since)]
    since: Option<OffsetDateTime>,
    /// Only those given up before this date or moment.
    #[arg(long, value_name = "DATE", value_parser = parse_since)]
    until: Option<OffsetDateTime>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    selection: SelectionArgs,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The letter's number, as listed.
    id: i64,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ChosenArgs {
    /// The letters' numbers, as listed.
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    #[command(flatten)]
    selection: SelectionArgs,
    /// All of them.
    #[arg(long)]
    all: bool,
    /// Only list them; change nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
struct RedriveArgs {
    #[command(flatten)]
    chosen: ChosenArgs,
    /// At most so many a second.
    #[arg(long, value_name = "N")]
    rate: Option<NonZeroU32>,
}

#[derive(Debug, Args)]
struct DropArgs {
    #[command(flatten)]
    chosen: ChosenArgs,
}

impl SelectionArgs {
    fn selection(self, ids: Vec<i64>) -> Selection {
        Selection {
            ids,
            source: self.source,
            event_type: self.event_type,
            reason: self.reason,
            since: self.since,
            until: self.until,
        }
    }
}

/// Runs the command; data goes to stdout.
///
/// # Errors
/// If there is no such letter, none was selected, or the database does not answer.
pub async fn run(args: DeadLettersArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    match args.command {
        DeadLettersCommand::List(args) => list(&pool, args).await,
        DeadLettersCommand::Show(args) => show(&pool, &args).await,
        DeadLettersCommand::Redrive(args) => {
            let limits = Limits { rate: args.rate, ..Limits::default() };
            act(&pool, args.chosen, "redriven", async |selection| {
                dead_letters::redrive(&pool, selection, limits, &actor(), clock).await
            })
            .await
        }
        DeadLettersCommand::Drop(args) => {
            act(&pool, args.chosen, "dropped", async |selection| {
                dead_letters::drop_all(&pool, selection, Limits::default(), &actor(), clock).await
            })
            .await
        }
    }
}

async fn list(pool: &PgPool, args: ListArgs) -> anyhow::Result<Exit> {
    let json = args.selection.json;
    let selection = args.selection.selection(Vec::new());
    let letters = dead_letters::list(pool, &selection, None, i64::from(args.limit)).await;
    print(&letters.context("cannot read the dead letters")?, json, |letters| text::table(letters))
}

/// A dead letter with its body.
#[derive(Serialize)]
struct Shown<'a> {
    body: Box<RawValue>,
    letter: &'a DeadLetter,
}

async fn show(pool: &PgPool, args: &ShowArgs) -> anyhow::Result<Exit> {
    let found = dead_letters::show(pool, args.id).await.context("cannot read the dead letter")?;
    let (letter, body) = found.ok_or_else(|| {
        let message =
            format!("there is no dead letter {}: `memberflow dead-letters list` shows them", args.id);
        Failure::new(Exit::NotFound, message)
    })?;
    let whole = Shown { body: events::body(&body), letter: &letter };
    print(&whole, args.json, |_| text::detail(&letter, &body))
}

/// Selects letters, then acts on them or, for a dry run, counts them.
async fn act(
    pool: &PgPool,
    args: ChosenArgs,
    done: &str,
    act: impl AsyncFnOnce(&Selection) -> Result<Acted, sqlx::Error>,
) -> anyhow::Result<Exit> {
    let (json, dry_run, all) = (args.selection.json, args.dry_run, args.all);
    let selection = args.selection.selection(args.ids);
    if selection.is_everything() && !all {
        let message = "name letters by their numbers, choose some by --source, --type, --reason, --since \
                       or --until, or take --all";
        return Err(Failure::new(Exit::Usage, message).into());
    }
    if dry_run {
        let counts = dead_letters::count(pool, &selection).await.context("cannot read the dead letters")?;
        return print(&counts, json, |counts| text::counts(counts, done));
    }
    let acted = act(&selection).await.context("cannot continue; what was done until now stays done")?;
    print(&acted, json, |acted| text::acted(*acted, done))?;
    Ok(if acted.left > 0 { Exit::SomeFailed } else { Exit::Fine })
}
