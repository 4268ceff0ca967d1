//! Adding the triggers and removing them again.

use std::time::{Duration, Instant};

use memberflow::ops::triggers::{self, Outcome, TriggersError};
use memberflow::project::supabase::ActivityTables;
use sqlx::{AssertSqlSafe, Executor as _};

use super::catalogue::inventory;
use super::{ANN, activity, drained, installed, waiting};
use crate::support::app::TestApp;
use crate::support::database::TestDatabase;
use crate::support::process::memberflow;

const TABLES: [&str; 6] = [
    "auth.users",
    "auth.sessions",
    "storage.objects",
    "public.user_profiles",
    "public.vision_versions",
    "public.journal_entries",
];

fn outcomes(done: &[triggers::Done]) -> Vec<(&str, &Outcome)> {
    done.iter().map(|one| (one.relation.as_str(), &one.outcome)).collect()
}

fn all(outcome: &Outcome) -> Vec<(&'static str, &Outcome)> {
    TABLES.into_iter().map(|table| (table, outcome)).collect()
}

#[tokio::test]
async fn install_is_idempotent_uninstall_is_complete() {
    let database = TestDatabase::migrated().await;
    let (pool, tables) = (&database.pool, ActivityTables::default());
    let before = inventory(pool).await;
    assert_eq!(outcomes(&installed(pool, &tables).await), all(&Outcome::Installed));
    let with = inventory(pool).await;
    assert_eq!(
        with.iter().filter(|thing| !before.contains(thing)).count(),
        12,
        "a function and a trigger each"
    );
    assert_eq!(outcomes(&installed(pool, &tables).await), all(&Outcome::Unchanged));
    assert_eq!(inventory(pool).await, with);
    assert_eq!(outcomes(&triggers::uninstall(pool, &tables).await.unwrap()), all(&Outcome::Removed));
    assert_eq!(inventory(pool).await, before);
    assert_eq!(outcomes(&triggers::uninstall(pool, &tables).await.unwrap()), all(&Outcome::Unchanged));
}

#[tokio::test]
async fn reinstalled_triggers_continue_the_numbers() {
    let app = TestApp::begin().await;
    app.sign_up(ANN, "ann@example.org").await;
    let tables = ActivityTables::default();
    for number in 1..=3 {
        installed(&app.database.pool, &tables).await;
        app.execute(&format!("insert into public.journal_entries (user_id) values ('{ANN}')")).await;
        drained(&app).await;
        assert_eq!(activity(&app, ANN).await["entries"], number);
        triggers::uninstall(&app.database.pool, &tables).await.unwrap();
    }
}

#[tokio::test]
async fn outdated_disabled_or_unwanted_triggers_are_fixed() {
    let database = TestDatabase::migrated().await;
    let (pool, tables) = (&database.pool, ActivityTables::default());
    let more = tables.clone().with("public.leads:assigned_to:vision_refinement_count".parse().unwrap());
    installed(pool, &tables).await;
    let right = inventory(pool).await;
    installed(pool, &more).await;
    pool.execute(
        "alter table public.user_profiles add column city text;
         alter table auth.users disable trigger \"00_memberflow\";
         drop trigger \"00_memberflow\" on auth.sessions;
         comment on function ingest.\"outbox_public.vision_versions\"() is 'of another version'",
    )
    .await
    .unwrap();
    let done = installed(pool, &tables).await;
    let of = |table: &str| done.iter().find(|one| one.relation == table).unwrap().outcome.clone();
    for table in ["auth.users", "auth.sessions", "public.vision_versions", "public.user_profiles"] {
        assert_eq!(of(table), Outcome::Installed, "{table}");
    }
    assert_eq!(of("storage.objects"), Outcome::Unchanged);
    assert_eq!(of("public.leads"), Outcome::Removed);
    let fires = "select count(*) from pg_trigger where tgname = '00_memberflow' and tgenabled = 'O'";
    assert_eq!(sqlx::query_scalar::<_, i64>(fires).fetch_one(pool).await.unwrap(), 6);
    let triggers =
        |things: &[String]| things.iter().filter(|it| it.starts_with("trigger")).cloned().collect::<Vec<_>>();
    assert_eq!(triggers(&inventory(pool).await), triggers(&right));
}

