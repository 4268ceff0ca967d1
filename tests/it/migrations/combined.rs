//! A database that the first files made, before they were combined into fewer: with the last of them it continues without a
//! hand, otherwise the error says what to do. That the combined files make what the first ones made was compared when they were
//! written; here a database made by the present files gets the bookkeeping of the first ones.

use memberflow::config::Config;
use memberflow::ops::doctor::{Level, examine};
use memberflow::store::migrate::{self, MigrateError, MigrateOptions, State};
use sqlx::{AssertSqlSafe, PgPool};

use super::{apply, execute, files, inventory, texts};
use crate::support::database::TestDatabase;

const README: &str = include_str!("../../../migrations/README.md");
const BOOKKEEPING: &str = "select concat_ws(' ', version, description, encode(checksum, 'hex')) from ingest.schema_migrations order by version";
/// What sqlx noted of the last file.
const LAST_CHECKSUM: &str =
    "2eacf3c9e35d17be109669a94ce9e68096c6fc4d22047dcdc138cb914f68595f98d307078f6e6eb8b140dd35840f4c08";
const LAST: &str = "20251205000400";
/// Files that kept their numbers, with another content.
const KEPT: [&str; 2] = ["20251125000000", "20251126000000"];
/// The last of the files that stand in the place of the first ones.
const REPLACED_UP_TO: i64 = 20_251_205_001_700;

/// The versions that were removed, as they are given to the Supabase CLI.
fn removed() -> Vec<&'static str> {
    let command = README.split("supabase migration repair --status reverted").nth(1).expect("the command");
    let command = command.split("```").next().unwrap_or_default();
    command.split_whitespace().filter(|word| *word != "\\").collect()
}

/// Lets the database say that it was migrated by the first files, `removed` of them besides those that kept their numbers.
async fn note(pool: &PgPool, removed: &[&str], last_checksum: &str) {
    let rows: Vec<String> = KEPT
        .iter()
        .chain(removed)
        .map(|version| {
            let checksum = if *version == LAST { last_checksum } else { "00" };
            format!("({version}, 'of then', '2026-01-02', true, decode('{checksum}', 'hex'), 1)")
        })
        .collect();
    let rows = rows.join(", ");
    execute(
        pool,
        &format!(
            "delete from ingest.schema_migrations where version <= {REPLACED_UP_TO};
             insert into ingest.schema_migrations
                 (version, description, installed_on, success, checksum, execution_time) values {rows}"
        ),
    )
    .await;
}

/// A database as the version before leaves it, with its bookkeeping.
pub async fn of_the_version_before() -> TestDatabase {
    let database = TestDatabase::migrated().await;
    note(&database.pool, &removed(), LAST_CHECKSUM).await;
    execute(
        &database.pool,
        &format!("delete from ingest.schema_migrations where version > {REPLACED_UP_TO}"),
    )
    .await;
    database
}

async fn doctor_says(database: &TestDatabase, level: Level) -> Vec<String> {
    let report = examine(&Config::new(database.url())).await;
    let findings = report.findings.into_iter().filter(|it| it.check == "migrations" && it.level == level);
    findings.map(|it| it.message).collect()
}

#[tokio::test]
async fn database_with_the_last_former_file_continues_alone() {
    let fresh = TestDatabase::migrated().await;
    let database = of_the_version_before().await;
    let newer = migrate::status(&database.options()).await.unwrap();
    let newer: Vec<_> = newer.iter().filter(|line| line.version > REPLACED_UP_TO).collect();
    assert!(newer.iter().all(|line| line.state == State::Pending));
    let newer: Vec<String> = newer.iter().map(|line| format!("{}_{}", line.version, line.name)).collect();

    let before = inventory(&database.pool).await;
    assert_eq!(apply(&database).await.applied, newer, "no more than what is newer");
    assert_eq!(inventory(&database.pool).await, before);
    let noted = texts(&database.pool, BOOKKEEPING).await;
    assert_eq!(noted, texts(&fresh.pool, BOOKKEEPING).await);
    assert!(apply(&database).await.applied.is_empty());
}

#[tokio::test]
async fn status_and_doctor_know_the_database_before_and_after() {
    let database = TestDatabase::migrated().await;
    note(&database.pool, &removed(), LAST_CHECKSUM).await;
    for _ in 0..2 {
        let lines = migrate::status(&database.options()).await.unwrap();
        assert_eq!(lines.len(), files().len());
        let moments = lines.iter().filter(|line| line.version <= REPLACED_UP_TO).map(|line| line.applied_at);
        let moment = time::macros::datetime!(2026-01-02 00:00 UTC);
        assert!(moments.into_iter().all(|applied_at| applied_at == Some(moment)), "{lines:?}");
        assert!(lines.iter().all(|line| line.state == State::Applied), "{lines:?}");
        assert_eq!(doctor_says(&database, Level::Fine).await, [format!("all {} applied", files().len())]);
        apply(&database).await;
    }
}

#[tokio::test]
async fn database_without_the_last_former_file_is_refused_untouched() {
    let (all, other) = (removed(), "11".repeat(48));
    let without_last: Vec<&str> = all.iter().copied().filter(|version| *version != LAST).collect();
    for (removed, checksum) in
        [(&without_last[..], LAST_CHECKSUM), (&all[..1], LAST_CHECKSUM), (&all, &other)]
    {
        let database = TestDatabase::migrated().await;
        note(&database.pool, removed, checksum).await;
        let noted = texts(&database.pool, BOOKKEEPING).await;
        let refused = migrate::run(&database.options(), MigrateOptions::default()).await.unwrap_err();
        assert!(matches!(refused, MigrateError::Combined { .. }), "{refused}");
        assert!(refused.to_string().contains("build revision"), "{refused}");
        assert_eq!(texts(&database.pool, BOOKKEEPING).await, noted);

        let lines = migrate::status(&database.options()).await.unwrap();
        assert_eq!(lines.iter().filter(|line| line.state == State::Combined).count(), removed.len());
        let says = doctor_says(&database, Level::Failed).await;
        assert!(says.iter().any(|message| message.contains("by an earlier version")), "{says:?}");
    }
}

/// The Supabase CLI asks nobody: the files themselves refuse what they could not complete.
#[tokio::test]
async fn files_refuse_a_database_that_lacks_what_former_files_made() {
    let database = TestDatabase::migrated().await;
    execute(&database.pool, "drop index ingest.inbox_without_subject").await;
    let files = files();
    let making = files.iter().find(|file| file.contains("create schema if not exists ingest")).unwrap();
    let refused = sqlx::raw_sql(AssertSqlSafe(making.clone())).execute(&database.pool).await.unwrap_err();
    assert!(refused.to_string().contains("not to its last file"), "{refused}");
}

#[tokio::test]
async fn command_for_the_supabase_cli_names_every_removed_file() {
    let removed = removed();
    assert_eq!(removed.len(), 45);
    assert!(
        removed.is_sorted()
            && removed.contains(&LAST)
            && !removed.contains(&KEPT[0])
            && !removed.contains(&KEPT[1])
    );
    let database = TestDatabase::migrated().await;
    let present = texts(&database.pool, "select version::text from ingest.schema_migrations").await;
    assert!(removed.iter().all(|version| !present.iter().any(|it| it == version)), "{present:?}");
}
