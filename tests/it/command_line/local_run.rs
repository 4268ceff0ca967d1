//! `memberflow dev --once`: from an empty database to the expected members.

use std::path::{Path, PathBuf};
use std::process::Output;

use memberflow::clock::Clock;
use memberflow::config::Config;
use memberflow::dev::services::{Broker, Wanted};
use memberflow::dev::{self, Local};
use memberflow::ops::fixture;
use memberflow::ops::members::{self, MAX_LIMIT, PageRequest};
use time::OffsetDateTime;
use time::macros::datetime;
use tokio::process::Command;

use crate::support::app::NOW;
use crate::support::database::TestDatabase;

/// A temporary folder with only the fixtures.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("mf-run-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).unwrap();
        std::os::unix::fs::symlink(fixtures_folder(), path.join("fixtures")).unwrap();
        Self(path)
    }

    /// Runs to the end with the queue in Postgres, which tests share with nobody.
    async fn run_once(&self, database: &TestDatabase) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_memberflow"));
        command.args(["dev", "--once"]).current_dir(&self.0).env("DATABASE_URL", database.url());
        command.env("AMQP_URL", "").env_remove("MEMBERFLOW_BIND").kill_on_drop(true);
        command.output().await.unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn fixtures_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn local_run_shows_every_demo_member_repeatedly() {
    let (folder, database) = (Folder::new(), TestDatabase::empty().await);

    let first = folder.run_once(&database).await;
    let again = folder.run_once(&database).await;

    let shown = text(&first.stdout);
    assert!(
        first.status.success() && again.status.success(),
        "{}{}",
        text(&first.stderr),
        text(&again.stderr)
    );
    for member in
        fixture::scenarios(&fixtures_folder()).unwrap().iter().flat_map(|scenario| &scenario.members)
    {
        let name = format!("{} {}", member.profile.first_name, member.profile.last_name);
        assert!(shown.contains(&name), "{name} is missing:\n{shown}");
    }
    assert!(shown.contains("stripe listen --forward-to http://127.0.0.1:"), "{shown}");
    assert!(shown.contains("/console/sign-in/link?code="), "{shown}");
    let table = |shown: &str| shown.split("\n\n").next().unwrap_or_default().to_owned();
    assert_eq!(table(&text(&again.stdout)), table(&shown));
}

#[tokio::test]
async fn keeps_demo_members_out_of_a_real_supabase() {
    let (folder, database) = (Folder::new(), TestDatabase::empty().await);
    let real = "create schema auth; create table auth.users (id uuid primary key)";
    sqlx::raw_sql(real).execute(&database.pool).await.unwrap();

    let refused = folder.run_once(&database).await;

    let reason = text(&refused.stderr);
    assert!(!refused.status.success() && reason.contains("database of its own"), "{reason}");
    let tables = "select count(*) from pg_catalog.pg_tables where schemaname in ('public', 'ingest')";
    let tables: i64 = sqlx::query_scalar(tables).fetch_one(&database.pool).await.unwrap();
    assert_eq!(tables, 0, "nothing was made");
}

#[tokio::test]
async fn demo_is_current_on_any_date() {
    alive_at(datetime!(2031-03-05 09:30 UTC)).await;
}

#[tokio::test]
async fn demo_fills_every_page() {
    let database = demo_at(NOW).await;
    let campaign = "/console/campaigns/spring-webinar";
    let pages = [
        ("/console".to_owned(), vec!["Events a second", "unknown_user", "rebuild", "MRR"]),
        ("/console/members".to_owned(), vec!["Ben Carter"]),
        ("/console/tickets".to_owned(), vec!["Charged twice?"]),
        ("/console/messages".to_owned(), vec!["data-row"]),
        ("/console/revenue".to_owned(), vec!["/console/revenue/movements?", "/console/revenue/cohort?"]),
        ("/console/campaigns".to_owned(), vec!["Spring webinar", "Partner newsletter"]),
        (campaign.to_owned(), vec!["tess.ngo@example.com", "data-row>member</a>"]),
        ("/console/events?state=applied".to_owned(), vec!["data-row"]),
        ("/console/events?state=dead".to_owned(), vec!["evt_1Unreadable01", "evt_1Unreadable02"]),
        (
            "/console/attention".to_owned(),
            vec!["is missing or invalid", "unknown_user", "differed and are fixed", "<td>mrr</td>"],
        ),
        ("/console/parked".to_owned(), vec!["cus_Unplaced01"]),
        ("/console/audit".to_owned(), vec!["members change", "rebuild"]),
    ];
    for (path, texts) in pages {
        let body = crate::console::read(&database.pool, &path).await;
        for text in texts {
            assert!(body.contains(text), "{path} does not show {text:?}:\n{body}");
        }
    }
}

#[tokio::test]
async fn demo_is_current_on_last_of_february() {
    alive_at(datetime!(2024-02-29 23:59:59 UTC)).await;
}

/// Runs the demo where the clock stands at `now`.
async fn demo_at(now: OffsetDateTime) -> TestDatabase {
    let (folder, database) = (Folder::new(), TestDatabase::migrated().await);
    let wanted = Wanted {
        folder: folder.0.clone(),
        database_url: Some(database.url()),
        prefers_private_postgres: false,
        broker: Broker::Postgres,
        postgres_port: 1,
        rabbitmq_port: 1,
    };
    let local = Local {
        once: true,
        bind_is_wanted: false,
        fixtures: fixtures_folder(),
        settings: folder.0.join("dev.toml"),
        clock: Clock::fixed(now),
        table: |_| String::new(),
    };
    dev::run(&wanted, &local, Config::new(database.url())).await.unwrap();
    database
}

/// Runs the demo where the clock stands at `now`: there are champions and members at risk, and a period ends today.
async fn alive_at(now: OffsetDateTime) {
    let database = demo_at(now).await;
    let request = PageRequest { limit: MAX_LIMIT, ..PageRequest::default() };
    let page = members::list(&database.pool, &request, now).await.unwrap();
    let with = |status: &str| {
        let members = page.members.iter().filter(|it| it.engagement_status.as_deref() == Some(status));
        members.filter_map(|it| it.full_name.clone()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(Vec::from_iter(with("champion")), ["Inês Jansen", "Rosa Silva"]);
    assert_eq!(Vec::from_iter(with("at_risk")), ["Anna Berger", "Liam Moreau"]);
    assert!(with("active").len() >= 3, "{:?}", with("active"));
    let due =
        "select p.first_name from public.customer_subscriptions s join public.user_profiles p using (user_id)
               where s.status = 'active' and s.current_period_end::date = $1::date";
    let due: Vec<String> = sqlx::query_scalar(due).bind(now).fetch_all(&database.pool).await.unwrap();
    assert_eq!(due, ["Ben"]);
}
