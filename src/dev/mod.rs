//! Runs everything locally: finds or starts servers, migrates, seeds demo data, starts the service, and
//! replays `fixtures/` through its signed endpoints.

pub mod demo;
pub mod services;

mod attention;
mod database;
mod screen;
mod settings;

use std::net::{SocketAddr, TcpListener};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::clock::Clock;
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::ops::fixture::{self, Member, Scenario, SignsUp, Tier};
use crate::ops::members;
use crate::ops::progress::Progress;
use crate::ops::replay::{self, Options, Secrets, url_of};
use crate::roles::{self, Role};
use crate::store::events::EventKey;
use crate::store::migrate::{self, MigrateOptions};
use crate::store::{Store, StoreSettings};

use services::{Services, Wanted};

/// The shutdown deadline.
const STOP_WITHIN: Duration = Duration::from_secs(9);

/// Concurrent requests while the fixtures are replayed.
const REPLAY_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");

/// How to run locally.
#[derive(Clone, Debug)]
pub struct Local {
    /// End once the members have been printed.
    pub once: bool,
    /// Whether exactly the configured address is required; otherwise another port will do.
    pub bind_is_wanted: bool,
    /// The folder of fixtures.
    pub fixtures: PathBuf,
    /// Where the settings of this run are written.
    pub settings: PathBuf,
    /// What time it is.
    pub clock: Clock,
    /// How the members are shown on a terminal.
    pub table: fn(&[members::Member]) -> String,
}

/// The demo: its tiers, campaigns, tickets and fixtures, shifted in time to now.
struct Demo {
    tiers: Vec<Tier>,
    campaigns: Vec<serde_json::Value>,
    tickets: Vec<serde_json::Value>,
    /// Events that belong to no scenario.
    attention: Option<PathBuf>,
    scenarios: Vec<Scenario>,
    now: OffsetDateTime,
}

/// Runs everything until the process is asked to stop or, with [`Local::once`], until the members have been
/// shown. Always stops what was started for it. `config` is from the environment.
///
/// # Errors
/// The first failure, and what to do.
pub async fn run(wanted: &Wanted, local: &Local, config: Config) -> Result<()> {
    let demo = Demo::read(local)?;
    let lifecycle = Lifecycle::default();
    lifecycle.stop_on_signals().context("cannot listen to signals")?;
    let services = match lifecycle.until_stopping(wanted.find_or_start()).await {
        Some(Ok(services)) => services,
        Some(Err(reason)) => return wanted.stop_unused().await.and(Err(reason)),
        None => return wanted.stop_unused().await.and_then(|()| bail!("interrupted")),
    };
    let shown = lifecycle.until_stopping(show(&demo, &services, wanted, local, config, &lifecycle)).await;
    if matches!(shown, Some(Ok(()))) && !local.once {
        lifecycle.stopping.cancelled().await;
    }
    let ended = lifecycle.shutdown(STOP_WITHIN).await.context("the service did not stop in order");
    services.stop().await?;
    shown.unwrap_or_else(|| Err(anyhow::anyhow!("interrupted")))?;
    ended
}

/// Everything between starting servers and printing members.
async fn show(
    demo: &Demo,
    services: &Services,
    wanted: &Wanted,
    local: &Local,
    mut config: Config,
    lifecycle: &Lifecycle,
) -> Result<()> {
    config.database_url = match &wanted.database_url {
        Some(url) => url.clone().into(),
        None => database::own(&services.database_url).await?.into(),
    };
    config.amqp_url = services.amqp_url.clone().map(Into::into);
    migrate_stub(&config).await?;
    let pool = crate::database::connect(&config)?;
    demo::insert_tiers(&pool, &demo.tiers).await.context("cannot write the tiers")?;
    // Before their members pay: else the leads would not be converted.
    demo::insert_campaigns(&pool, &demo.campaigns, demo.now).await.context("cannot write the campaigns")?;
    let mut events = demo.sign_up(&pool, SignsUp::Before).await?;

    config.bind = address(config.bind, local.bind_is_wanted)?;
    settings::complete(&mut config, &local.settings)?;
    roles::start(&config, &Role::ALL, local.clock.clone(), lifecycle).await?;

    replay_fixtures(&config, local, demo.now, &local.fixtures).await?;
    events.extend(demo.events());
    database::wait_until_applied(&pool, &events).await?;
    for scenario in &demo.scenarios {
        demo::write_rows(&pool, &scenario.written).await.context("cannot write the application's rows")?;
    }
    let late = demo.sign_up(&pool, SignsUp::AfterEvents).await?;
    database::wait_until_applied(&pool, &late).await?;
    demo::open_tickets(&pool, &demo.tickets, demo.now).await.context("cannot write the tickets")?;
    // Parked items would be retried within a minute; that is too long to watch.
    let store = Store::new(pool.clone(), local.clock.clone(), StoreSettings::new(&config));
    while store.recompute_due().await? > 0 {}
    demo.seed_operator_data(&pool, &config, local, &store).await?;

    if let Some(since) = database::older_demo_day(&pool, &demo.scenarios).await? {
        tracing::warn!(%since, "{}", screen::OUTDATED_DEMO);
    }
    screen::print(&pool, &config, local).await?;
    pool.close().await;
    Ok(())
}

