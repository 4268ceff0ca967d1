//! Reads rows from a table, with what each counts for: decided by `project::supabase`, as for events.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::pages;
use super::progress::PageTask;
use super::tables::Table;
use crate::project::supabase::{ActivityTables, Count, columns, count};

/// The rows of a page, column by column.
#[derive(Debug, Default)]
pub(in crate::store) struct PageRows {
    pub row_ids: Vec<String>,
    /// The keys as stored in the table, if they differ from the ids.
    pub keys: Vec<Option<String>>,
    pub users: Vec<Option<Uuid>>,
    pub counted: Vec<bool>,
    pub amounts: Vec<i64>,
    pub moments: Vec<OffsetDateTime>,
    /// Rows checked, including those without a usable id.
    pub checked: usize,
    /// The last key.
    pub last: Option<String>,
}

impl PageRows {
    fn add(&mut self, key: String, count: Option<Count>) {
        self.checked += 1;
        // Events do not report a row without a usable id either. Keys may differ only in what an id
        // normalises.
        if let Some(Count { row_id: Some(row_id), user_id, counted, amount, at }) = count
            && self.row_ids.last() != Some(&row_id)
        {
            self.keys.push((key != row_id).then(|| key.clone()));
            self.row_ids.push(row_id);
            self.users.push(user_id);
            self.counted.push(counted);
            self.amounts.push(amount);
            self.moments.push(at.unwrap_or(OffsetDateTime::UNIX_EPOCH));
        }
        self.last = Some(key);
    }
}

/// Reads the next page of a table.
pub(in crate::store) async fn read_page(
    tx: &mut PgConnection,
    task: &PageTask,
    table: &Table,
    relation: &str,
    tables: &ActivityTables,
) -> Result<PageRows, sqlx::Error> {
    let columns = columns::of(tables, relation).unwrap_or_default();
    let statement = format!(
        "select t.id::text, {} from {} t where {} order by t.id limit {}",
        table.row(&columns),
        table.name(),
        pages::after(task, "t.id", table.key_type().unwrap_or("text")),
        task.page_rows,
    );
    let query = sqlx::query_as(AssertSqlSafe(statement)).bind(&task.position).persistent(false);
    let mut found = query.fetch(tx);
    let mut rows = PageRows::default();
    while let Some((key, row)) = found.try_next().await? {
        let row: String = row;
        rows.add(key, count(tables, relation, &columns::read(&row, &columns)));
    }
    Ok(rows)
}

/// Reads all rows of a table, and gives `each` what a row counts for.
pub(in crate::store) async fn read_all(
    tx: &mut PgConnection,
    table: &Table,
    relation: &str,
    tables: &ActivityTables,
    mut each: impl FnMut(Count),
) -> Result<(), sqlx::Error> {
    let columns = columns::of(tables, relation).unwrap_or_default();
    let statement = format!("select {} from {} t", table.row(&columns), table.name());
    let mut found = sqlx::query_scalar(AssertSqlSafe(statement)).persistent(false).fetch(tx);
    while let Some(row) = found.try_next().await? {
        let row: String = row;
        if let Some(count) = count(tables, relation, &columns::read(&row, &columns)) {
            each(count);
        }
    }
    Ok(())
}
