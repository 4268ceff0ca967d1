//! Applying: once, twice, at the same time, after the Supabase CLI, by an owner with few rights.

use memberflow::store::migrate::{self, MigrateError, MigrateOptions, State};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use super::{apply, execute, files, inventory, texts};
use crate::support::database::TestDatabase;

#[tokio::test]
async fn a_second_run_applies_and_changes_nothing() {
    let database = TestDatabase::stubbed().await;
    let first = apply(&database).await;
    assert_eq!(first.applied.len(), files().len());
    assert_eq!(first.applied[1], "20251126000000_create_crm_system");
    let made = inventory(&database.pool).await;

    assert!(apply(&database).await.applied.is_empty());
    assert_eq!(inventory(&database.pool).await, made);
}

#[tokio::test]
async fn files_applied_by_hand_and_again_by_us_make_the_same_database() {
    let ours = TestDatabase::migrated().await;
    let by_hand = TestDatabase::stubbed().await;
    for _ in 0..2 {
        for file in files() {
            execute(&by_hand.pool, &file).await;
        }
    }
    assert_eq!(apply(&by_hand).await.applied.len(), files().len());
    assert_eq!(inventory(&by_hand.pool).await, inventory(&ours.pool).await);
}

#[tokio::test]
async fn of_two_at_once_one_waits_and_finds_nothing_to_do() {
    let database = TestDatabase::empty().await;
    let options = MigrateOptions { supabase_stub: true };
    let connect = database.options();
    let (one, other) = tokio::join!(migrate::run(&connect, options), migrate::run(&connect, options));
    let mut applied = [one.unwrap().applied.len(), other.unwrap().applied.len()];
    applied.sort_unstable();
    assert_eq!(applied, [0, files().len()]);
}

#[tokio::test]
async fn status_reads_and_changes_nothing() {
    let database = TestDatabase::stubbed().await;
    let before = migrate::status(&database.options()).await.unwrap();
    assert!(before.iter().all(|line| line.state == State::Pending && line.applied_at.is_none()));
    assert_eq!(before.len(), files().len());
    assert!(
        texts(&database.pool, "select nspname::text from pg_namespace where nspname = 'ingest'")
            .await
            .is_empty()
    );

    apply(&database).await;
    let after = migrate::status(&database.options()).await.unwrap();
    assert!(after.iter().all(|line| line.state == State::Applied && line.applied_at.is_some()));
}

#[tokio::test]
async fn changed_file_differs_from_one_of_a_newer_version() {
    let database = TestDatabase::migrated().await;
    execute(
        &database.pool,
        "update ingest.schema_migrations set checksum = 'other' where version = 20251126000000;
         insert into ingest.schema_migrations (version, description, success, checksum, execution_time)
             values (30000101000000, 'of the future', true, '', 0)",
    )
    .await;
    let lines = migrate::status(&database.options()).await.unwrap();
    let states: Vec<_> = lines
        .iter()
        .filter(|l| l.state != State::Applied)
        .map(|l| (l.version, l.name.as_str(), l.state))
        .collect();
    assert_eq!(
        states,
        [
            (20_251_126_000_000, "create_crm_system", State::Changed),
            (30_000_101_000_000, "of_the_future", State::Unknown),
        ]
    );
    let refused = migrate::run(&database.options(), MigrateOptions::default()).await;
    assert!(matches!(refused, Err(MigrateError::OtherVersion(_))), "{refused:?}");
}

#[tokio::test]
async fn a_failing_migration_leaves_nothing_of_itself() {
    let database = TestDatabase::stubbed().await;
    // Where a table is wanted stands a view, which takes no new columns.
    execute(&database.pool, "create view public.leads as select 1 as one").await;
    let failed = migrate::run(&database.options(), MigrateOptions::default()).await;
    assert!(matches!(failed, Err(MigrateError::Migration(_))), "{failed:?}");
    let campaigns = "select relname::text from pg_class where relname = 'marketing_campaigns'";
    assert!(texts(&database.pool, campaigns).await.is_empty(), "made in the same file, before");

    execute(&database.pool, "drop view public.leads").await;
    assert_eq!(apply(&database).await.applied.len(), files().len() - 1, "the first file stays applied");
    assert_eq!(inventory(&database.pool).await, inventory(&TestDatabase::migrated().await.pool).await);
}

#[tokio::test]
async fn an_owner_of_public_alone_can_migrate() {
    let database = TestDatabase::stubbed().await;
    let role = format!("{}_owner", database.name);
    execute(
        &database.pool,
        &format!(
            "create role {role} login nosuperuser;
             grant create on database {name} to {role};
             alter schema public owner to {role};
             grant usage on schema auth to {role};
             grant select, references, trigger on auth.users, auth.sessions to {role}",
            name = database.name
        ),
    )
    .await;
    let outcome = async {
        let options: PgConnectOptions = database.options().username(&role);
        let report = migrate::run(&options, MigrateOptions::default()).await?;
        let pool = PgPool::connect_with(options).await?;
        let tickets = texts(
            &pool,
            "insert into public.support_tickets (subject, description) values ('a', 'b') returning ticket_number",
        )
        .await;
        pool.close().await;
        Ok::<_, anyhow::Error>((report.applied.len(), tickets))
    }
    .await;
    // The role belongs to the cluster: it must go whatever came out.
    execute(
        &database.pool,
        &format!("reassign owned by {role} to current_user; drop owned by {role}; drop role {role}"),
    )
    .await;
    assert_eq!(outcome.unwrap(), (files().len(), vec!["SUPP-0001".to_owned()]));
}
