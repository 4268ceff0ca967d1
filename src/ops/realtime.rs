//! Out to the application: notifications of whose rows changed, and the publication through which Supabase Realtime
//! sends the rows to browsers.
//!
//! Realtime sends a row to whoever may read it: the tables' policies hold there, too
//! (<https://supabase.com/docs/guides/realtime/postgres-changes>).

use sqlx::{Executor as _, FromRow, PgPool};

use crate::ops::triggers::{self, Done, Outcome};

/// The publication that Supabase Realtime reads.
const PUBLICATION: &str = "supabase_realtime";

/// What members and staff look at while it changes.
const TABLES: [&str; 7] = [
    "public.customer_subscriptions",
    "public.payment_history",
    "public.user_revenue_metrics",
    "public.user_activity_metrics",
    "public.support_tickets",
    "public.support_ticket_replies",
    "public.sms_messages",
];

/// The triggers of one table. Of those that name the rows' states each is for one kind of change.
const TRIGGERS: [(&str, &str, &str); 3] = [
    ("memberflow_notify_inserts", "insert", "new table as new_rows"),
    ("memberflow_notify_updates", "update", "old table as old_rows new table as new_rows"),
    ("memberflow_notify_deletes", "delete", "old table as old_rows"),
];

/// How a table stands.
#[derive(FromRow)]
struct Standing {
    relation: String,
    is_published: bool,
    triggers: i64,
}

impl Standing {
    fn done(&self, outcome: Outcome) -> Done {
        Done { relation: format!("{} (realtime)", self.relation), outcome }
    }

    /// What makes it as it should be; empty where it is.
    fn missing(&self) -> String {
        let mut script = String::new();
        if !self.is_published {
            script += &format!("alter publication {PUBLICATION} add table {};\n", self.relation);
        }
        if self.triggers < TRIGGERS.len() as i64 {
            script.extend(TRIGGERS.map(|(name, event, rows)| {
                format!(
                    "create or replace trigger {name} after {event} on {} referencing {rows}\n    \
                     for each statement execute function ingest.notify_changes();\n",
                    self.relation
                )
            }));
        }
        script
    }

    fn removal(&self) -> String {
        if self.triggers == 0 {
            return String::new();
        }
        TRIGGERS.map(|(name, ..)| format!("drop trigger if exists {name} on {};\n", self.relation)).concat()
    }
}

/// Publishes the tables and makes them notify; makes the publication where it is missing.
///
/// # Errors
/// The database does not answer, or refuses a publication.
pub async fn install(pool: &PgPool) -> Result<Vec<Done>, sqlx::Error> {
    if let Some(create) = create(pool).await? {
        pool.execute(create).await?;
    }
    run(pool, Standing::missing, &Outcome::Installed).await
}

/// Removes the triggers; what is published stays.
///
/// # Errors
/// The database does not answer.
pub async fn uninstall(pool: &PgPool) -> Result<Vec<Done>, sqlx::Error> {
    let done = run(pool, Standing::removal, &Outcome::Removed).await?;
    Ok(done.into_iter().filter(|one| one.outcome != Outcome::Unchanged).collect())
}

/// The SQL that [`install`] would run on this database.
///
/// # Errors
/// The database does not answer.
pub async fn install_script(pool: &PgPool) -> Result<String, sqlx::Error> {
    let create = create(pool).await?.map(|create| format!("{create};\n"));
    let scripts = standings(pool).await?.into_iter().map(|standing| standing.missing());
    Ok(create.into_iter().chain(scripts).collect())
}

/// The SQL that [`uninstall`] would run on this database.
///
/// # Errors
/// The database does not answer.
pub async fn uninstall_script(pool: &PgPool) -> Result<String, sqlx::Error> {
    Ok(standings(pool).await?.iter().map(Standing::removal).collect())
}

async fn create(pool: &PgPool) -> Result<Option<&'static str>, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("select exists (select from pg_publication where pubname = $1)")
        .bind(PUBLICATION)
        .fetch_one(pool)
        .await?;
    Ok((!exists).then_some("create publication supabase_realtime"))
}

async fn standings(pool: &PgPool) -> Result<Vec<Standing>, sqlx::Error> {
    sqlx::query_as(
        "select t.relation,
                exists (select from pg_publication_tables p
                        where p.pubname = $1 and p.schemaname || '.' || p.tablename = t.relation) as is_published,
                (select count(*) from pg_trigger g
                 where g.tgrelid = to_regclass(t.relation) and g.tgname = any ($3)) as triggers
         from unnest($2::text[]) with ordinality as t (relation, place) order by t.place",
    )
    .bind(PUBLICATION)
    .bind(TABLES)
    .bind(TRIGGERS.map(|(name, ..)| name))
    .fetch_all(pool)
    .await
}

/// Runs what `script` says of each table, in a transaction a table; one that cannot be had is said.
async fn run(
    pool: &PgPool,
    script: fn(&Standing) -> String,
    outcome: &Outcome,
) -> Result<Vec<Done>, sqlx::Error> {
    let mut done = Vec::new();
    for standing in standings(pool).await? {
        let script = script(&standing);
        let outcome = match script.is_empty() {
            true => Outcome::Unchanged,
            false => triggers::run(pool, &script, outcome.clone()).await,
        };
        done.push(standing.done(outcome));
    }
    Ok(done)
}
