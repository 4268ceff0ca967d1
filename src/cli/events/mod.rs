//! `memberflow events list|show|trace|tail`: events with their state, body and effects.

mod tail;
mod text;
mod trace;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgPool;
use time::OffsetDateTime;

use super::exit::of_page;
use super::{Exit, Failure, print};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::events::{self, Event, Filter, State};
use crate::ops::ledger::parse_since;

/// List, show, trace or follow events.
#[derive(Debug, Args)]
pub struct EventsArgs {
    #[command(subcommand)]
    command: EventsCommand,
}

#[derive(Debug, Subcommand)]
enum EventsCommand {
    /// List events, the newest first: those that were applied, or those in another state.
    List(ListArgs),
    /// Show an event's state and its body.
    Show(ShowArgs),
    /// Trace an event: what it decided and which rows it changed.
    Trace(ShowArgs),
    /// Show events as they are applied, until Ctrl-C.
    Tail(TailArgs),
}

#[derive(Debug, Args)]
struct FilterArgs {
    /// Only of this source: stripe, supabase.auth, supabase.database or internal.
    #[arg(long)]
    source: Option<String>,
    /// Only of this type, such as invoice.paid or invoice.*
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only about this object: sub_…, in_…, public.vision_versions/…
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// As JSON, a line each.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Only those in this state: applied, waiting, failing or dead.
    #[arg(long, default_value = "applied")]
    state: State,
    /// Only those applied, due or given up since this date or moment.
    #[arg(long, value_name = "DATE", value_parser = parse_since)]
    since: Option<OffsetDateTime>,
    /// Only those applied, due or given up before this date or moment.
    #[arg(long, value_name = "DATE", value_parser = parse_since)]
    until: Option<OffsetDateTime>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The provider's name of the event: evt_…, or the webhook's id.
    event_id: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct TailArgs {
    #[command(flatten)]
    filter: FilterArgs,
}

impl FilterArgs {
    fn to_filter(&self) -> Filter {
        Filter {
            source: self.source.clone(),
            event_type: self.event_type.clone(),
            subject: self.subject.clone(),
            ..Filter::default()
        }
    }
}

/// Runs the command; data goes to stdout.
///
/// # Errors
/// If there is no such event, the database does not answer, or stdout cannot be written to.
pub async fn run(args: EventsArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    match args.command {
        EventsCommand::List(args) => list(&pool, &args).await,
        EventsCommand::Show(args) => show(&pool, &args).await,
        EventsCommand::Trace(args) => trace(&pool, &args).await,
        EventsCommand::Tail(args) => tail::follow(&pool, &args.filter, clock).await,
    }
}

async fn list(pool: &PgPool, args: &ListArgs) -> anyhow::Result<Exit> {
    let filter =
        Filter { since: args.since, until: args.until, state: Some(args.state), ..args.filter.to_filter() };
    let events = events::newest(pool, &filter, args.limit as usize).await.map_err(of_page);
    let events = events.context("cannot read the events")?;
    print(&events, args.filter.json, |events| text::table(events))
}

/// An event with its body.
#[derive(Serialize)]
struct Shown<'a> {
    body: Box<RawValue>,
    event: &'a Event,
}

async fn show(pool: &PgPool, args: &ShowArgs) -> anyhow::Result<Exit> {
    let found = events::find(pool, &args.event_id).await.context("cannot read the event")?;
    if found.is_empty() {
        return Err(nowhere(&args.event_id).into());
    }
    let whole: Vec<Shown> =
        found.iter().map(|(event, body)| Shown { body: events::body(body), event }).collect();
    print(&whole, args.json, |_| text::details(&found))
}

async fn trace(pool: &PgPool, args: &ShowArgs) -> anyhow::Result<Exit> {
    let traces = events::trace(pool, &args.event_id).await.context("cannot trace the event")?;
    if traces.is_empty() {
        return Err(nowhere(&args.event_id).into());
    }
    print(&traces, args.json, |traces| trace::text(traces))
}

fn nowhere(event_id: &str) -> Failure {
    let message = format!("no event {event_id} is pending, applied or dead; it may still be in RabbitMQ");
    Failure::new(Exit::NotFound, message)
}
