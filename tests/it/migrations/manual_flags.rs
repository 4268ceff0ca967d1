//! Which statuses count as set by hand: those that stood there before memberflow, and those whose writer says so.

use memberflow::store::migrate::{self, MigrateOptions};

use super::{apply, execute, files, texts};
use crate::support::database::TestDatabase;

const MEMBER: &str = "00000000-0000-0000-0000-00000000000a";
const FLAGS: &str = "select concat_ws(' ', engagement_status, engagement_status_is_manual, health_status, health_status_is_manual)
    from public.user_activity_metrics order by user_id";

async fn with_member() -> TestDatabase {
    let database = TestDatabase::stubbed().await;
    execute(&database.pool, &format!("insert into auth.users (id) values ('{MEMBER}')")).await;
    database
}

/// With the application's own table and a member whom somebody has judged.
async fn deployed(statuses: &str) -> TestDatabase {
    let database = with_member().await;
    let table = format!(
        "create table public.user_activity_metrics (
             user_id uuid primary key, engagement_status text, health_status text, last_calculated_at timestamptz default now()
         );
         insert into public.user_activity_metrics (user_id, engagement_status, health_status)
         values ('{MEMBER}', {statuses})"
    );
    execute(&database.pool, &table).await;
    database
}

/// The files before the one that sets the flags.
async fn apply_those_before(database: &TestDatabase) {
    let older = files().into_iter().take_while(|file| !file.contains("engagement_is_ours"));
    for file in older {
        execute(&database.pool, &file).await;
    }
}

#[tokio::test]
async fn statuses_found_by_the_first_migration_are_flagged_once() {
    let database = deployed("'vip', null").await;
    apply(&database).await;
    assert_eq!(texts(&database.pool, FLAGS).await, ["vip t f"]);

    // Written since: by somebody who means the flags as they stand, and then once more through the Supabase CLI.
    execute(
        &database.pool,
        "update public.user_activity_metrics set engagement_status_is_manual = false, health_status = 'healthy'",
    )
    .await;
    for file in files() {
        execute(&database.pool, &file).await;
    }
    assert_eq!(texts(&database.pool, FLAGS).await, ["vip f healthy f"]);
}

#[tokio::test]
async fn columns_that_the_deployment_lacked_are_not_flagged() {
    let database = with_member().await;
    let table = format!(
        "create table public.user_activity_metrics (user_id uuid primary key, health_status text);
         insert into public.user_activity_metrics values ('{MEMBER}', 'churned')"
    );
    execute(&database.pool, &table).await;
    apply(&database).await;
    assert_eq!(texts(&database.pool, FLAGS).await, ["inactive f churned t"]);
}

#[tokio::test]
async fn deployment_migrated_before_and_never_started_is_flagged() {
    let database = deployed("'vip', 'churned'").await;
    apply_those_before(&database).await;
    assert_eq!(texts(&database.pool, FLAGS).await, ["vip f churned f"]);
    apply(&database).await;
    assert_eq!(texts(&database.pool, FLAGS).await, ["vip t churned t"]);
}

#[tokio::test]
async fn row_with_a_flag_was_written_by_somebody_who_knows_them() {
    let database = deployed("'vip', 'churned'").await;
    apply_those_before(&database).await;
    execute(&database.pool, "update public.user_activity_metrics set health_status_is_manual = true").await;
    apply(&database).await;
    assert_eq!(texts(&database.pool, FLAGS).await, ["vip f churned t"]);
}

#[tokio::test]
async fn deployment_that_has_started_before_keeps_its_flags() {
    let database = deployed("'vip', 'churned'").await;
    apply_those_before(&database).await;
    execute(&database.pool, "insert into ingest.switched_on (at, completed) values (now(), true)").await;
    apply(&database).await;
    assert_eq!(texts(&database.pool, FLAGS).await, ["vip f churned f"]);
}

#[tokio::test]
async fn database_that_memberflow_made_gets_no_flags() {
    let database = with_member().await;
    apply_those_before(&database).await;
    execute(
        &database.pool,
        &format!(
            "insert into public.user_activity_metrics (user_id, engagement_status) values ('{MEMBER}', 'champion')"
        ),
    )
    .await;
    migrate::run(&database.options(), MigrateOptions::default()).await.unwrap();
    assert_eq!(texts(&database.pool, FLAGS).await, ["champion f healthy f"]);
}
