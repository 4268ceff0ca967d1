//! A database that former files made, before they were combined into fewer: with the last of them it continues without a hand,
//! otherwise the error says what to do. That the files in their place make what the former ones made was compared when they
//! were written; here a database made by the present files gets the bookkeeping of the former ones.

use memberflow::config::Config;
use memberflow::ops::doctor::{Level, examine};
use memberflow::store::migrate::{self, MigrateError, MigrateOptions, State};
use sqlx::{AssertSqlSafe, PgPool};

use super::{apply, execute, files, inventory, texts};
use crate::support::database::TestDatabase;

const README: &str = include_str!("../../../migrations/README.md");
const BOOKKEEPING: &str = "select concat_ws(' ', version, description, encode(checksum, 'hex')) from ingest.schema_migrations order by version";

/// Files that were combined, and those in their place.
struct Generation {
    /// Which command of the README names the removed files, counted from 1.
    command: usize,
    /// How many were removed.
    removed: usize,
    /// Files that kept their numbers, with another content.
    kept: &'static [&'static str],
    /// The last of the combined files.
    last: &'static str,
    /// What sqlx noted of it.
    last_checksum: &'static str,
    /// A revision that has them all.
    revision: &'static str,
    /// The first version of both.
    first: i64,
    /// The last of the files in their place.
    replaced_up_to: i64,
    /// An index that the files in their place make, and no later one.
    index: &'static str,
}

const FIRST: Generation = Generation {
    command: 1,
    removed: 45,
    kept: &["20251125000000", "20251126000000"],
    last: "20251205000400",
    last_checksum: "2eacf3c9e35d17be109669a94ce9e68096c6fc4d22047dcdc138cb914f68595f98d307078f6e6eb8b140dd35840f4c08",
    revision: "70e741f",
    first: 20_251_125_000_000,
    replaced_up_to: 20_251_205_001_700,
    index: "ingest.inbox_dead_at",
};

const SECOND: Generation = Generation {
    command: 2,
    removed: 23,
    kept: &[],
    last: "20251208030000",
    last_checksum: "b570af098acaa391c2a5b5d0d6c7307195b7f29de5f9d0204065cc1d823ec0eca4d0f5abdfd95fd0138e5133407206ae",
    revision: "505a2d3",
    first: 20_251_206_000_000,
    replaced_up_to: 20_251_208_031_500,
    index: "ingest.inbox_member",
};

const GENERATIONS: [Generation; 2] = [FIRST, SECOND];

impl Generation {
    /// The versions that were removed, as they are given to the Supabase CLI.
    fn removed(&self) -> Vec<&'static str> {
        let mut commands = README.split("supabase migration repair --status reverted");
        let command = commands.nth(self.command).expect("the command");
        let command = command.split("```").next().unwrap_or_default();
        command.split_whitespace().filter(|word| *word != "\\").collect()
    }

    /// Lets the database say that it was migrated by the former files, `removed` of them besides those that kept their numbers.
    async fn note(&self, pool: &PgPool, removed: &[&str], last_checksum: &str) {
        let rows: Vec<String> = self
            .kept
            .iter()
            .chain(removed)
            .map(|version| {
                let checksum = if *version == self.last { last_checksum } else { "00" };
                format!("({version}, 'of then', '2026-01-02', true, decode('{checksum}', 'hex'), 1)")
            })
            .collect();
        let (first, up_to, rows) = (self.first, self.replaced_up_to, rows.join(", "));
        execute(
            pool,
            &format!(
                "delete from ingest.schema_migrations where version between {first} and {up_to};
                 insert into ingest.schema_migrations
                     (version, description, installed_on, success, checksum, execution_time) values {rows}"
            ),
        )
        .await;
    }

    /// Lets the database say that the last of the former files is the last of all.
    async fn note_last(&self, pool: &PgPool) {
        self.note(pool, &self.removed(), self.last_checksum).await;
        let newer = format!("delete from ingest.schema_migrations where version > {}", self.replaced_up_to);
        execute(pool, &newer).await;
    }
}

/// A database as the version with an outbox leaves it, with its bookkeeping.
pub async fn of_the_version_with_an_outbox() -> TestDatabase {
    let database = TestDatabase::migrated().await;
    FIRST.note_last(&database.pool).await;
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
    for generation in GENERATIONS {
        let database = TestDatabase::migrated().await;
        generation.note_last(&database.pool).await;
        // It would come back if the files in place of the former ones were applied.
        execute(&database.pool, &format!("drop index {}", generation.index)).await;
        let lines = migrate::status(&database.options()).await.unwrap();
        let newer: Vec<_> = lines.iter().filter(|line| line.version > generation.replaced_up_to).collect();
        assert!(newer.iter().all(|line| line.state == State::Pending), "{newer:?}");
        let newer: Vec<String> = newer.iter().map(|line| format!("{}_{}", line.version, line.name)).collect();

        let before = inventory(&database.pool).await;
        assert_eq!(apply(&database).await.applied, newer, "no more than what is newer");
        assert_eq!(inventory(&database.pool).await, before, "after {}", generation.last);
        let noted = texts(&database.pool, BOOKKEEPING).await;
        assert_eq!(noted, texts(&fresh.pool, BOOKKEEPING).await);
        assert!(apply(&database).await.applied.is_empty());
    }
}

