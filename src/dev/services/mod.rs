//! PostgreSQL and RabbitMQ on this machine: named by the environment, found running, or started.
//!
//! Running servers are only used. What we start is private to the checkout (`.memberflow/`, loopback, its own
//! password) and is stopped by the last run that uses it.

mod account;
mod command;
mod folder;
mod postgres;
mod process;
mod programs;
mod rabbitmq;
mod scram;
mod server;

use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

pub use command::run_with_services;
use folder::{Folder, Lock};
use server::Server;

/// How long a server of this machine may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The oldest PostgreSQL that the migrations run on.
const OLDEST_POSTGRES: i32 = 15;

/// What to do without any PostgreSQL.
const NO_POSTGRES: &str = "PostgreSQL is neither running here nor installed. Either
  install it:         sudo apt-get install postgresql     (macOS: brew install postgresql@17)
                      and run this again: a private server is started with it, or
  name a running one: DATABASE_URL=postgres://postgres:PASSWORD@HOST:5432/DATABASE make run";

/// What to do if the installed PostgreSQL is too old.
const NEWER_POSTGRES: &str = "Either
  install a newer:    https://www.postgresql.org/download/ has it for every system;
                      run this again: a private server is started with it, or
  name a running one: DATABASE_URL=postgres://postgres:PASSWORD@HOST:5432/DATABASE make run";

/// Whether the programs of both servers are installed, so that private ones can be started.
#[must_use]
pub fn can_start() -> bool {
    programs::postgres_folder().is_some() && programs::rabbitmq_server().is_some()
}

/// Which servers to use, and where to look for them.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The folder of private servers.
    pub folder: PathBuf,
    /// A PostgreSQL to use instead of looking for one.
    pub database_url: Option<String>,
    /// Use a private PostgreSQL, which does not wait for the disk, also where another is running. Only if its programs are
    /// installed.
    pub prefers_private_postgres: bool,
    /// Which broker to use.
    pub broker: Broker,
    /// The port to look for a running PostgreSQL.
    pub postgres_port: u16,
    /// The port to look for a running RabbitMQ.
    pub rabbitmq_port: u16,
}

/// Which broker to use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broker {
    /// This one.
    At(String),
    /// One on this machine.
    Local,
    /// None: the queue is in Postgres.
    Postgres,
}

/// The servers that a run uses.
#[derive(Debug)]
pub struct Services {
    /// PostgreSQL, its database `postgres` unless the environment named another.
    pub database_url: String,
    /// RabbitMQ, if there is one.
    pub amqp_url: Option<String>,
    folder: Option<Folder>,
    in_use: Option<Lock>,
}

impl Wanted {
    /// The same, but a private PostgreSQL is preferred to a running one, with its data in memory if there is enough of it.
    #[must_use]
    pub fn with_private_postgres(self) -> Self {
        let folder = Folder::in_memory(&self.folder).unwrap_or_else(|| self.folder.clone());
        Self { folder, prefers_private_postgres: true, ..self }
    }

    /// Finds the servers, and starts privately what is missing. Without a usable RabbitMQ the queue is in
    /// Postgres, with a message. A caller that gives up waiting calls [`Wanted::stop_unused`].
    ///
    /// # Errors
    /// If there is no PostgreSQL and none can be started.
    pub async fn find_or_start(&self) -> Result<Services> {
        let named = match &self.broker {
            Broker::At(url) => Some(url.clone()),
            Broker::Local | Broker::Postgres => None,
        };
        if let Some(database_url) = self.database_url.clone().filter(|_| self.broker != Broker::Local) {
            return Ok(Services { database_url, amqp_url: named, folder: None, in_use: None });
        }
        let folder = Folder::open(&self.folder)?;
        let turn = folder.turn().await?;
        let in_use = Some(folder.join()?);
        let database_url = match &self.database_url {
            Some(url) => url.clone(),
            None => self.postgres(&folder).await?,
        };
        let amqp_url = if self.broker == Broker::Local { self.rabbitmq(&folder).await } else { named };
        drop(turn);
        Ok(Services { database_url, amqp_url, folder: Some(folder), in_use })
    }

