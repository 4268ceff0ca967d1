//! The rows of a table, counted again by their owners.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::reading;
use super::tables::Table;
use crate::project::supabase::ActivityTables;

/// How many rows of a user count, and what their amounts come to.
pub type Recount = BTreeMap<Uuid, (i64, i64)>;

/// The rows as they stand; none where the table is not there, where we may not read it or not all of it. What is in
/// memory is two numbers for each owner.
///
/// # Errors
/// Whatever the database says.
pub async fn of(
    tx: &mut PgConnection,
    relation: &str,
    tables: &ActivityTables,
) -> Result<Option<Recount>, sqlx::Error> {
    let Some(table) = Table::find(tx, relation).await? else { return Ok(None) };
    let mut recount = Recount::new();
    reading::all(tx, &table, relation, tables, |row| {
        if let (true, Some(user), Some(_)) = (row.counted, row.user_id, row.row_id) {
            let (rows, amount) = recount.entry(user).or_default();
            *rows += 1;
            *amount = amount.saturating_add(row.amount);
        }
    })
    .await?;
    Ok(Some(recount))
}
