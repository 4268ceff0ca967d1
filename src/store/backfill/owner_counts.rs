//! Counts the rows of a table by owner.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::table_rows;
use super::tables::Table;
use crate::project::supabase::ActivityTables;

/// What the rows of one owner count for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerCount {
    /// The rows that count.
    pub rows: i64,
    /// The sum of their amounts.
    pub amount: i64,
}

/// Counts the table's rows by owner; `None` if it does not exist or is not completely readable. Holds only two
/// numbers per owner in memory.
pub async fn count(
    tx: &mut PgConnection,
    relation: &str,
    tables: &ActivityTables,
) -> Result<Option<BTreeMap<Uuid, OwnerCount>>, sqlx::Error> {
    let Some(table) = Table::find(tx, relation).await? else { return Ok(None) };
    let mut counts = BTreeMap::<Uuid, OwnerCount>::new();
    table_rows::read_all(tx, &table, relation, tables, |row| {
        if let (true, Some(user), Some(_)) = (row.counted, row.user_id, row.row_id) {
            let of_owner = counts.entry(user).or_default();
            of_owner.rows += 1;
            of_owner.amount = of_owner.amount.saturating_add(row.amount);
        }
    })
    .await?;
    Ok(Some(counts))
}
