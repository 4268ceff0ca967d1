//! Counts the rows of a table by owner.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::reading;
use super::tables::Table;
use crate::project::supabase::ActivityTables;

/// By user: the number of rows that count, and the sum of their amounts.
pub type Recount = BTreeMap<Uuid, (i64, i64)>;

/// The counts of the table now; `None` if it does not exist or is not completely readable. Holds only two
/// numbers per owner in memory.
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
