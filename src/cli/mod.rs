//! The command line: one file per subcommand, data on stdout, everything else on stderr.

pub mod backfill;
pub mod campaigns;
pub mod dead_letters;
pub mod dev;
pub mod doctor;
pub mod events;
pub mod exit;
pub mod forget;
pub mod members;
pub mod migrate;
pub mod mrr;
pub mod parked;
pub mod prune;
pub mod rebuild;
pub mod reconcile;
pub mod replay;
pub mod supabase;
pub mod tickets;
pub mod tokens;

mod moment;
mod serve;
mod sign;
mod stripe_api;
mod table;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use secrecy::SecretString;
use serde::Serialize;

use crate::clock::Clock;
use crate::config::{self, Config, ConfigError, Flags};

pub use exit::{Exit, Failure};

use terminal::{complain, print_data};

/// Signed Stripe and Supabase webhooks in, live member metrics out.
#[derive(Debug, Parser)]
#[command(name = "memberflow", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// The flags that every subcommand takes.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// The settings' TOML file [env: MEMBERFLOW_CONFIG] [default: ./memberflow.toml if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Postgres, direct or through the session pooler [env: DATABASE_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub database_url: Option<SecretString>,
    /// RabbitMQ; without it the queue is in Postgres [env: AMQP_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub amqp_url: Option<SecretString>,
    /// Write data as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Args),
    Dev(dev::DevArgs),
    Migrate(migrate::MigrateArgs),
    Replay(replay::ReplayArgs),
    Rebuild(rebuild::RebuildArgs),
    Backfill(backfill::BackfillArgs),
    Reconcile(reconcile::ReconcileArgs),
    Members(members::MembersArgs),
    Campaigns(campaigns::CampaignsArgs),
    Tickets(tickets::TicketsArgs),
    Tokens(tokens::TokensArgs),
    Mrr(mrr::MrrArgs),
    Supabase(supabase::SupabaseArgs),
    Doctor(doctor::DoctorArgs),
    DeadLetters(dead_letters::DeadLettersArgs),
    Parked(parked::ParkedArgs),
    Events(events::EventsArgs),
    Prune(prune::PruneArgs),
    Forget(forget::ForgetArgs),
    /// Sign a body as Stripe or Supabase would, and print the headers
    Sign(sign::Args),
    /// Print the completions for a shell
    Completion {
        /// The shell
        shell: Shell,
    },
}

impl Global {
    /// The settings, for a command that needs the database.
    ///
    /// # Errors
    /// The first setting that cannot be used, or a missing database.
    pub fn load(&self) -> Result<Config, ConfigError> {
        config::load(self.flags(None))
    }

    /// The settings, for a command that does not need a database.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn load_without_database(&self) -> Result<Config, ConfigError> {
        config::load_without_database(self.flags(None))
    }

    fn flags(&self, bind: Option<String>) -> Flags {
        Flags {
            config: self.config.clone(),
            database_url: self.database_url.clone(),
            amqp_url: self.amqp_url.clone(),
            bind,
        }
    }
}

/// The program: parses the command line, runs the command, prints errors.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    run(cli).unwrap_or_else(|error| {
        complain(&exit::describe(&error));
        Exit::of(&error).into()
    })
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    // TLS is not used before this, so no provider can be installed already.
    rustls::crypto::ring::default_provider().install_default().ok();
    let Cli { global, command } = cli;
    match command {
        Command::Serve(args) => runtime()?.block_on(serve::run(&global, args)).map(Exit::into),
        Command::Dev(args) => runtime()?.block_on(dev::run(&global, args)),
        Command::Migrate(args) => runtime()?.block_on(migrate::run(args, &global.load()?)),
        Command::Replay(args) => {
            let inbox = args.is_from_inbox();
            let config = if inbox { global.load()? } else { global.load_without_database()? };
            runtime()?.block_on(replay::run(args, &config, &Clock::System))
        }
        Command::Rebuild(args) => {
            runtime()?.block_on(rebuild::run(args, &global.load()?, &Clock::System)).map(Exit::into)
        }
        Command::Backfill(args) => {
            runtime()?.block_on(backfill::run(args, &global.load()?, &Clock::System)).map(Exit::into)
        }
        Command::Reconcile(args) => {
            runtime()?.block_on(reconcile::run(args, &global.load()?, &Clock::System)).map(Exit::into)
        }
        Command::Members(args) => {
            runtime()?.block_on(members::run(args, &global.load()?, &Clock::System)).map(Exit::into)
        }
        Command::Campaigns(args) => {
            runtime()?.block_on(campaigns::run(args, &global.load()?)).map(Exit::into)
        }
        Command::Tickets(args) => {
            runtime()?.block_on(tickets::run(args, &global.load()?, &Clock::System)).map(Exit::into)
        }
        Command::Tokens(args) => {
            runtime()?.block_on(tokens::run(args, &global.load()?, &Clock::System)).map(Exit::into)
        }
        Command::Mrr(args) => {
            runtime()?.block_on(mrr::run(args, &global.load()?, &Clock::System)).map(Exit::into)
        }
        Command::Supabase(args) => runtime()?.block_on(supabase::run(args, &global.load()?)).map(Exit::into),
        Command::Doctor(args) => runtime()?.block_on(doctor::run(args, &global.load()?)).map(Exit::into),
        Command::DeadLetters(args) => {
            runtime()?.block_on(dead_letters::run(args, &global.load()?, &Clock::System)).map(Exit::into)
        }
        Command::Parked(args) => runtime()?.block_on(parked::run(args, &global.load()?)).map(Exit::into),
        Command::Events(args) => {
            runtime()?.block_on(events::run(args, &global.load()?, &Clock::System)).map(Exit::into)
        }
        Command::Forget(args) => {
            runtime()?.block_on(forget::run(args, &global.load()?, &Clock::System)).map(Exit::into)
        }
        Command::Prune(args) => {
            runtime()?.block_on(prune::run(args, &global.load()?, &Clock::System)).map(Exit::into)
        }
        Command::Sign(args) => sign::run(&global, &args).map(Exit::into),
        Command::Completion { shell } => completion(shell).map(Exit::into),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("cannot start the runtime")
}

fn completion(shell: Shell) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "memberflow", &mut script);
    print_data(&String::from_utf8(script)?)
}

/// Writes a result to stdout, as JSON or as text.
fn print<T: Serialize + ?Sized>(
    answer: &T,
    json: bool,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<Exit> {
    let text = if json { serde_json::to_string_pretty(answer)? } else { text(answer) };
    print_data(&(text + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_definitions_are_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn mrr_subcommands_parse() {
        for line in [
            "memberflow mrr",
            "memberflow mrr --date 2026-03-31 --json",
            "memberflow mrr at --known-at 2026-03-31T12:00:00Z --member ann@example.com",
            "memberflow mrr waterfall --from 2026-01 --to 2026-03",
            "memberflow mrr explain cus_1 --json",
            "memberflow --json mrr waterfall",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        for line in ["memberflow mrr --date yesterday", "memberflow mrr --date 2026-03-31 waterfall"] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn json_flag_works_before_and_after_command() {
        for line in
            [["memberflow", "--json", "migrate", "--status"], ["memberflow", "migrate", "--json", "--status"]]
        {
            let cli = Cli::try_parse_from(line).unwrap();
            assert!(cli.global.json, "{line:?}");
            assert!(
                matches!(cli.command, Command::Migrate(args) if format!("{args:?}").contains("json: true"))
            );
        }
    }
}
