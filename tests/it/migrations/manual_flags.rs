//! Which statuses count as set by hand: those that stood there before memberflow, and those whose writer says so.

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

/// The words on the flag are what shows that the values were flagged; the deployment's own words do not undo that.
#[tokio::test]
async fn deployment_that_has_started_before_keeps_its_flags() {
    let database = deployed("'vip', 'churned'").await;
    apply(&database).await;
    execute(
        &database.pool,
        "insert into ingest.switched_on (at, completed) values (now(), true);
         update public.user_activity_metrics set engagement_status_is_manual = false, health_status_is_manual = false;
         comment on column public.user_activity_metrics.engagement_status_is_manual is 'Their own words.'",
    )
    .await;
    for file in files() {
        execute(&database.pool, &file).await;
    }
    assert_eq!(texts(&database.pool, FLAGS).await, ["vip f churned f"]);
}

#[tokio::test]
async fn database_that_memberflow_made_gets_no_flags() {
    let database = with_member().await;
    for file in files().into_iter().take_while(|file| !file.contains("engagement_status_is_manual =")) {
        execute(&database.pool, &file).await;
    }
    execute(
        &database.pool,
        &format!(
            "insert into public.user_activity_metrics (user_id, engagement_status) values ('{MEMBER}', 'champion')"
        ),
    )
    .await;
    apply(&database).await;
    assert_eq!(texts(&database.pool, FLAGS).await, ["champion f healthy f"]);
}
