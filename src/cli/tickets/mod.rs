//! `memberflow tickets`: list, show, reply, assign, status.

mod text;

use std::io::Read as _;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::json;
use sqlx::PgPool;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::members::find as find_member;
use super::{Exit, Failure, print};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::actor::actor;
use crate::ops::tickets::{
    self, Assignee, Change, ChangeError, Filter, ListError, MAX_LIMIT, PRIORITIES, STATUSES, WAITING_FOR,
};

/// List, show and work on support tickets.
#[derive(Debug, Args)]
pub struct TicketsArgs {
    #[command(subcommand)]
    command: TicketsCommand,
}

#[derive(Debug, Subcommand)]
enum TicketsCommand {
    /// List tickets, the longest waiting first.
    List(Box<ListArgs>),
    /// Show one ticket with everything that was said.
    Show(ShowArgs),
    /// Reply as staff, or leave a note that only staff see.
    Reply(ReplyArgs),
    /// Assign a ticket to a colleague, or to nobody.
    Assign(AssignArgs),
    /// Set a ticket's status.
    Status(StatusArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only tickets in this status.
    #[arg(long, value_parser = STATUSES)]
    status: Option<String>,
    /// Only tickets that wait for staff, or for the member.
    #[arg(long, value_parser = WAITING_FOR)]
    waiting_for: Option<String>,
    /// Only tickets that have waited since this moment or longer, such as 2026-03-31T12:00:00Z.
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    waiting_before: Option<OffsetDateTime>,
    /// Only tickets of this priority.
    #[arg(long, value_parser = PRIORITIES)]
    priority: Option<String>,
    /// Only tickets of this category.
    #[arg(long)]
    category: Option<String>,
    /// Only tickets of this colleague (user id or e-mail address), or `nobody`.
    #[arg(long, value_name = "USER")]
    assignee: Option<String>,
    /// Only tickets of this member: user id or e-mail address.
    #[arg(long)]
    member: Option<String>,
    /// Only tickets with this text in number, subject, description or guest's address.
    #[arg(long)]
    text: Option<String>,
    /// Tickets on one page, 1 to 200.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LIMIT)))]
    limit: u32,
    /// Continue after a page that ended with this cursor.
    #[arg(long)]
    cursor: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The number or the id.
    ticket: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ReplyArgs {
    /// The number or the id.
    ticket: String,
    /// The text; read from stdin without it.
    #[arg(long)]
    message: Option<String>,
    /// A note that no member sees.
    #[arg(long)]
    internal: bool,
    /// The author: user id or e-mail address.
    #[arg(long, value_name = "USER")]
    by: Option<String>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct AssignArgs {
    /// The number or the id.
    ticket: String,
    /// The colleague (user id or e-mail address), or `nobody`.
    user: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// The number or the id.
    ticket: String,
    /// The new status.
    #[arg(value_parser = STATUSES)]
    status: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command; data goes to stdout, messages to stderr.
///
/// # Errors
/// There is no such ticket, person or page, the database does not answer, or stdout can't be written to.
pub async fn run(args: TicketsArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL can't be read")?;
    match args.command {
        TicketsCommand::List(args) => list(&pool, *args).await,
        TicketsCommand::Show(args) => show(&pool, &args).await,
        TicketsCommand::Reply(args) => {
            let user_id = match &args.by {
                Some(user) => Some(find_member(&pool, user).await?),
                None => None,
            };
            let message = args.message.map_or_else(read_message, Ok)?;
            let reply = Change::Reply { message, is_internal: args.internal, user_id };
            change(&pool, &args.ticket, reply, args.json, clock).await
        }
        TicketsCommand::Assign(args) => {
            let user_id = match args.user.as_str() {
                "nobody" => None,
                user => Some(find_member(&pool, user).await?),
            };
            change(&pool, &args.ticket, Change::Assign(user_id), args.json, clock).await
        }
        TicketsCommand::Status(args) => {
            change(&pool, &args.ticket, Change::Status(args.status), args.json, clock).await
        }
    }
}

async fn list(pool: &PgPool, args: ListArgs) -> anyhow::Result<Exit> {
    let assignee = match args.assignee.as_deref() {
        None => None,
        Some("nobody") => Some(Assignee::Nobody),
        Some(user) => Some(Assignee::User(find_member(pool, user).await?)),
    };
    let member = match &args.member {
        Some(member) => Some(find_member(pool, member).await?),
        None => None,
    };
    let filter = Filter {
        status: args.status,
        waiting_for: args.waiting_for,
        waiting_before: args.waiting_before,
        priority: args.priority,
        category: args.category,
        assignee,
        member,
        text: args.text,
        ..Filter::default()
    };
    let page = tickets::list(pool, &filter, args.cursor.as_deref(), args.limit).await;
    let page = page.map_err(|error| match error {
        ListError::Database(error) => anyhow::Error::new(error).context("cannot read the tickets"),
        error => Failure::new(Exit::Usage, error.to_string()).into(),
    })?;
    let exit = print(&page, args.json, text::table)?;
    if let Some(cursor) = page.next_cursor.filter(|_| !args.json) {
        anstream::eprintln!("more results: run again with --cursor {cursor}");
    }
    Ok(exit)
}

async fn show(pool: &PgPool, args: &ShowArgs) -> anyhow::Result<Exit> {
    let found = tickets::show(pool, &args.ticket).await.context("cannot read the ticket")?;
    let found = found.ok_or_else(|| {
        Failure::new(Exit::NotFound, ChangeError::NotFound(args.ticket.clone()).to_string())
    })?;
    print(&found, args.json, text::detail)
}

async fn change(
    pool: &PgPool,
    ticket: &str,
    change: Change,
    as_json: bool,
    clock: &Clock,
) -> anyhow::Result<Exit> {
    let changed = tickets::change(pool, ticket, &[change], &actor(), clock.now()).await;
    let id = changed.map_err(|error| match error {
        ChangeError::Database(error) => anyhow::Error::new(error).context("the ticket is not changed"),
        error @ ChangeError::Stale => Failure::new(Exit::Failed, error.to_string()).into(),
        error @ ChangeError::Invalid(_) => Failure::new(Exit::Usage, error.to_string()).into(),
        error @ ChangeError::NotFound(_) => Failure::new(Exit::NotFound, error.to_string()).into(),
    })?;
    print(&json!({"ticket_id": id}), as_json, |_| "done".to_owned())
}

fn read_message() -> anyhow::Result<String> {
    let mut message = String::new();
    std::io::stdin()
        .take(1 << 20)
        .read_to_string(&mut message)
        .context("cannot read the message from stdin")?;
    Ok(message.trim_end().to_owned())
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| format!("invalid moment {text:?}: expected RFC 3339"))
}
