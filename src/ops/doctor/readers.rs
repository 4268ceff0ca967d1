//! Checks who can read the CRM's tables through Supabase's API: row level security, and open policies.

use sqlx::PgConnection;

use super::{Finding, Level};

const CHECK: &str = "tables";

/// The price list is for everybody to read.
const FOR_EVERYBODY: &str = "membership_tiers";

/// Checks the tables `names`.
pub(super) async fn examine(
    connection: &mut PgConnection,
    names: &[&str],
) -> Result<Vec<Finding>, sqlx::Error> {
    let mut findings: Vec<Finding> = open_tables(connection, names).await?.into_iter().collect();
    findings.extend(open_policies(connection, names).await?);
    if findings.is_empty() {
        findings.push(Finding::fine(CHECK, "row level security is on for all of them, and asks who reads"));
    }
    Ok(findings)
}

/// Without row level security, anyone with the anon key can read and write a table of `public`.
async fn open_tables(connection: &mut PgConnection, names: &[&str]) -> Result<Option<Finding>, sqlx::Error> {
    let open: Vec<String> = sqlx::query_scalar(
        "select c.relname::text from pg_catalog.pg_class c
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname = any($1)
           and not c.relrowsecurity
         order by 1",
    )
    .bind(names)
    .fetch_all(connection)
    .await?;
    if open.is_empty() {
        return Ok(None);
    }
    let alter: Vec<String> =
        open.iter().map(|table| format!("alter table public.{table} enable row level security;")).collect();
    let message = format!("anybody with the anon key can read and write: {}", open.join(", "));
    Ok(Some(Finding::wrong(CHECK, Level::Failed, message, alter.join(" "))))
}

/// A policy that does not depend on the user.
#[derive(sqlx::FromRow)]
struct OpenPolicy {
    table: String,
    policy: String,
    condition: String,
    is_for_anon: bool,
}

/// A condition without a function or query cannot depend on the user: `true`, or `is_public`.
const OPEN_POLICIES: &str = r"
    with readers as (
        select rolname, oid from pg_catalog.pg_roles where rolname in ('anon', 'authenticated')
    )
    select c.relname::text as table, p.polname::text as policy, said.condition,
           bool_or(r.rolname = 'anon') as is_for_anon
    from pg_catalog.pg_policy p
    join pg_catalog.pg_class c on c.oid = p.polrelid
    join readers r on 0 = any (p.polroles) or r.oid = any (p.polroles)
    cross join lateral (select coalesce(pg_get_expr(p.polqual, p.polrelid), 'true') as condition) as said
    where c.relnamespace = 'public'::regnamespace and c.relname = any($1) and c.relname <> $2
      and c.relrowsecurity and p.polpermissive and p.polcmd in ('r', '*')
      and has_any_column_privilege(r.oid, c.oid, 'select')
      and said.condition !~* '\w\(|\mselect\M|\mcurrent_|\msession_user\M'
    group by 1, 2, 3
    order by 1, 2";

async fn open_policies(connection: &mut PgConnection, names: &[&str]) -> Result<Vec<Finding>, sqlx::Error> {
    let policies: Vec<OpenPolicy> =
        sqlx::query_as(OPEN_POLICIES).bind(names).bind(FOR_EVERYBODY).fetch_all(connection).await?;
    let finding = |it: OpenPolicy| {
        let OpenPolicy { table, policy, condition, is_for_anon } = it;
        let (level, who) = if is_for_anon {
            (Level::Failed, "anybody with the anon key")
        } else {
            (Level::Warning, "every user who is signed in")
        };
        let message = format!(
            "{who} can read rows of {table} that are not theirs: the policy \"{policy}\" is using ({condition})"
        );
        let fix = format!(
            "drop policy \"{policy}\" on public.{table}; or make its condition ask who reads: (select auth.uid()) = user_id"
        );
        Finding::wrong(CHECK, level, message, fix)
    };
    Ok(policies.into_iter().map(finding).collect())
}
