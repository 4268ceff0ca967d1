//! `memberflow tokens create|list|revoke`: tokens by which programs use the API.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;
use serde_json::json;
use sqlx::PgPool;
use time::Duration;

use super::moment::minutes;
use super::table::{plain, spaced};
use super::{Exit, Failure, print};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::ops::actor::actor;
use crate::ops::tokens::{self, Scope, Token, TokenError};

/// Tokens by which programs use the API, each with what it allows.
#[derive(Debug, Args)]
pub struct TokensArgs {
    #[command(subcommand)]
    command: TokensCommand,
}

#[derive(Debug, Subcommand)]
enum TokensCommand {
    /// Create a token. It is shown only once.
    Create(CreateArgs),
    /// List the tokens and when each was last used.
    List(ListArgs),
    /// Revoke a token immediately.
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Its name in the audit log.
    name: String,
    /// What it allows: members:read, members:write, events:read, events:act, revenue:read, tickets:read, tickets:write,
    /// admin. Can be given several times.
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<Scope>,
    /// Days until it expires: 90d [default: never]
    #[arg(long, value_name = "DAYS", value_parser = days)]
    expires: Option<Duration>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    /// Its name.
    name: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command; data goes to stdout.
///
/// # Errors
/// If the name is taken or unknown, the database does not answer, or stdout cannot be written to.
pub async fn run(args: TokensArgs, config: &Config, clock: &Clock) -> anyhow::Result<Exit> {
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    match args.command {
        TokensCommand::Create(args) => create(&pool, &args, clock).await,
        TokensCommand::List(args) => {
            let tokens = tokens::list(&pool).await.context("cannot read the tokens")?;
            print(&tokens, args.json, |tokens| table(tokens))
        }
        TokensCommand::Revoke(args) => {
            tokens::revoke(&pool, &args.name, &actor(), clock.now()).await.map_err(failure)?;
            print(&json!({"revoked": args.name}), args.json, |_| format!("revoked: {}", args.name))
        }
    }
}

async fn create(pool: &PgPool, args: &CreateArgs, clock: &Clock) -> anyhow::Result<Exit> {
    let now = clock.now();
    let expires_at = args.expires.map(|days| now + days);
    let token = tokens::create(pool, &args.name, &args.scopes, expires_at, &actor(), now).await;
    let token = token.map_err(failure)?;
    let exit = print(&json!({"name": args.name, "token": token.expose_secret()}), args.json, |_| {
        token.expose_secret().to_owned()
    })?;
    anstream::eprintln!("keep it: only its hash is stored, and it is not shown again");
    Ok(exit)
}

fn failure(error: TokenError) -> anyhow::Error {
    let exit = match error {
        TokenError::Name | TokenError::Taken(_) => Exit::Usage,
        TokenError::NotFound(_) => Exit::NotFound,
        TokenError::Database(error) => return anyhow::Error::new(error).context("cannot change the tokens"),
    };
    Failure::new(exit, error.to_string()).into()
}

fn table(tokens: &[Token]) -> String {
    if tokens.is_empty() {
        return "no tokens".to_owned();
    }
    let mut table = plain(&["Name", "Scopes", "Made", "Last used", "Ends"]);
    for token in tokens {
        let end = match (token.revoked_at, token.expires_at) {
            (Some(revoked), _) => format!("revoked {}", minutes(revoked)),
            (None, Some(end)) => minutes(end),
            (None, None) => "-".to_owned(),
        };
        table.add_row([
            token.name.clone(),
            token.scopes.join(" "),
            minutes(token.created_at),
            token.last_used_at.map_or_else(|| "-".to_owned(), minutes),
            end,
        ]);
    }
    spaced(table).trim_fmt()
}

fn days(text: &str) -> Result<Duration, String> {
    let days: Option<i64> = text.strip_suffix('d').unwrap_or(text).parse().ok();
    let days = days.filter(|days| (1..=36_500).contains(days));
    days.map(Duration::days)
        .ok_or_else(|| format!("invalid number of days {text:?}: expected 1 to 36500, such as 90d"))
}
