//! `memberflow members list` and `memberflow members show`.

mod table;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use sqlx::PgPool;
use uuid::Uuid;

use super::{Exit, Failure, print_data};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::members::{
    self, DEFAULT_LIMIT, Direction, Filter, ListError, MAX_LIMIT, PageRequest, Sort, SortBy,
};

pub use table::{WIDTH, detail, table};

/// List and show members with their activity and revenue.
#[derive(Debug, Args)]
pub struct MembersArgs {
    #[command(subcommand)]
    command: MembersCommand,
}

#[derive(Debug, Subcommand)]
enum MembersCommand {
    /// List members, one row per account.
    List(ListArgs),
    /// Show one member with subscriptions and payments.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only members with this engagement: active, at_risk, inactive or champion.
    #[arg(long, value_parser = members::ENGAGEMENT_STATUSES)]
    engagement_status: Option<String>,
    /// Only members with this health: healthy, needs_attention or churned.
    #[arg(long, value_parser = members::HEALTH_STATUSES)]
    health_status: Option<String>,
    /// Only members whose leading subscription is of this tier.
    #[arg(long)]
    tier: Option<String>,
    /// Only members whose leading subscription has this status.
    #[arg(long, value_parser = members::SUBSCRIPTION_STATUSES)]
    status: Option<String>,
    /// Only members with this text in the name, e-mail address or phone number.
    #[arg(long)]
    text: Option<String>,
    /// created_at, email, name, mrr, ltv, total_spent or last_login_at.
    #[arg(long, default_value = "created_at")]
    sort: SortBy,
    /// asc or desc. [default: asc for words, desc for everything else]
    #[arg(long)]
    order: Option<Direction>,
    /// Members on one page, 1 to 200.
    #[arg(long, default_value_t = DEFAULT_LIMIT, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_LIMIT)))]
    limit: u32,
    /// Continue after a page that ended with this cursor.
    #[arg(long)]
    cursor: Option<String>,
    /// All pages, one after the other.
    #[arg(long)]
    all: bool,
    /// JSON: the page as one object; with --all one member per line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The user id or the e-mail address.
    member: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command; data goes to stdout, messages to stderr.
///
/// # Errors
/// There is no such member or page, the database does not answer, or stdout can't be written to.
pub async fn run(args: MembersArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL can't be read")?;
    match args.command {
        MembersCommand::List(args) => list(&pool, args, clock).await,
        MembersCommand::Show(args) => show(&pool, &args, config, clock).await,
    }
}

async fn list(pool: &PgPool, args: ListArgs, clock: &Clock) -> anyhow::Result<Exit> {
    let (all, json) = (args.all, args.json);
    let mut request = args.into_request();
    loop {
        let page = members::list(pool, &request, clock.now()).await.map_err(|error| match error {
            ListError::Database(error) => anyhow::Error::new(error).context("cannot read the members"),
            error => Failure::new(Exit::Usage, error.to_string()).into(),
        })?;
        print_page(&page, all, json)?;
        match page.next_cursor {
            Some(cursor) if all => request.cursor = Some(cursor),
            Some(cursor) if !json => {
                anstream::eprintln!("more results: run again with --cursor {cursor}, or --all");
                return Ok(Exit::Fine);
            }
            _ => return Ok(Exit::Fine),
        }
    }
}

impl ListArgs {
    fn into_request(self) -> PageRequest {
        let direction = self.order.unwrap_or_else(|| self.sort.natural_direction());
        PageRequest {
            filter: Filter {
                engagement_status: self.engagement_status,
                health_status: self.health_status,
                tier: self.tier,
                status: self.status,
                text: self.text,
                ..Filter::default()
            },
            sort: Sort { by: self.sort, direction },
            limit: if self.all { MAX_LIMIT } else { self.limit },
            cursor: self.cursor,
        }
    }
}

fn print_page(page: &members::Page, all: bool, json: bool) -> anyhow::Result<()> {
    let mut text = String::new();
    match (json, all) {
        (true, true) => {
            for member in &page.members {
                text += &serde_json::to_string(member)?;
                text.push('\n');
            }
        }
        (true, false) => text = serde_json::to_string_pretty(page)? + "\n",
        (false, _) if page.members.is_empty() => anstream::eprintln!("no members"),
        (false, _) => text = table(&page.members, WIDTH).trim_fmt() + "\n",
    }
    print_data(&text)?;
    Ok(())
}

async fn show(pool: &PgPool, args: &ShowArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let user_id = find(pool, &args.member).await?;
    let member = members::show(pool, user_id, &config.phone_country_code, clock.now());
    let member = member.await.context("cannot read the member")?;
    let member = member.ok_or_else(|| nobody(&args.member))?;
    let text = if args.json { serde_json::to_string_pretty(&member)? } else { detail(&member) };
    print_data(&(text + "\n"))
}

/// The account of that id or address.
pub(super) async fn find(pool: &PgPool, name: &str) -> anyhow::Result<Uuid> {
    if let Ok(user_id) = Uuid::parse_str(name) {
        return Ok(user_id);
    }
    let found = members::find_by_email(pool, name).await.context("cannot look for the address")?;
    match found.as_slice() {
        [] => Err(nobody(name).into()),
        [user_id] => Ok(*user_id),
        several => {
            let ids: Vec<String> = several.iter().map(Uuid::to_string).collect();
            let message =
                format!("several accounts have this address: name one by its id, {}", ids.join(", "));
            Err(Failure::new(Exit::Usage, message).into())
        }
    }
}

fn nobody(name: &str) -> Failure {
    Failure::new(
        Exit::NotFound,
        format!("there is no member {name}: `memberflow members list --text …` finds some"),
    )
}
