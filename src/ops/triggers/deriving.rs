//! The triggers that complete what the application writes: tickets, messages, leads, the sums of the ledger.
//! `memberflow migrate` creates them; here those are found and restored that were dropped or disabled since.

use sqlx::{FromRow, PgConnection, PgPool};

use super::{Done, Outcome, run};
use crate::database::sql;

/// A trigger that is missing or disabled.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Lost {
    /// `schema.table`
    pub relation: String,
    /// The trigger.
    pub name: String,
    /// Disabled rather than missing.
    pub is_disabled: bool,
    definition: String,
}

/// Triggers on tables that are there.
const LOST: &str = "
    select d.relation, d.name, d.definition, t.tgname is not null as is_disabled
    from ingest.deriving_triggers d
    left join pg_catalog.pg_trigger t on t.tgrelid = to_regclass(d.relation) and t.tgname = d.name
    where to_regclass(d.relation) is not null and (t.tgname is null or t.tgenabled = 'D')
    order by 1, 2";

impl Lost {
    /// The statement that restores it.
    pub(super) fn restoration(&self) -> String {
        let Self { relation, name, is_disabled, definition } = self;
        match is_disabled {
            true => format!("alter table {relation} enable trigger {};\n", sql::name(name)),
            false => format!("{definition};\n"),
        }
    }
}

/// The triggers that are missing or disabled; none before the migration that records them.
pub async fn lost(connection: &mut PgConnection) -> Result<Vec<Lost>, sqlx::Error> {
    let is_recorded: bool = sqlx::query_scalar("select to_regclass('ingest.deriving_triggers') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if !is_recorded {
        return Ok(Vec::new());
    }
    sqlx::query_as(LOST).fetch_all(connection).await
}

/// Restores each trigger that is missing or disabled.
pub(super) async fn restore(pool: &PgPool) -> Result<Vec<Done>, sqlx::Error> {
    let mut done = Vec::new();
    for lost in lost(&mut *pool.acquire().await?).await? {
        let outcome = run(pool, &lost.restoration(), Outcome::Installed).await;
        done.push(Done { relation: format!("{} ({})", lost.relation, lost.name), outcome });
    }
    Ok(done)
}
