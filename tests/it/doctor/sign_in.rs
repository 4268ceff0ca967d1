//! The doctor's checks of signing in by Supabase.

use memberflow::config::Config;
use memberflow::ops::doctor::{Level, Report, examine};
use serde_json::json;

use super::{assert_found, config, run, saying};
use crate::support::auth_server::AuthServer;
use crate::support::database::TestDatabase;

async fn examined(database: &TestDatabase, auth: &AuthServer) -> Report {
    examine(&auth.config(config(database))).await
}

#[tokio::test]
async fn project_that_cannot_sign_in_gets_the_reason() {
    let database = TestDatabase::migrated().await;
    let auth = AuthServer::open(&database.pool).await;
    assert_found(&examined(&database, &auth).await, Level::Fine, "sign-in", "signing keys: 1", "");
    auth.has_no_keys();
    assert_found(&examined(&database, &auth).await, Level::Failed, "sign-in", "shared secret", "asymmetric");
    auth.answers(500, json!({"msg": "down"}));
    assert_found(
        &examined(&database, &auth).await,
        Level::Down,
        "sign-in",
        "can't be reached",
        "SUPABASE_URL",
    );
}

#[tokio::test]
async fn half_the_settings_sign_nobody_in() {
    let database = TestDatabase::migrated().await;
    let auth = AuthServer::open(&database.pool).await;
    let whole = auth.config(config(&database));
    let report = examine(&Config { supabase_publishable_key: None, ..whole.clone() }).await;
    assert_found(&report, Level::Note, "sign-in", "SUPABASE_PUBLISHABLE_KEY is not set", "");
    let report = examine(&Config { supabase_url: None, ..whole.clone() }).await;
    assert_found(&report, Level::Warning, "sign-in", "SUPABASE_URL is not", "set SUPABASE_URL");
    let report = examine(&Config { console_url: None, ..whole }).await;
    assert_found(&report, Level::Note, "sign-in", "by password alone", "");
}

#[tokio::test]
async fn a_table_of_roles_that_users_can_write_is_named() {
    let database = TestDatabase::migrated().await;
    let mut config = config(&database);
    config.console_roles = "public.staff:user_id:role".parse().unwrap();
    let says = "public.staff has not the columns";
    assert_found(&examine(&config).await, Level::Failed, "sign-in", says, "user id");

    run(&database.pool, "create table public.staff (user_id uuid primary key, role text, name text)").await;
    run(&database.pool, "alter table public.staff enable row level security").await;
    run(&database.pool, "grant select, insert, update on public.staff to authenticated").await;
    assert_found(&examine(&config).await, Level::Fine, "sign-in", "roles are read from public.staff", "");

    let own = "create policy own on public.staff for update to authenticated using (user_id = auth.uid())";
    run(&database.pool, own).await;
    let (says, fix) = ("users may write public.staff.role", "revoke insert, update on public.staff");
    assert_found(&examine(&config).await, Level::Warning, "sign-in", says, fix);

    let fixed = "revoke insert, update on public.staff from anon, authenticated; grant update (name) on public.staff to authenticated";
    run(&database.pool, fixed).await;
    let report = examine(&config).await;
    assert_found(&report, Level::Fine, "sign-in", "roles are read from public.staff", "");
    assert!(saying(&report, "sign-in", "users may write").is_none());
}
