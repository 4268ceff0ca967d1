//! Brings a database to the schema that this binary expects. The files of `migrations/` are part of it.

use serde::Serialize;
use sqlx::migrate::{Migrate as _, Migration};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use time::OffsetDateTime;

use super::supabase_stub::{self, StubOutcome};
use error::LOCK_TIMEOUT;
use files::{FILES, TABLE, migrator};

pub use error::MigrateError;

mod combined;
mod error;
mod files;

/// What [`run`] may do beyond applying migrations.
#[derive(Clone, Copy, Debug, Default)]
pub struct MigrateOptions {
    /// First create the local stub of Supabase's roles and schemas, if no `auth` schema exists.
    pub supabase_stub: bool,
}

/// What [`run`] did.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The outcome for the Supabase stub.
    pub supabase_stub: StubOutcome,
    /// The migrations applied now, in order. Empty: the database was up to date.
    pub applied: Vec<String>,
    /// Policies of the deployment that trust what users can write themselves (`user_metadata`).
    pub unsafe_policies: Vec<String>,
}

/// The state of one migration in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Applied as this binary knows it.
    Applied,
    /// Not applied yet.
    Pending,
    /// Applied, but from a file with other content.
    Changed,
    /// Applied from a file that was combined with others since, where some of those are missing.
    Combined,
    /// Applied by a newer memberflow; this binary does not know it.
    Unknown,
}

/// One line of [`status`].
#[derive(Debug, Serialize)]
pub struct MigrationStatus {
    /// The number that the file's name begins with.
    pub version: i64,
    /// The rest of the file's name.
    pub name: String,
    /// Its state.
    pub state: State,
    /// When it was applied.
    #[serde(with = "time::serde::rfc3339::option")]
    pub applied_at: Option<OffsetDateTime>,
}

/// Applies missing migrations. Concurrent runs wait for each other.
///
/// # Errors
/// See [`MigrateError`]. A failed migration is rolled back; those before it stay.
pub async fn run(database: &PgConnectOptions, options: MigrateOptions) -> Result<Report, MigrateError> {
    let mut connection = connect(database).await?;
    // Taken first and held until the connection ends, so that the report covers exactly this run. The
    // migrator takes the same lock again, which a session may.
    connection.lock().await?;
    let supabase_stub = match options.supabase_stub {
        true => supabase_stub::create(&mut connection).await?,
        false => StubOutcome::NotAsked,
    };
    if !supabase_stub::has_schema(&mut connection, "auth").await? {
        return Err(MigrateError::NoAuthSchema);
    }
    let before = applied(&mut connection).await?;
    let before = combined::rewrite(&mut connection, before).await?;
    migrator().run(&mut connection).await?;
    let report = Report {
        supabase_stub,
        applied: FILES
            .iter()
            .filter(|(version, ..)| before.iter().all(|row| row.version != *version))
            .map(|(version, name, _)| format!("{version}_{name}"))
            .collect(),
        unsafe_policies: unsafe_policies(&mut connection).await?,
    };
    connection.close().await?;
    Ok(report)
}

/// The state of each migration. Read-only.
///
/// # Errors
/// If the database cannot be reached or read.
pub async fn status(database: &PgConnectOptions) -> Result<Vec<MigrationStatus>, MigrateError> {
    let mut connection = connect(database).await?;
    let applied = combined::rewritten(applied(&mut connection).await?);
    connection.close().await?;
    let mut lines: Vec<MigrationStatus> = migrator()
        .iter()
        .map(|known| status_of(known, applied.iter().find(|a| a.version == known.version)))
        .collect();
    lines.extend(
        applied.into_iter().filter(|row| FILES.iter().all(|(version, ..)| *version != row.version)).map(
            |row| MigrationStatus {
                version: row.version,
                name: row.description.replace(' ', "_"),
                state: if combined::is_combined(&row) { State::Combined } else { State::Unknown },
                applied_at: Some(row.installed_on),
            },
        ),
    );
    lines.sort_by_key(|line| line.version);
    Ok(lines)
}

fn status_of(known: &Migration, applied: Option<&AppliedRow>) -> MigrationStatus {
    MigrationStatus {
        version: known.version,
        name: known.description.replace(' ', "_"),
        state: match applied {
            None => State::Pending,
            Some(row) if row.checksum == *known.checksum => State::Applied,
            Some(_) => State::Changed,
        },
        applied_at: applied.map(|row| row.installed_on),
    }
}

/// A session of our own: settings and locks end with it, whatever happens.
async fn connect(database: &PgConnectOptions) -> Result<PgConnection, MigrateError> {
    if database.get_port() == 6543 && is_supabase(database.get_host()) {
        return Err(MigrateError::TransactionPooler);
    }
    let quiet = database.clone().disable_statement_logging();
    let mut connection =
        crate::database::connect_unpooled(&quiet).await.map_err(MigrateError::Unreachable)?;
    // By SQL, because a pooler may not pass on connection settings. Without the first, "already exists,
    // skipping" would be logged for every object of every file; with the server's own statement timeout, an
    // index on a large table could never be built. Waits are bounded by the lock timeout.
    let settings = format!(
        "set client_min_messages = warning; set lock_timeout = '{}s'; set statement_timeout = 0",
        LOCK_TIMEOUT.as_secs()
    );
    connection.execute(sqlx::AssertSqlSafe(settings)).await?;
    Ok(connection)
}

fn is_supabase(host: &str) -> bool {
    [".supabase.com", ".supabase.co"].iter().any(|domain| host.ends_with(domain))
}

#[derive(sqlx::FromRow)]
struct AppliedRow {
    version: i64,
    description: String,
    installed_on: OffsetDateTime,
    checksum: Vec<u8>,
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<AppliedRow>, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(TABLE)
        .fetch_one(&mut *connection)
        .await?;
    if !exists {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "select version, description, installed_on, checksum from ingest.schema_migrations order by version",
    )
    .fetch_all(connection)
    .await
}

/// Users can write their `user_metadata` themselves; a policy that reads it, or calls a function that does,
/// lets everybody in. A deployment's policies are not changed, only reported.
async fn unsafe_policies(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        r#"
        select format('"%s" on public.%s', p.policyname, p.tablename)
        from pg_catalog.pg_policies p
        cross join concat(p.qual, ' ', p.with_check) as condition
        where p.schemaname = 'public' and (
            condition ~ 'user_meta_?data' or exists (
                select from pg_catalog.pg_proc f
                where f.pronamespace = 'public'::regnamespace and f.prosrc ~ 'user_meta_?data'
                    and strpos(condition, f.proname || '(') > 0
            )
        )
        order by 1
        "#,
    )
    .fetch_all(connection)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_supabases_own_hosts_are_poolers() {
        assert!(is_supabase("aws-0-eu-central-1.pooler.supabase.com"));
        assert!(is_supabase("db.abcdefgh.supabase.co"));
        assert!(!is_supabase("127.0.0.1"));
        assert!(!is_supabase("supabase.com.example.org"));
    }
}