impl Demo {
    fn read(local: &Local) -> Result<Self> {
        let folder = &local.fixtures;
        let hint = || format!("no fixtures in {}: run this in the memberflow checkout", folder.display());
        let now = local.clock.now();
        let scenarios = fixture::scenarios(folder).with_context(hint)?;
        Ok(Self {
            tiers: fixture::tiers(folder).with_context(hint)?,
            campaigns: fixture::campaigns(folder).with_context(hint)?,
            tickets: fixture::tickets(folder).with_context(hint)?,
            attention: fixture::attention(folder),
            scenarios: scenarios.into_iter().map(|scenario| scenario.moved_to(now)).collect(),
            now,
        })
    }

    async fn sign_up(&self, pool: &PgPool, when: SignsUp) -> Result<Vec<EventKey>> {
        let members = self.scenarios.iter().flat_map(|scenario| &scenario.members);
        let members: Vec<&Member> = members.filter(|member| member.signs_up == when).collect();
        demo::sign_up(pool, &members).await.context("cannot write the demo members")
    }

    /// What the pages of operators show.
    async fn seed_operator_data(
        &self,
        pool: &PgPool,
        config: &Config,
        local: &Local,
        store: &Store,
    ) -> Result<()> {
        if let Some(path) = &self.attention {
            replay_fixtures(config, local, self.now, path).await?;
            attention::wait(pool, path).await?;
        }
        let Some(member) = self.scenarios.iter().flat_map(|scenario| &scenario.members).next() else {
            return Ok(());
        };
        attention::act(pool, member.id, &local.clock).await?;
        attention::damage_and_rebuild(pool, member.id, store).await
    }

    fn events(&self) -> impl Iterator<Item = EventKey> {
        let events = self.scenarios.iter().flat_map(|scenario| &scenario.events);
        events.map(|event| EventKey { source: event.source.to_string(), event_id: event.event_id.clone() })
    }
}

/// Migrates the local Supabase stub: demo members must never get into a real project.
async fn migrate_stub(config: &Config) -> Result<()> {
    let database =
        config.database_url.expose_secret().parse().context("DATABASE_URL is not a Postgres URL")?;
    let options = MigrateOptions { supabase_stub: true };
    let report = migrate::run(&database, options).await;
    let applied = report.context("demo data needs a database of its own")?.applied.len();
    tracing::info!(applied, "the schema is up to date");
    Ok(())
}

/// The configured address or, if it is taken and not required, another port.
fn address(bind: SocketAddr, is_wanted: bool) -> Result<SocketAddr> {
    let listener = match TcpListener::bind(bind) {
        Err(error) if !is_wanted && error.kind() == std::io::ErrorKind::AddrInUse => {
            tracing::info!(address = %bind, "address in use, listening on another port");
            TcpListener::bind((bind.ip(), 0))
        }
        outcome => outcome,
    };
    Ok(listener.with_context(|| format!("cannot listen on {bind}"))?.local_addr()?)
}

/// Posts every event as its provider would. All of them must be accepted.
async fn replay_fixtures(config: &Config, local: &Local, now: OffsetDateTime, path: &Path) -> Result<()> {
    let options = Options {
        url: url_of(config.bind),
        shuffle: None,
        duplicate: NonZeroU32::MIN,
        rate_per_s: None,
        concurrency: REPLAY_CONCURRENCY,
        shift_to: Some(now),
        secrets: Secrets::of(config)?,
    };
    let paths = [path.to_owned()];
    let mut progress = Progress::on_stderr("replay");
    let summary = replay::replay(&options, &paths, &local.clock, &mut progress).await?;
    tracing::info!("scenarios replayed: {summary}");
    if !summary.is_complete() {
        bail!("the service did not take every event of the scenarios");
    }
    Ok(())
}