    /// Ends private servers that no run uses: after [`Wanted::find_or_start`] was interrupted or failed.
    ///
    /// # Errors
    /// If the folder's locks cannot be had.
    pub async fn stop_unused(&self) -> Result<()> {
        if self.folder.exists() { stop_unused(&Folder::open(&self.folder)?).await } else { Ok(()) }
    }

    /// The servers that are neither usable here nor installed: `postgresql`, `rabbitmq`.
    pub async fn missing(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        let no_postgres = self.database_url.is_none() && programs::postgres_folder().is_none();
        if no_postgres && postgres::find_running(self.postgres_port).await.is_err() {
            missing.push("postgresql");
        }
        let no_rabbitmq = self.broker == Broker::Local && programs::rabbitmq_server().is_none();
        if no_rabbitmq && rabbitmq::find_running(self.rabbitmq_port).await.is_err() {
            missing.push("rabbitmq");
        }
        missing
    }

    async fn postgres(&self, folder: &Folder) -> Result<String> {
        let home = folder.of("postgres");
        if let Some(url) = left_running(&home, postgres::answers).await {
            return Ok(url);
        }
        if !self.prefers_private_postgres || programs::postgres_folder().is_none() {
            match postgres::find_running(self.postgres_port).await {
                Ok(url) => {
                    tracing::info!(url, "using the postgresql that is running");
                    return Ok(url);
                }
                Err(reasons) => reasons.iter().for_each(|reason| {
                    tracing::warn!(%reason, "a postgresql is running but cannot be used");
                }),
            }
        }
        if programs::postgres_folder().is_none() {
            let Some(version) = programs::too_old_postgres() else { bail!(NO_POSTGRES) };
            bail!(
                "PostgreSQL {version} is installed here, and {OLDEST_POSTGRES} or newer is needed. {NEWER_POSTGRES}"
            );
        }
        tracing::info!(folder = %home.display(), "starting a private postgresql");
        Ok(postgres::start(folder, self.postgres_port).await?.url)
    }

    async fn rabbitmq(&self, folder: &Folder) -> Option<String> {
        let home = folder.of("rabbitmq");
        if let Some(url) = left_running(&home, rabbitmq::answers).await {
            return Some(url);
        }
        match rabbitmq::find_running(self.rabbitmq_port).await {
            Ok(url) => {
                tracing::info!(url, "using the rabbitmq that is running");
                return Some(url);
            }
            Err(Some(reason)) => tracing::warn!(%reason, "a rabbitmq is running but cannot be used"),
            Err(None) => {}
        }
        if programs::rabbitmq_server().is_none() {
            tracing::warn!("no rabbitmq is running or installed, using the postgres queue");
            return None;
        }
        tracing::info!(folder = %home.display(), "starting a private rabbitmq");
        let started = rabbitmq::start(folder, self.rabbitmq_port).await;
        started
            .map_err(|reason| tracing::warn!(reason = %format_args!("{reason:#}"), "rabbitmq did not start, using the postgres queue"))
            .ok()
            .map(|node| node.url)
    }
}

impl Services {
    /// Stops the private servers unless another run uses them.
    ///
    /// # Errors
    /// If the folder's locks cannot be had.
    pub async fn stop(self) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        drop(self.in_use);
        stop_unused(&folder).await
    }
}

/// A connection to `port` of this machine. With a hung server and a full backlog the system would try for two
/// minutes.
fn connect(port: u16) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), CONNECT_LIMIT)
}

/// The URL of the private server in `home` if it runs: another run's, or left over from a killed one. One
/// that does not answer is stopped.
async fn left_running(home: &Path, answers: impl AsyncFn(&str) -> bool) -> Option<String> {
    let left = Server::load(home)?;
    if answers(&left.url).await {
        tracing::info!(folder = %home.display(), "using the private server that is running");
        return Some(left.url);
    }
    Server::stop(home).await;
    None
}

/// Ends the private servers of `folder` if no run uses them.
async fn stop_unused(folder: &Folder) -> Result<()> {
    let _turn = folder.turn().await?;
    if folder.is_unused().context("cannot tell whether another run uses the private servers")? {
        Server::stop(&folder.of("rabbitmq")).await;
        Server::stop(&folder.of("postgres")).await;
        folder.free_memory();
    }
    Ok(())
}
