//! `memberflow serve`: the service, in all or some of its roles.

use std::time::Duration;

use anyhow::Context as _;

use super::{Exit, Global};
use crate::clock::Clock;
use crate::config::hosts::may_be_plaintext;
use crate::config::{self, Config};
use crate::database;
use crate::http::connection_limit::raise_open_files;
use crate::lifecycle::Lifecycle;
use crate::roles::{self, Role};
use crate::telemetry;

/// The shutdown deadline. Supervisors kill after 10 to 30 s.
const STOP_WITHIN: Duration = Duration::from_secs(9);

/// What to run, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The roles of this process; all of them by default
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Role::ALL)]
    roles: Vec<Role>,
    /// Where to listen [env: MEMBERFLOW_BIND] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<String>,
}

/// Only a warning, since it may be a private network.
fn warn_of_plaintext(config: &Config) {
    let options = database::options(config).ok().filter(may_be_plaintext);
    if let Some(options) = options {
        let host = options.get_host();
        tracing::warn!(
            host,
            "connection to Postgres may go unencrypted: add sslmode=verify-full and sslrootcert to DATABASE_URL"
        );
    }
}

pub(super) async fn run(global: &Global, args: Args) -> anyhow::Result<Exit> {
    let config = config::load(global.flags(args.bind))?;
    telemetry::init_logs(&config).ok();
    raise_open_files();
    warn_of_plaintext(&config);
    let lifecycle = Lifecycle::default();
    lifecycle.stop_on_signals().context("cannot listen to signals")?;
    roles::start(&config, &args.roles, Clock::System, &lifecycle).await?;
    lifecycle.stopping.cancelled().await;
    lifecycle.shutdown(STOP_WITHIN).await?;
    tracing::info!("stopped");
    Ok(Exit::Fine)
}
