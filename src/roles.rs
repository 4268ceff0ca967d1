//! What one process does: its roles, started together.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use clap::ValueEnum;
use sqlx::PgPool;
use tokio::net::TcpListener;

use crate::api::{self, ApiState};
use crate::clock::Clock;
use crate::config::Config;
use crate::consume;
use crate::database;
use crate::lifecycle::Lifecycle;
use crate::queue::{self, Queue};
use crate::receive::{self, Receive, Rests, listener};
use crate::store::{Rules, Store};
use crate::telemetry;

/// How often samples are put into their buckets, so that they don't pile up where nobody scrapes.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// A part of the service that can run in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Take webhooks
    Receive,
    /// Move the outbox to RabbitMQ
    Relay,
    /// Apply events
    Consume,
    /// Serve the CRM's API
    Api,
}

impl Role {
    /// All that there is to do.
    pub const ALL: [Self; 4] = [Self::Receive, Self::Relay, Self::Consume, Self::Api];
}

/// Starts `roles` and listens at `config.bind`; returns where. Nothing waits for Postgres or RabbitMQ: a
/// service that starts before them answers, and works as soon as they are there.
///
/// # Errors
/// If a setting cannot be used or the address is taken.
pub async fn start(
    config: &Config,
    roles: &[Role],
    clock: Clock,
    lifecycle: &Lifecycle,
) -> anyhow::Result<SocketAddr> {
    let pool = database::connect(config).context("DATABASE_URL cannot be used")?;
    let queue = Queue::open(config, pool.clone(), lifecycle)?;
    if roles.contains(&Role::Relay) {
        let (queue, here) = (queue.clone(), lifecycle.clone());
        lifecycle.tasks.spawn(async move { queue::relay(&queue, &here).await });
    }
    if roles.contains(&Role::Consume) {
        start_consuming(config, &queue, &pool, &clock, lifecycle);
    }
    let routes = routes(config, roles, queue, pool, clock, lifecycle)?;
    let listener =
        TcpListener::bind(config.bind).await.with_context(|| format!("cannot listen on {}", config.bind))?;
    let address = listener.local_addr()?;
    let serving = listener::serve(listener, routes, config.read_timeout, lifecycle.clone());
    lifecycle.requests.spawn(serving);
    tracing::info!(%address, "listening");
    Ok(address)
}

fn start_consuming(config: &Config, queue: &Queue, pool: &PgPool, clock: &Clock, lifecycle: &Lifecycle) {
    let store = Store::new(pool.clone(), clock.clone(), Rules::new(config));
    let (queue, here) = (queue.clone(), lifecycle.clone());
    lifecycle.tasks.spawn(async move { consume::run(&queue, &store, &here).await });
}

fn routes(
    config: &Config,
    roles: &[Role],
    queue: Queue,
    pool: PgPool,
    clock: Clock,
    lifecycle: &Lifecycle,
) -> anyhow::Result<Router> {
    let metrics = telemetry::metrics()?;
    let (upkeep, stopping) = (metrics.clone(), lifecycle.stopping.clone());
    lifecycle.tasks.spawn(async move {
        while stopping.run_until_cancelled(tokio::time::sleep(METRICS_UPKEEP)).await.is_some() {
            upkeep.run_upkeep();
        }
    });
    let rests = Rests { queue, clock: clock.clone(), lifecycle: lifecycle.clone(), metrics };
    let receive = Receive::new(config, rests)?;
    let mut routes = receive::health(receive.clone());
    if roles.contains(&Role::Receive) {
        routes = routes.merge(receive::webhooks(receive));
    }
    if roles.contains(&Role::Api) {
        let store = Store::new(pool, clock.clone(), Rules::new(config));
        routes =
            routes.merge(api::routes(ApiState { store, clock, admin_token: config.admin_token.clone() }));
    }
    Ok(receive::with_fallbacks(routes))
}