#[tokio::test]
async fn unsuitable_table_is_skipped_and_reported() {
    let database = TestDatabase::migrated().await;
    let pool = &database.pool;
    pool.execute(
        "drop table public.journal_entries; alter table public.vision_versions drop column is_draft",
    )
    .await
    .unwrap();
    let done = installed(pool, &ActivityTables::default()).await;
    let of = |table: &str| done.iter().find(|one| one.relation == table).unwrap().outcome.clone();
    assert_eq!(of("public.journal_entries"), Outcome::Skipped("there is no such table".to_owned()));
    assert_eq!(of("public.vision_versions"), Outcome::Skipped("it has no column is_draft".to_owned()));
    assert_eq!(of("auth.users"), Outcome::Installed);
}

#[tokio::test]
async fn locked_table_is_skipped_others_are_installed() {
    let database = TestDatabase::migrated().await;
    let (pool, tables) = (&database.pool, ActivityTables::default());
    let mut holding = memberflow::database::begin(pool).await.unwrap();
    holding.execute("insert into auth.users (id) values (gen_random_uuid())").await.unwrap();
    let began = Instant::now();
    let done = triggers::install(pool, &tables).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let Outcome::Failed(reason) = &done[0].outcome else { panic!("{done:?}") };
    assert!(reason.contains("another transaction holds the table"), "{reason}");
    assert!(reason.contains("nothing was changed there"), "{reason}");
    assert!(done[1..].iter().all(|one| one.outcome == Outcome::Installed), "{done:?}");
    holding.rollback().await.unwrap();
    assert_eq!(triggers::install(pool, &tables).await.unwrap()[0].outcome, Outcome::Installed);
}

#[tokio::test]
async fn printed_script_is_equivalent() {
    let (ours, by_hand) = (TestDatabase::migrated().await, TestDatabase::migrated().await);
    let tables = ActivityTables::default();
    let before = inventory(&by_hand.pool).await;
    installed(&ours.pool, &tables).await;
    let script = triggers::install_script(&by_hand.pool, &tables).await.unwrap();
    assert_eq!(inventory(&by_hand.pool).await, before, "printing changes nothing");
    by_hand.pool.execute(AssertSqlSafe(script)).await.unwrap();
    assert_eq!(inventory(&by_hand.pool).await, inventory(&ours.pool).await);
    let script = triggers::uninstall_script(&by_hand.pool, &tables).await.unwrap();
    by_hand.pool.execute(AssertSqlSafe(script)).await.unwrap();
    assert_eq!(inventory(&by_hand.pool).await, before);
}

#[tokio::test]
async fn unmigrated_or_foreign_role_is_explained() {
    let database = TestDatabase::stubbed().await;
    let refused = triggers::install(&database.pool, &ActivityTables::default()).await.unwrap_err();
    assert!(matches!(refused, TriggersError::NotMigrated));
    assert!(refused.to_string().contains("memberflow migrate"), "{refused}");
    let refused = TriggersError::NotTheOwner("postgres".to_owned()).to_string();
    assert!(refused.contains("connect as postgres"), "{refused}");
}

#[tokio::test]
async fn install_commands_print_results() {
    let database = TestDatabase::migrated().await;
    let settings = vec![("DATABASE_URL", database.url())];
    let run = |arguments: &'static [&str]| {
        let output = memberflow(&settings).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = run(&["supabase", "install", "--print"]);
    assert!(printed.starts_with("begin;\nset local lock_timeout"), "{printed}");
    assert_eq!(waiting(&database.pool).await, []);
    let done = run(&["supabase", "install"]);
    assert!(done.starts_with("auth.users: installed\n"), "{done}");
    let again = run(&["supabase", "install", "--json"]);
    assert!(again.contains(r#"{"relation":"auth.users","outcome":"unchanged"}"#), "{again}");
    assert!(run(&["supabase", "uninstall", "--print"]).contains("drop function if exists"));
    let gone = run(&["supabase", "uninstall"]);
    assert!(gone.ends_with("public.journal_entries: removed\n"), "{gone}");
}

#[tokio::test]
async fn supabase_linter_finds_nothing() {
    let database = TestDatabase::migrated().await;
    installed(&database.pool, &ActivityTables::default()).await;
    let mut connection = database.pool.acquire().await.unwrap();
    sqlx::query("set search_path = ''").execute(&mut *connection).await.unwrap();
    let findings: Vec<String> =
        sqlx::query_scalar(include_str!("../migrations/lint.sql")).fetch_all(&mut *connection).await.unwrap();
    assert_eq!(findings, Vec::<String>::new());
}
