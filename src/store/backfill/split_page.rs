//! Imports a page of the initial import in two halves, each in its own transaction on its own connection, because
//! Postgres uses one core for a connection. The transaction that locked the page holds the derivation lock for both and
//! commits last. If only the other one is committed, the page is imported again, and that half finds nothing new.
//!
//! Each transaction waits for the other one, which Postgres cannot see as a deadlock. So a page is only split if the
//! halves write different rows, and locks are waited for only briefly: a failed page is imported again as a whole.

use sqlx::{AssertSqlSafe, PgConnection};

use super::locks;
use super::pages::{self, Page};
use super::phases::Phase;
use super::progress::{self, PageTask};
use super::tables::Table;
use super::{Import, SETTINGS, Step, import_page};
use crate::database;
use crate::store::tables::Tables;

/// The limit for locks. A half that is ready may wait longer for the other one than for a statement.
const LIMITS: &str = "select set_config('lock_timeout', '5s', true),
                               set_config('idle_in_transaction_session_timeout', '5min', true)";

/// Imports the next page in halves; `None` if it must not be split.
pub(in crate::store) async fn import_next(import: &Import) -> Result<Option<Step>, sqlx::Error> {
    let pool = import.store.pool();
    if pool.options().get_max_connections() < 2 {
        return Ok(None);
    }
    let mut tx = database::begin(pool).await?;
    let Some(task) = progress::lock_next_page(&mut tx, import.id, import.page_rows, import.tables()).await?
    else {
        return Ok(None);
    };
    locks::lock(&mut tx).await?;
    let Some((first, second)) = split(&mut tx, &task).await? else { return Ok(None) };
    let mut other = database::begin(pool).await?;
    Tables::Live.set_search_path(&mut other).await?;
    let (one, two) =
        tokio::try_join!(import_half(&mut tx, &first, import), import_half(&mut other, &second, import))?;
    let page = Page::of_halves(one, two);
    if page.must_not_split {
        return Ok(None);
    }
    progress::advance(&mut tx, &task, &page, import.store.now()).await?;
    other.commit().await?;
    tx.commit().await?;
    Ok(Some(Step { phase: task.phase, rows: page.rows }))
}

async fn import_half(tx: &mut PgConnection, task: &PageTask, import: &Import) -> Result<Page, sqlx::Error> {
    sqlx::query(LIMITS).execute(&mut *tx).await?;
    sqlx::query(SETTINGS).execute(&mut *tx).await?;
    import_page(tx, task, &import.store).await
}

/// The two halves of the page; `None` if it has too few rows or the halves would write the same rows.
async fn split(tx: &mut PgConnection, task: &PageTask) -> Result<Option<(PageTask, PageTask)>, sqlx::Error> {
    let relation = match &task.phase {
        Phase::Users
        | Phase::Sessions
        | Phase::AuditLog
        | Phase::SignIns
        | Phase::Members
        | Phase::Rows(_) => task.phase.relation(),
        _ => return Ok(None),
    };
    let Some(table) = Table::find(tx, relation).await? else { return Ok(None) };
    // The same id may be written as text in several ways.
    let Some(key_type @ ("uuid" | "bigint" | "integer" | "smallint")) = table.key_type() else {
        return Ok(None);
    };
    if !task.counts_later || is_shared(tx, &task.phase).await? {
        return Ok(None);
    }
    let half = task.page_rows.div_ceil(2);
    let middle = format!(
        "select t.id::text from {} t where {} order by t.id offset {} limit 1",
        table.name(),
        pages::after(task, "t.id", key_type),
        half.saturating_sub(1),
    );
    let middle: Option<String> = sqlx::query_scalar(AssertSqlSafe(middle))
        .bind(&task.position)
        .persistent(false)
        .fetch_optional(tx)
        .await?;
    Ok(middle.map(|middle| task.split_at(middle, half)))
}

/// Whether the two halves may write the same rows: sessions the weaker evidence of a login, members the sums of their
/// leads' campaign or of a customer whose user is decided again.
async fn is_shared(tx: &mut PgConnection, phase: &Phase) -> Result<bool, sqlx::Error> {
    let statement = match phase {
        Phase::Sessions => "select exists (select from ingest.logins where evidence > 0)",
        Phase::Members => "select exists (select from public.leads) or exists (select from ingest.customers)",
        _ => return Ok(false),
    };
    sqlx::query_scalar(statement).fetch_one(tx).await
}
