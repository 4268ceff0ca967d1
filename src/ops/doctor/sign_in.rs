//! Signing in to the console by Supabase: whether the project answers, signs what can be verified, and who can give roles.

use sqlx::PgConnection;

use super::{Finding, Level};
use crate::config::Config;
use crate::config::console_roles::RoleTable;
use crate::ops::supabase_auth_api::{AuthApi, AuthError};

const CHECK: &str = "sign-in";

/// Checks the settings, and calls the project's Auth API.
pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = settings(config).into_iter().collect();
    match AuthApi::new(config) {
        Ok(Some(api)) => findings.push(keys(api.keys().await)),
        Ok(None) => {}
        Err(error) => findings.push(failed(&error)),
    }
    findings
}

fn settings(config: &Config) -> Option<Finding> {
    let key = config.supabase_publishable_key.is_some();
    match (&config.supabase_url, key) {
        (Some(_), false) => Some(Finding::note(
            CHECK,
            "nobody signs in to the console by Supabase: SUPABASE_PUBLISHABLE_KEY is not set",
        )),
        (None, true) => Some(Finding::wrong(
            CHECK,
            Level::Warning,
            "SUPABASE_PUBLISHABLE_KEY is set and SUPABASE_URL is not: nobody signs in by Supabase",
            "set SUPABASE_URL to https://<project>.supabase.co",
        )),
        (Some(_), true) if config.console_address().is_none() => Some(Finding::note(
            CHECK,
            "people sign in by password alone: for links by e-mail set MEMBERFLOW_CONSOLE_URL",
        )),
        _ => None,
    }
}

fn keys(keys: Result<Vec<impl Sized>, AuthError>) -> Finding {
    match keys {
        Ok(keys) if keys.is_empty() => Finding::wrong(
            CHECK,
            Level::Failed,
            "the project signs its tokens with a shared secret: nobody can sign in to the console",
            "create an asymmetric signing key (ES256 or RS256) in the project's settings under JWT Keys, and rotate to it",
        ),
        Ok(keys) => Finding::fine(CHECK, format!("the project's signing keys: {}", keys.len())),
        Err(error) => failed(&error),
    }
}

fn failed(error: &AuthError) -> Finding {
    let (level, fix) = match error {
        AuthError::Unreachable(_) | AuthError::TooMany => {
            (Level::Down, "see whether the project runs, and whether this host reaches SUPABASE_URL")
        }
        AuthError::Key => {
            (Level::Failed, "set SUPABASE_PUBLISHABLE_KEY to the project's publishable or anon key")
        }
        _ => (Level::Failed, "set SUPABASE_URL to the project's address: https://<project>.supabase.co"),
    };
    Finding::wrong(CHECK, level, error.to_string(), fix)
}

/// Whether users could give themselves a role in the table that roles are read from.
pub(super) async fn roles(
    connection: &mut PgConnection,
    config: &Config,
) -> Result<Option<Finding>, sqlx::Error> {
    let Some(table) = &config.console_roles.table else { return Ok(None) };
    let named = format!("{}.{}", table.schema, table.table);
    let is_there: bool = sqlx::query_scalar(IS_THERE)
        .bind(&table.schema)
        .bind(&table.table)
        .bind(&table.user_column)
        .bind(&table.role_column)
        .fetch_one(&mut *connection)
        .await?;
    if !is_there {
        let message =
            format!("{named} has not the columns that MEMBERFLOW_CONSOLE_ROLES names: nobody signs in");
        let fix = "name the table, its column with the user id (a uuid), and the one with the role";
        return Ok(Some(Finding::wrong(CHECK, Level::Failed, message, fix)));
    }
    let is_open: bool = sqlx::query_scalar(IS_OPEN)
        .bind(table.relation())
        .bind(&table.role_column)
        .fetch_one(connection)
        .await?;
    Ok(Some(if is_open {
        open(table, &named)
    } else {
        Finding::fine(CHECK, format!("roles are read from {named}"))
    }))
}

fn open(table: &RoleTable, named: &str) -> Finding {
    let column = &table.role_column;
    Finding::wrong(
        CHECK,
        Level::Warning,
        format!(
            "users may write {named}.{column} by a policy of their own: each could become an admin of the console"
        ),
        format!(
            "revoke insert, update on {named} from anon, authenticated; then grant the other columns alone"
        ),
    )
}

const IS_THERE: &str = r"
    select count(*) = 2 from information_schema.columns
    where table_schema = $1 and table_name = $2
      and ((column_name = $3 and data_type = 'uuid') or column_name = $4)";

/// Users reach what they are granted where a policy, or none at all, lets them.
const IS_OPEN: &str = r#"
    select coalesce(bool_or(
        has_column_privilege(r.rolname, c.oid, $2, p.privilege)
        and (not c.relrowsecurity or exists (
            select from pg_catalog.pg_policy policy
            where policy.polrelid = c.oid and policy.polcmd in ('*', p.command)
              and policy.polroles && array[0::oid, r.oid]
        ))
    ), false)
    from pg_catalog.pg_class c, pg_catalog.pg_roles r, (values ('INSERT', 'a'::"char"), ('UPDATE', 'w')) p (privilege, command)
    where c.oid = $1::text::regclass and r.rolname in ('anon', 'authenticated')"#;
