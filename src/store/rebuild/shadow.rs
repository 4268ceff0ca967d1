//! The shadow tables: made like the live ones, without what ties those to other tables.

use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use crate::store::tables::{SHADOW, TABLES};

/// What a rebuild keeps for itself. `users` is a copy that continues by itself: who was ever seen is known
/// from more than events. `scope` holds the ids of a subset, and in which step they were found.
const OWN_TABLES: &str = "
    create unlogged table users (like ingest.users including all);
    create unlogged table seen_users (id uuid primary key);
    create unlogged table resolved (source text, event_id text, primary key (source, event_id));
    create unlogged table found_customers (id text primary key);
    create unlogged table pruned (subject text primary key);
    create unlogged table scope (
        name text primary key,
        id uuid generated always as (
            case when name ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then name::uuid end) stored,
        step integer not null
    );
    create unlogged table flags (source text, event_id text, not_counted text, primary key (source, event_id));
    create unlogged table found_users (id uuid primary key);
    create unlogged table differences (
        id bigint generated always as identity primary key,
        relation text not null, key jsonb not null, before jsonb, after jsonb
    );
    create unlogged table known_differences (like differences);
";

/// Makes them, in place of those that an earlier run may have left.
pub(super) async fn create(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    remove(connection).await?;
    let mut statements = format!("begin; create schema {SHADOW}; set local search_path = {SHADOW};");
    for table in &TABLES {
        statements += &format!(
            "create unlogged table {} (like {} including all excluding comments);",
            table.name,
            table.live()
        );
    }
    statements += OWN_TABLES;
    statements += "commit";
    connection.execute(AssertSqlSafe(statements)).await?;
    Ok(())
}

/// Copies who was ever seen.
pub(super) async fn copy_users(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    connection.execute("insert into ingest_rebuild.users select * from ingest.users").await?;
    Ok(())
}

/// Empties them all, in a transaction that has chosen them.
pub(super) async fn empty(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    let own = "users, seen_users, resolved, found_customers, pruned, scope, flags, found_users, differences, known_differences";
    let names: Vec<&str> = TABLES.iter().map(|table| table.name).chain([own]).collect();
    tx.execute(AssertSqlSafe(format!("truncate {}", names.join(", ")))).await?;
    Ok(())
}

/// Drops them all.
pub(super) async fn remove(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let drop = format!("set client_min_messages = warning; drop schema if exists {SHADOW} cascade");
    connection.execute(AssertSqlSafe(drop)).await?;
    Ok(())
}

/// Lets the planner know how large they have become.
pub(super) async fn analyze(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let own = ["resolved", "found_customers", "found_users"];
    let names = TABLES.iter().map(|table| table.name).chain(own);
    let statements: String = names.map(|name| format!("analyze {SHADOW}.{name};")).collect();
    connection.execute(AssertSqlSafe(statements)).await?;
    Ok(())
}