#[tokio::test]
async fn status_and_doctor_know_the_database_before_and_after() {
    for generation in GENERATIONS {
        let database = TestDatabase::migrated().await;
        generation.note(&database.pool, &generation.removed(), generation.last_checksum).await;
        for _ in 0..2 {
            let lines = migrate::status(&database.options()).await.unwrap();
            assert_eq!(lines.len(), files().len());
            let in_place = generation.first..=generation.replaced_up_to;
            let moments =
                lines.iter().filter(|line| in_place.contains(&line.version)).map(|line| line.applied_at);
            let moment = time::macros::datetime!(2026-01-02 00:00 UTC);
            assert!(moments.into_iter().all(|applied_at| applied_at == Some(moment)), "{lines:?}");
            assert!(lines.iter().all(|line| line.state == State::Applied), "{lines:?}");
            assert_eq!(doctor_says(&database, Level::Fine).await, [format!("all {} applied", files().len())]);
            apply(&database).await;
        }
    }
}

#[tokio::test]
async fn database_without_the_last_former_file_is_refused_untouched() {
    for generation in GENERATIONS {
        let (all, other) = (generation.removed(), "11".repeat(48));
        let without_last: Vec<&str> =
            all.iter().copied().filter(|version| *version != generation.last).collect();
        for (removed, checksum) in [
            (&without_last[..], generation.last_checksum),
            (&all[..1], generation.last_checksum),
            (&all, &other),
        ] {
            let database = TestDatabase::migrated().await;
            generation.note(&database.pool, removed, checksum).await;
            let noted = texts(&database.pool, BOOKKEEPING).await;
            let refused = migrate::run(&database.options(), MigrateOptions::default()).await.unwrap_err();
            assert!(matches!(refused, MigrateError::Combined { .. }), "{refused}");
            let build = format!("build revision {}", generation.revision);
            let refused = refused.to_string();
            assert!(refused.contains(&build) && refused.contains(generation.last), "{refused}");
            assert_eq!(texts(&database.pool, BOOKKEEPING).await, noted);

            let lines = migrate::status(&database.options()).await.unwrap();
            let combined = lines.iter().filter(|line| line.state == State::Combined).count();
            assert_eq!(combined, removed.len(), "{lines:?}");
            let says = doctor_says(&database, Level::Failed).await;
            assert!(says.iter().any(|message| message.contains("by an earlier version")), "{says:?}");
        }
    }
}

/// Nothing is rewritten of a combination that is complete if another is not.
#[tokio::test]
async fn database_between_two_combinations_is_refused_untouched() {
    let database = TestDatabase::migrated().await;
    FIRST.note(&database.pool, &FIRST.removed(), FIRST.last_checksum).await;
    SECOND.note(&database.pool, &SECOND.removed()[..1], SECOND.last_checksum).await;
    let noted = texts(&database.pool, BOOKKEEPING).await;
    let refused = migrate::run(&database.options(), MigrateOptions::default()).await.unwrap_err();
    assert!(refused.to_string().contains(SECOND.revision), "{refused}");
    assert_eq!(texts(&database.pool, BOOKKEEPING).await, noted);
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

/// Nor does it ask in the middle of the second generation, of which the files complete what is missing.
#[tokio::test]
async fn files_complete_a_database_that_lacks_what_later_former_files_made() {
    let database = TestDatabase::migrated().await;
    let complete = inventory(&database.pool).await;
    execute(
        &database.pool,
        "alter table ingest.jobs drop column object;
         alter table ingest.counted_leads drop column created_at;
         alter table ingest.console_sessions drop column user_id;
         drop table ingest.backlog, ingest.forgotten_objects, ingest.mrr_revisions cascade;
         drop index ingest.inbox_member;
         create index mrr_movements_effective_at on public.mrr_movements (effective_at)",
    )
    .await;
    for file in files() {
        execute(&database.pool, &file).await;
    }
    assert_eq!(inventory(&database.pool).await, complete);
}

#[tokio::test]
async fn commands_for_the_supabase_cli_name_every_removed_file() {
    let database = TestDatabase::migrated().await;
    let present = texts(&database.pool, "select version::text from ingest.schema_migrations").await;
    for generation in GENERATIONS {
        let removed = generation.removed();
        assert_eq!(removed.len(), generation.removed, "up to {}", generation.last);
        assert!(removed.is_sorted() && removed.last() == Some(&generation.last), "{removed:?}");
        assert!(generation.kept.iter().all(|kept| !removed.contains(kept)), "{removed:?}");
        assert!(removed.iter().all(|version| !present.iter().any(|it| it == version)), "{present:?}");
    }
}
