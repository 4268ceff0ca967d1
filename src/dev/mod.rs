//! Everything locally, from nothing to members on the screen: servers found or started, the schema, demo
//! data, the service itself, and the stories of `fixtures/` replayed through its signed endpoints.

pub mod demo;
pub mod services;

mod database;
mod screen;
mod settings;

use std::net::{SocketAddr, TcpListener};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use time::OffsetDateTime;

use crate::cli::replay::url_of;
use crate::clock::Clock;
use crate::config::Config;
use crate::lifecycle::Lifecycle;
use crate::ops::fixture::{self, Member, SignsUp, Story, Tier};
use crate::ops::progress::Progress;
use crate::ops::replay::{self, Options, Secrets};
use crate::roles::{self, Role};
use crate::store::migrate::{self, MigrateOptions};
use crate::store::{Rules, Store};

use database::EventName;
use services::{Services, Wanted};

/// The longest that a stop may take.
const STOP_WITHIN: Duration = Duration::from_secs(9);

/// Requests under way at once while the stories are replayed.
const REPLAY_CONCURRENCY: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");

/// How to run locally.
#[derive(Clone, Debug)]
pub struct Local {
    /// End once the members are on the screen.
    pub once: bool,
    /// Whether the address in the settings must be had; else another port will do.
    pub bind_is_wanted: bool,
    /// The folder of stories.
    pub fixtures: PathBuf,
    /// Where the settings of this run are written.
    pub settings: PathBuf,
    /// What time it is.
    pub clock: Clock,
}

/// The demo: its tiers, tickets and stories, moved in time so that they happen now.
struct Demo {
    tiers: Vec<Tier>,
    tickets: Vec<serde_json::Value>,
    stories: Vec<Story>,
    now: OffsetDateTime,
}

/// Runs everything until the process is asked to stop or, with [`Local::once`], until the members have
/// been shown. Stops what was started for it, whatever happens. `config` is what the environment says.
///
/// # Errors
/// The first thing that did not work, and what to do.
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

/// The way from servers to members on the screen.
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
    migrate_stand_in(&config).await?;
    let pool = crate::database::connect(&config)?;
    demo::name_tiers(&pool, &demo.tiers).await.context("cannot write the tiers")?;
    let mut events = demo.sign_up(&pool, SignsUp::Before).await?;

    config.bind = address(config.bind, local.bind_is_wanted)?;
    settings::complete(&mut config, &local.settings)?;
    roles::start(&config, &Role::ALL, local.clock.clone(), lifecycle).await?;

    replay_stories(&config, local, demo.now).await?;
    events.extend(demo.events());
    database::wait_until_applied(&pool, &events).await?;
    let late = demo.sign_up(&pool, SignsUp::AfterEvents).await?;
    database::wait_until_applied(&pool, &late).await?;
    demo::open_tickets(&pool, &demo.tickets, demo.now).await.context("cannot write the tickets")?;
    // What waited for them would be tried again within a minute; nobody wants to watch that.
    let store = Store::new(pool.clone(), local.clock.clone(), Rules::new(&config));
    while store.recompute_due().await? > 0 {}

    if let Some(since) = database::standing_since(&pool, &demo.stories).await? {
        tracing::warn!(%since, "{}", screen::AGED);
    }
    screen::print(&pool, &config, &local.settings, &local.clock).await?;
    pool.close().await;
    Ok(())
}

impl Demo {
    fn read(local: &Local) -> Result<Self> {
        let folder = &local.fixtures;
        let hint = || format!("no stories in {}: run this in memberflow's own folder", folder.display());
        let now = local.clock.now();
        let stories = fixture::stories(folder).with_context(hint)?;
        Ok(Self {
            tiers: fixture::tiers(folder).with_context(hint)?,
            tickets: fixture::tickets(folder).with_context(hint)?,
            stories: stories.into_iter().map(|story| story.moved_to(now)).collect(),
            now,
        })
    }

    async fn sign_up(&self, pool: &PgPool, when: SignsUp) -> Result<Vec<EventName>> {
        let members = self.stories.iter().flat_map(|story| &story.members);
        let members: Vec<&Member> = members.filter(|member| member.signs_up == when).collect();
        demo::sign_up(pool, &members).await.context("cannot write the demo members")
    }

    fn events(&self) -> impl Iterator<Item = EventName> {
        let events = self.stories.iter().flat_map(|story| &story.events);
        events.map(|event| (event.source.to_string(), event.event_id.clone()))
    }
}

/// The schema, on our own stand-in of Supabase: demo members must never get into a real project.
async fn migrate_stand_in(config: &Config) -> Result<()> {
    let database =
        config.database_url.expose_secret().parse().context("DATABASE_URL is not a Postgres URL")?;
    let options = MigrateOptions { supabase_stub: true };
    let report = migrate::run(&database, options).await;
    let applied = report.context("demo data needs a database of its own")?.applied.len();
    tracing::info!(applied, "the schema is up to date");
    Ok(())
}

/// The address in the settings or, unless exactly that is wanted, another port where it is taken.
fn address(bind: SocketAddr, is_wanted: bool) -> Result<SocketAddr> {
    let listener = match TcpListener::bind(bind) {
        Err(fault) if !is_wanted && fault.kind() == std::io::ErrorKind::AddrInUse => {
            tracing::info!(address = %bind, "taken: listening on another port");
            TcpListener::bind((bind.ip(), 0))
        }
        outcome => outcome,
    };
    Ok(listener.with_context(|| format!("cannot listen on {bind}"))?.local_addr()?)
}

/// Posts every event as its provider would. All of them must be accepted.
async fn replay_stories(config: &Config, local: &Local, now: OffsetDateTime) -> Result<()> {
    let options = Options {
        url: url_of(config.bind),
        shuffle: None,
        duplicate: NonZeroU32::MIN,
        rate_per_s: None,
        concurrency: REPLAY_CONCURRENCY,
        shift_to: Some(now),
        secrets: Secrets::of(config)?,
    };
    let paths = [local.fixtures.clone()];
    let mut progress = Progress::on_stderr("replay");
    let summary = replay::replay(&options, &paths, &local.clock, &mut progress).await?;
    tracing::info!("stories replayed: {summary}");
    if !summary.is_complete() {
        bail!("the service did not take every event of the stories");
    }
    Ok(())
}
