//! Realtime for the application: notifications of changed rows, and the publication by which Supabase
//! Realtime sends rows to browsers.
//!
//! Realtime sends a row only to users who may read it: the tables' policies apply
//! (<https://supabase.com/docs/guides/realtime/postgres-changes>).

use sqlx::{Executor as _, FromRow, PgPool};

use crate::ops::triggers::{self, Done, Outcome};

/// The publication that Supabase Realtime reads.
const PUBLICATION: &str = "supabase_realtime";

/// The tables that members and staff watch.
const TABLES: [&str; 7] = [
    "public.customer_subscriptions",
    "public.payment_history",
    "public.user_revenue_metrics",
    "public.user_activity_metrics",
    "public.support_tickets",
    "public.support_ticket_replies",
    "public.sms_messages",
];

/// The triggers of one table. Triggers with transition tables need one per kind of change.
const TRIGGERS: [(&str, &str, &str); 3] = [
    ("memberflow_notify_inserts", "insert", "new table as new_rows"),
    ("memberflow_notify_updates", "update", "old table as old_rows new table as new_rows"),
    ("memberflow_notify_deletes", "delete", "old table as old_rows"),
];

/// The state of a table.
#[derive(FromRow)]
struct TableStatus {
    relation: String,
    is_published: bool,
    triggers: i64,
}

impl TableStatus {
    fn done(&self, outcome: Outcome) -> Done {
        Done { relation: format!("{} (realtime)", self.relation), outcome }
    }

    /// The SQL that installs what is missing; empty if nothing is.
    fn missing(&self) -> String {
        let mut script = String::new();
        if !self.is_published {
            script += &format!("alter publication {PUBLICATION} add table {};\n", self.relation);
        }
        if usize::try_from(self.triggers).is_ok_and(|there| there < TRIGGERS.len()) {
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

/// Publishes the tables and adds the triggers; creates the publication if missing.
///
/// # Errors
/// If the database does not answer, or refuses the publication.
pub async fn install(pool: &PgPool) -> Result<Vec<Done>, sqlx::Error> {
    if let Some(create) = create(pool).await? {
        pool.execute(create).await?;
    }
    run(pool, TableStatus::missing, &Outcome::Installed).await
}

/// Removes the triggers; the publication stays.
pub async fn uninstall(pool: &PgPool) -> Result<Vec<Done>, sqlx::Error> {
    let done = run(pool, TableStatus::removal, &Outcome::Removed).await?;
    Ok(done.into_iter().filter(|one| one.outcome != Outcome::Unchanged).collect())
}

/// The SQL that [`install`] would run on this database.
pub async fn install_script(pool: &PgPool) -> Result<String, sqlx::Error> {
    let create = create(pool).await?.map(|create| format!("{create};\n"));
    let scripts = statuses(pool).await?.into_iter().map(|status| status.missing());
    Ok(create.into_iter().chain(scripts).collect())
}

/// The SQL that [`uninstall`] would run on this database.
pub async fn uninstall_script(pool: &PgPool) -> Result<String, sqlx::Error> {
    Ok(statuses(pool).await?.iter().map(TableStatus::removal).collect())
}

async fn create(pool: &PgPool) -> Result<Option<&'static str>, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("select exists (select from pg_publication where pubname = $1)")
        .bind(PUBLICATION)
        .fetch_one(pool)
        .await?;
    Ok((!exists).then_some("create publication supabase_realtime"))
}

async fn statuses(pool: &PgPool) -> Result<Vec<TableStatus>, sqlx::Error> {
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

/// Runs `script` for each table, each in its own transaction; a failure is reported for its table.
async fn run(
    pool: &PgPool,
    script: fn(&TableStatus) -> String,
    outcome: &Outcome,
) -> Result<Vec<Done>, sqlx::Error> {
    let mut done = Vec::new();
    for status in statuses(pool).await? {
        let script = script(&status);
        let outcome = match script.is_empty() {
            true => Outcome::Unchanged,
            false => triggers::run(pool, &script, outcome.clone()).await,
        };
        done.push(status.done(outcome));
    }
    Ok(done)
}
