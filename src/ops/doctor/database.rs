//! Checks the database: connection, version, migrations.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::time::timeout;

use super::{Finding, Level, backlog, counted, sign_in, tables, triggers};
use crate::config::Config;
use crate::store::migrate::{self, MigrationStatus, State};

const CHECK: &str = "database";
/// How long connecting may take, and again everything after it.
const PATIENCE: Duration = Duration::from_secs(10);
/// The oldest version that Supabase runs and that the tests run against.
const OLDEST_VERSION: i32 = 150_000;

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    // The finding about settings covers an invalid URL.
    let Ok(options) = config.database_url.expose_secret().parse::<PgConnectOptions>() else {
        return Vec::new();
    };
    let options = options.disable_statement_logging();
    let mut connection = match timeout(PATIENCE, crate::database::connect_unpooled(&options)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return vec![down(&options, &error.to_string())],
        Err(_) => return vec![down(&options, "no answer within 10 s")],
    };
    let findings = timeout(PATIENCE, check(&mut connection, &options, config)).await;
    connection.close().await.ok();
    match findings {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => vec![refused(&error)],
        Err(_) => vec![down(&options, "it answers, but not within 10 s")],
    }
}

async fn check(
    connection: &mut PgConnection,
    options: &PgConnectOptions,
    config: &Config,
) -> Result<Vec<Finding>, sqlx::Error> {
    let mut findings = vec![version(connection).await?];
    findings.extend(migrations(options).await);
    findings.extend(tables::examine(connection).await?);
    findings.extend(triggers::examine(connection, config).await?);
    findings.extend(backlog::examine(connection).await?);
    findings.extend(counted::examine(connection, config).await?);
    findings.extend(sign_in::roles(connection, config).await?);
    Ok(findings)
}

async fn version(connection: &mut PgConnection) -> Result<Finding, sqlx::Error> {
    let (version, number): (String, i32) = sqlx::query_as(
        "select current_setting('server_version'), current_setting('server_version_num')::int",
    )
    .fetch_one(connection)
    .await?;
    Ok(if number >= OLDEST_VERSION {
        Finding::fine(CHECK, format!("PostgreSQL {version} answers"))
    } else {
        Finding::wrong(
            CHECK,
            Level::Failed,
            format!("PostgreSQL {version} is older than 15"),
            "upgrade the server (Supabase: Project Settings -> Infrastructure)",
        )
    })
}

async fn migrations(options: &PgConnectOptions) -> Vec<Finding> {
    let status = match migrate::status(options).await {
        Ok(status) => status,
        Err(error) => {
            return vec![Finding::wrong(
                "migrations",
                Level::Failed,
                error.to_string(),
                "see `memberflow migrate --status`",
            )];
        }
    };
    let names = |state: State| {
        let of_state = status.iter().filter(|migration| migration.state == state);
        of_state.map(name).collect::<Vec<_>>().join(", ")
    };
    let mut findings = Vec::new();
    for (state, level, what, fix) in [
        (State::Pending, Level::Failed, "not applied", "memberflow migrate"),
        (
            State::Changed,
            Level::Warning,
            "applied from another text than this version's",
            "compare the file with the one it was applied from; never change a migration that is out",
        ),
        (
            State::Combined,
            Level::Failed,
            "applied by an earlier version, whose last migrations are missing",
            "`memberflow migrate` says which revision's `memberflow migrate` to run first",
        ),
        (
            State::Unknown,
            Level::Warning,
            "applied by another version of memberflow",
            "run the newest version that has run on this database",
        ),
    ] {
        let names = names(state);
        if !names.is_empty() {
            findings.push(Finding::wrong("migrations", level, format!("{what}: {names}"), fix));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::fine("migrations", format!("all {} applied", status.len())));
    }
    findings
}

fn name(migration: &MigrationStatus) -> String {
    format!("{}_{}", migration.version, migration.name)
}

/// Never with the URL: it may hold a password.
fn down(options: &PgConnectOptions, reason: &str) -> Finding {
    let place = format!("{}:{}", options.get_host(), options.get_port());
    Finding::wrong(
        CHECK,
        Level::Down,
        format!("no connection to {place}: {reason}"),
        "start PostgreSQL or correct DATABASE_URL; `memberflow dev` starts one of its own",
    )
}

fn refused(error: &sqlx::Error) -> Finding {
    Finding::wrong(
        CHECK,
        Level::Failed,
        format!("a check was refused: {error}"),
        "connect as the role that ran `memberflow migrate`",
    )
}
