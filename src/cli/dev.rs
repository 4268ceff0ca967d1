//! `memberflow dev`: runs everything locally, with demo members.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;

use super::Global;
use super::members::{WIDTH, table};
use crate::clock::Clock;
use crate::config::{self, Config, LogFormat};
use crate::dev::services::{Broker, Wanted, run_with_services};
use crate::dev::{self, Local};
use crate::telemetry;

/// The data folder of private servers, below the working directory.
const FOLDER: &str = ".memberflow";

/// Run everything locally: find or start servers, add demo members, replay their events.
///
/// The events of `fixtures/` are shifted in time to now: some members log in often, some have not for weeks, one pays
/// today.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct DevArgs {
    /// End once the members have been shown.
    #[arg(long)]
    once: bool,
    /// Where to listen [default: 127.0.0.1:8080, or another port if that is in use].
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<String>,
    /// Keep the queue in Postgres, whether or not there is a RabbitMQ.
    #[arg(long)]
    no_rabbitmq: bool,
    #[command(subcommand)]
    command: Option<DevCommand>,
}

#[derive(Debug, Subcommand)]
enum DevCommand {
    /// Run a program with `DATABASE_URL` and `AMQP_URL` set, as `make test` does.
    #[command(hide = true)]
    Services {
        /// Only print which servers are neither usable here nor installed.
        #[arg(long)]
        missing: bool,
        /// Use a private PostgreSQL, which does not wait for the disk and keeps its data in memory if there is enough, also
        /// where another is running.
        #[arg(long)]
        private_postgres: bool,
        /// The program and its arguments.
        #[arg(last = true, required_unless_present = "missing")]
        command: Vec<OsString>,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// The first failure, and what to do.
pub async fn run(global: &Global, args: DevArgs) -> Result<ExitCode> {
    let mut config = config::load_without_database(global.flags(args.bind.clone()))?;
    if config.log_format == LogFormat::Auto {
        config.log_format = LogFormat::Human;
    }
    telemetry::init_logs(&config).ok();
    let wanted = wanted(&config, args.no_rabbitmq)?;
    match args.command {
        Some(DevCommand::Services { missing: true, .. }) => {
            wanted.missing().await.iter().for_each(|name| anstream::println!("{name}"));
            Ok(ExitCode::SUCCESS)
        }
        Some(DevCommand::Services { private_postgres, command, .. }) => {
            let wanted = if private_postgres { wanted.with_private_postgres() } else { wanted };
            Ok(ExitCode::from(run_with_services(&wanted, &command).await?))
        }
        None => {
            let local = Local {
                once: args.once,
                bind_is_wanted: args.bind.is_some() || env::var_os("MEMBERFLOW_BIND").is_some(),
                fixtures: "fixtures".into(),
                settings: Path::new(FOLDER).join("dev.toml"),
                clock: Clock::System,
                table: |members| table(members, WIDTH).trim_fmt(),
            };
            dev::run(&wanted, &local, config).await.map(|()| ExitCode::SUCCESS)
        }
    }
}

/// The requested servers. An empty `AMQP_URL` means the queue in Postgres.
fn wanted(config: &Config, no_rabbitmq: bool) -> Result<Wanted> {
    let database_url = Some(config.database_url.expose_secret()).filter(|url| !url.is_empty());
    let set_to_nothing = env::var_os("AMQP_URL").is_some_and(|url| url.is_empty());
    Ok(Wanted {
        folder: env::current_dir()?.join(FOLDER),
        database_url: database_url.map(str::to_owned),
        prefers_private_postgres: false,
        broker: match &config.amqp_url {
            _ if no_rabbitmq => Broker::Postgres,
            Some(url) => Broker::At(url.expose_secret().to_owned()),
            None if set_to_nothing => Broker::Postgres,
            None => Broker::Local,
        },
        postgres_port: port("MEMBERFLOW_TEST_POSTGRES_PORT", 5432)?,
        rabbitmq_port: port("MEMBERFLOW_TEST_RABBITMQ_PORT", 5672)?,
    })
}

/// The port to look for a running server; only tests set the variable.
fn port(variable: &str, standard: u16) -> Result<u16> {
    let Ok(text) = env::var(variable) else { return Ok(standard) };
    text.parse().with_context(|| format!("invalid {variable} {text:?}: expected a port number"))
}
