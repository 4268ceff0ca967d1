//! The owner role that Supabase gives: no superuser, and no tables or functions of its own in `auth` and
//! `storage`. On a deployment's database it migrates, installs, uses, and leaves everything as it was.

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::FutureExt as _;
use memberflow::clock::Clock;
use memberflow::ops::triggers::{self, Outcome, TriggersError};
use memberflow::project::supabase::ActivityTables;
use memberflow::store::migrate::{self, MigrateOptions};
use memberflow::store::{Store, StoreSettings};
use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Executor as _, PgPool};

use super::catalogue::inventory;
use super::taken;
use crate::support::app::NOW;
use crate::support::database::TestDatabase;

const DEPLOYMENT: &str = include_str!("../migrations/deployment.sql");
const ANN: &str = "00000000-0000-0000-0000-00000000000a";

/// As Supabase's `postgres`, what concerns us.
fn rights(role: &str, database: &str) -> String {
    format!(
        "create role {role} login nosuperuser bypassrls;
         grant create on database {database} to {role};
         alter schema public owner to {role};
         grant usage on schema auth, storage to {role};
         grant select, insert, update, delete, references, trigger on auth.users, auth.sessions, storage.objects to {role}"
    )
}

/// As Supabase's services and users do it, none of whom has any right on our schema.
const USE: [(&str, &str); 6] = [
    (
        "supabase_auth_admin",
        "insert into auth.sessions (id, user_id, created_at) values (gen_random_uuid(), '00000000-0000-0000-0000-00000000000a', now())",
    ),
    (
        "supabase_auth_admin",
        "insert into auth.users (id, email) values (gen_random_uuid(), 'new@example.org')",
    ),
    (
        "supabase_storage_admin",
        "insert into storage.objects (name, owner_id, metadata) values ('a', '00000000-0000-0000-0000-00000000000a', '{\"size\": 1048576}')",
    ),
    (
        "service_role",
        "insert into public.vision_versions (user_id, title) values ('00000000-0000-0000-0000-00000000000a', 'b')",
    ),
    (
        "service_role",
        "insert into public.journal_entries (user_id) values ('00000000-0000-0000-0000-00000000000a')",
    ),
    ("supabase_auth_admin", "delete from auth.users where email = 'bob@example.org'"),
];

fn only<'a>(inventory: &'a [String], schemas: &[&str]) -> Vec<&'a String> {
    let of = |thing: &&String| schemas.iter().any(|schema| thing.contains(&format!(" {schema}.")));
    inventory.iter().filter(of).collect()
}

async fn whole_stay(superuser: &PgPool, owner: &PgConnectOptions) {
    let pool = PgPool::connect_with(owner.clone()).await.unwrap();
    pool.execute(DEPLOYMENT).await.unwrap();
    let untouched = inventory(superuser).await;
    migrate::run(owner, MigrateOptions::default()).await.unwrap();
    let migrated = inventory(superuser).await;
    let tables = ActivityTables::default();

    let done = triggers::install(&pool, &tables).await.unwrap();
    assert!(done.iter().all(|one| one.outcome == Outcome::Installed), "{done:?}");
    let refused = pool.execute("drop trigger \"00_memberflow\" on auth.users").await.unwrap_err();
    assert!(refused.to_string().contains("must be owner"), "{refused}");
    for (role, statement) in USE {
        let mut tx = memberflow::database::begin(superuser).await.unwrap();
        tx.execute(AssertSqlSafe(format!("set local role {role}"))).await.unwrap();
        tx.execute(statement).await.unwrap();
        tx.commit().await.unwrap();
    }
    let store = Store::new(pool.clone(), Clock::fixed(NOW), StoreSettings::new(&crate::support::config("")));
    let applied = store.apply(&taken(&pool).await).await.unwrap();
    assert_eq!((applied.new, applied.dead), (USE.len(), 0));
    let metrics = sqlx::query_scalar::<_, serde_json::Value>(
        "select to_jsonb(m) from (select total_logins, s3_file_count, vision_count, journal_entry_count
                                  from public.user_activity_metrics where user_id = $1::uuid) m",
    );
    assert_eq!(
        metrics.bind(ANN).fetch_one(&pool).await.unwrap(),
        json!({"total_logins": 1, "s3_file_count": 1, "vision_count": 1, "journal_entry_count": 1})
    );

    let done = triggers::uninstall(&pool, &tables).await.unwrap();
    assert!(done.iter().all(|one| one.outcome == Outcome::Removed), "{done:?}");
    let left = inventory(superuser).await;
    assert_eq!(left, migrated);
    assert_eq!(
        only(&left, &["auth", "storage", "extensions"]),
        only(&untouched, &["auth", "storage", "extensions"])
    );
    pool.close().await;
}

#[tokio::test]
async fn restricted_owner_installs_and_uninstalls() {
    let database = TestDatabase::stubbed().await;
    let role = format!("{}_owner", database.name);
    database.pool.execute(AssertSqlSafe(rights(&role, &database.name))).await.unwrap();
    let owner = database.options().username(&role);
    let outcome = AssertUnwindSafe(whole_stay(&database.pool, &owner)).catch_unwind().await;
    // The role belongs to the cluster: it must go whatever came out.
    let gone = format!("reassign owned by {role} to current_user; drop owned by {role}; drop role {role}");
    database.pool.execute(AssertSqlSafe(gone)).await.unwrap();
    outcome.unwrap_or_else(|fault| resume_unwind(fault));
}

#[tokio::test]
async fn wrong_role_gets_the_owners_name() {
    let database = TestDatabase::migrated().await;
    let role = format!("{}_stranger", database.name);
    let create =
        format!("create role {role} login nosuperuser; grant usage, create on schema ingest to {role}");
    database.pool.execute(AssertSqlSafe(create)).await.unwrap();
    let pool = PgPool::connect_with(database.options().username(&role)).await.unwrap();
    let refused = triggers::install(&pool, &ActivityTables::default()).await;
    pool.close().await;
    let gone = format!("drop owned by {role}; drop role {role}");
    database.pool.execute(AssertSqlSafe(gone)).await.unwrap();
    let Err(TriggersError::NotTheOwner(owner)) = refused else { panic!("{refused:?}") };
    let actual: String =
        sqlx::query_scalar("select current_user::text").fetch_one(&database.pool).await.unwrap();
    assert_eq!(owner, actual);
}
