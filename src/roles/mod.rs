//! The roles of one process, started together.

mod listeners;
mod shares;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use clap::ValueEnum;
use metrics_exporter_prometheus::PrometheusHandle;
use sqlx::PgPool;
use tokio::runtime::Handle;

use self::listeners::Listeners;
use self::shares::Shares;
use crate::api::{self, ApiState};
use crate::clock::Clock;
use crate::config::Config;
use crate::console;
use crate::consume;
use crate::database;
use crate::http::connection_limit::{ConnectionLimit, connections_max, ops_connections_max};
use crate::http::fallbacks::with_fallbacks;
use crate::http::health::{self, Health};
use crate::http::listener;
use crate::http::problem_docs;
use crate::http::readiness::Readiness;
use crate::lifecycle::Lifecycle;
use crate::ops::doctor::Doctor;
use crate::ops::jobs::run::Runner;
use crate::queue::Queue;
use crate::receive::{self, Dependencies, Endpoints};
use crate::store::{Store, StoreSettings};
use crate::telemetry;

/// How often histogram samples are aggregated, so that they do not pile up without scrapes.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// A part of the service that can run in its own process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Take webhooks
    Receive,
    /// Obsolete, does nothing
    Relay,
    /// Apply events
    Consume,
    /// Serve the CRM's API and the console
    Api,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Receive, Self::Relay, Self::Consume, Self::Api];
}

/// Database connections, a pool for each part of the process.
struct Pools {
    intake: PgPool,
    pending: PgPool,
    apply: PgPool,
    api: PgPool,
}

impl Pools {
    fn open(config: &Config, shares: Shares) -> anyhow::Result<Self> {
        let pool = |connections| database::pool(config, connections).context("DATABASE_URL cannot be used");
        Ok(Self {
            intake: pool(shares.intake)?,
            pending: pool(shares.pending)?,
            apply: pool(shares.apply)?,
            api: pool(shares.api)?,
        })
    }
}

/// Starts `roles` and listens at `config.bind`; returns the address. Does not wait for Postgres or RabbitMQ:
/// a service that starts before them answers, and works as soon as they are up.
///
/// # Errors
/// If a setting cannot be used or an address is taken. Nothing has connected then.
pub async fn start(
    config: &Config,
    roles: &[Role],
    clock: Clock,
    lifecycle: &Lifecycle,
) -> anyhow::Result<SocketAddr> {
    let listeners = Listeners::bind(config).await?;
    let shares = Shares::of(config.database_connections, roles)?;
    let pools = Pools::open(config, shares)?;
    let metrics = telemetry::metrics()?;
    let queue = Queue::open(config, pools.intake.clone(), pools.pending.clone(), lifecycle)?;
    let readiness = Readiness::start(database::options(config)?, queue.clone(), lifecycle);
    run_metrics_upkeep(metrics.clone(), lifecycle);
    let health = Health::new(readiness, lifecycle.clone(), metrics);
    let receive = match roles.contains(&Role::Receive) {
        true => {
            let (queue, clock, lifecycle) = (queue.clone(), clock.clone(), lifecycle.clone());
            Some(Endpoints::new(config, Dependencies { queue, clock, lifecycle })?)
        }
        false => None,
    };
    if roles.contains(&Role::Relay) && !roles.contains(&Role::Consume) {
        tracing::info!("role relay is obsolete and does nothing");
    }
    if roles.contains(&Role::Consume) {
        let store = Store::new(pools.apply.clone(), clock.clone(), StoreSettings::new(config));
        let (tasks, lifecycle) = (&lifecycle.tasks, lifecycle.clone());
        tasks.spawn(async move { consume::run(&queue, &store, &lifecycle).await });
    }
    let public = receive.map_or_else(Router::new, receive::webhooks);
    let mut ops = health::routes(health);
    if roles.contains(&Role::Api) {
        run_jobs(Runner::new(config, &clock, pools.api.clone()), lifecycle);
        ops = ops.merge(api_and_console(config, pools.api, clock, lifecycle));
    }
    serve(listeners, public, ops, config, lifecycle)
}

fn run_metrics_upkeep(metrics: PrometheusHandle, lifecycle: &Lifecycle) {
    let stopping = lifecycle.stopping.clone();
    lifecycle.tasks.spawn(async move {
        while stopping.run_until_cancelled(tokio::time::sleep(METRICS_UPKEEP)).await.is_some() {
            metrics.run_upkeep();
        }
    });
}

/// Runs the jobs where they are requested. On a thread of its own: operations compute, and their futures are not [`Send`].
fn run_jobs(runner: Runner, lifecycle: &Lifecycle) {
    let (tasks, lifecycle) = (&lifecycle.tasks, lifecycle.clone());
    tasks.spawn_blocking(move || Handle::current().block_on(runner.run(&lifecycle)));
}

/// The API and the console.
fn api_and_console(config: &Config, pool: PgPool, clock: Clock, lifecycle: &Lifecycle) -> Router {
    let store = Store::new(pool, clock.clone(), StoreSettings::new(config));
    let console = console::routes(store.clone(), clock.clone(), config, lifecycle);
    let doctor = Arc::new(Doctor::new(config));
    let admin_token = config.admin_token.clone();
    console.merge(api::routes(ApiState { store, clock, admin_token, doctor }))
}

/// Serves both at their own addresses, or together if there is only one.
fn serve(
    listeners: Listeners,
    public: Router,
    ops: Router,
    config: &Config,
    lifecycle: &Lifecycle,
) -> anyhow::Result<SocketAddr> {
    let address = listeners.public.local_addr()?;
    let start = |listener, routes: Router, connections| {
        let routes = with_fallbacks(routes.merge(health::alive()).merge(problem_docs::routes()));
        let connection_limit = ConnectionLimit::new(connections);
        lifecycle.requests.spawn(listener::serve(
            listener,
            routes,
            connection_limit,
            config.read_timeout,
            lifecycle.clone(),
        ));
    };
    match listeners.ops {
        None => start(listeners.public, public.merge(ops), connections_max()),
        Some(listener) => {
            tracing::info!(address = %listener.local_addr()?, "listening for operators");
            start(listener, ops, ops_connections_max());
            start(listeners.public, public, connections_max());
        }
    }
    tracing::info!(%address, "listening");
    Ok(address)
}
