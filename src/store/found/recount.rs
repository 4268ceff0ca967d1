//! The rows of a table of the map, counted by their owners.

use sqlx::PgConnection;

use super::parts::Counted;
use super::tables::{Counts, Table};
use crate::project::supabase::tables::ActivityTable;

/// A statement that gives `(user_id, count)` of the rows as they stand; none where the table is not there, where we
/// may not read it or not all of it.
///
/// # Errors
/// Whatever the database says.
pub async fn of(tx: &mut PgConnection, table: &ActivityTable) -> Result<Option<String>, sqlx::Error> {
    let Some(found) = Table::find(tx, &table.relation).await? else { return Ok(None) };
    let Counts { user_id, counted, .. } = found.counts(&Counted::Mapped(table.clone()));
    Ok(Some(format!(
        "select owner, count(*) from (select {user_id} as owner, {counted} as counts from {} t) r
         where counts and owner is not null group by owner",
        found.name()
    )))
}
