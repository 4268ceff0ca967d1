//! The stand-in of Supabase: made where there is nothing of Supabase's, refused everywhere else.

use clap::Parser as _;
use memberflow::cli::migrate::MigrateArgs;
use memberflow::config::Config;
use memberflow::store::migrate::{self, MigrateError, MigrateOptions};
use memberflow::store::supabase_stub::StubOutcome;

use super::{execute, texts};
use crate::support::database::TestDatabase;

const STUB: MigrateOptions = MigrateOptions { supabase_stub: true };

#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    args: MigrateArgs,
}

/// What the process would end with.
async fn exit_code(database: &TestDatabase, arguments: &[&str]) -> String {
    let line = CommandLine::parse_from(std::iter::once(&"migrate").chain(arguments));
    let code = memberflow::cli::migrate::run(line.args, &Config::new(database.url())).await.unwrap();
    format!("{code:?}")
}

fn code(number: u8) -> String {
    format!("{:?}", std::process::ExitCode::from(number))
}

#[tokio::test]
async fn without_auth_and_without_the_flag_it_is_said_what_to_do() {
    let database = TestDatabase::empty().await;
    let error = migrate::run(&database.options(), MigrateOptions::default()).await.unwrap_err();
    assert!(matches!(error, MigrateError::NoAuthSchema));
    assert!(error.to_string().contains("memberflow migrate --supabase-stub"), "{error}");
    assert_eq!(exit_code(&database, &[]).await, code(1));
    let left = "select nspname::text from pg_namespace where nspname in ('ingest', 'auth')";
    assert!(texts(&database.pool, left).await.is_empty());
}

#[tokio::test]
async fn a_second_stub_is_a_no_op_and_keeps_users() {
    let database = TestDatabase::migrated().await;
    execute(&database.pool, "insert into auth.users (id) values (gen_random_uuid())").await;
    let again = migrate::run(&database.options(), STUB).await.unwrap();
    assert_eq!(again.supabase_stub, StubOutcome::AlreadyThere);
    assert_eq!(texts(&database.pool, "select count(*)::text from auth.users").await, ["1"]);
    assert_eq!(exit_code(&database, &["--supabase-stub"]).await, code(0));
    assert_eq!(exit_code(&database, &["--status"]).await, code(0));
}

#[tokio::test]
async fn a_foreign_auth_or_storage_schema_is_refused_untouched() {
    for schema in ["auth", "storage"] {
        let database = TestDatabase::empty().await;
        execute(&database.pool, &format!("create schema {schema}")).await;
        let error = migrate::run(&database.options(), STUB).await.unwrap_err();
        assert!(matches!(error, MigrateError::StubRefused(reason) if reason.contains(schema)), "{error}");
        assert_eq!(exit_code(&database, &["--supabase-stub"]).await, code(4));
        let made = "select nspname::text from pg_namespace where nspname in ('auth', 'storage', 'extensions', 'ingest')";
        assert_eq!(texts(&database.pool, made).await, [schema]);
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_a_dependency_down() {
    let line = CommandLine::parse_from(["migrate"]);
    // Port 1 is nobody's.
    let config = Config::new("postgres://nobody@127.0.0.1:1/none");
    let code_seen = memberflow::cli::migrate::run(line.args, &config).await.unwrap();
    assert_eq!(format!("{code_seen:?}"), code(7));
}

#[tokio::test]
async fn the_roles_are_those_of_supabase() {
    let database = TestDatabase::stubbed().await;
    let roles = texts(
        &database.pool,
        "select concat_ws(' ', rolname, case when rolcanlogin then 'login' end, case when rolinherit then 'inherit' end,
             case when rolbypassrls then 'bypassrls' end, case when rolsuper then 'superuser' end)
         from pg_roles where rolname in ('anon', 'authenticated', 'authenticator', 'service_role') order by rolname",
    )
    .await;
    assert_eq!(roles, ["anon", "authenticated", "authenticator login", "service_role bypassrls"]);
}
