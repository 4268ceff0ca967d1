//! Imports the rows of the application's tables as events: all of them in the initial import, later only what
//! no event has reported or what differs from the facts.
//!
//! An import runs phase by phase ([`Phase`]) and page by page. A page is one transaction (two in the initial import, see
//! [`split_page`]) under the derivation lock: it compares the rows with the facts, stores what is new as internal events
//! (many rows in each), and writes the facts and counts that a rebuild makes of those events. Its progress is in
//! `ingest.backfills`, so that any process can take the next page. `docs/decisions/backfill/preexisting-rows.md`
//! explains how such events rank among others.

pub mod counts;
mod customers;
mod deleted_rows;
mod limitations;
mod logins;
mod members;
pub mod owner_counts;
mod pages;
mod payments;
mod phases;
mod progress;
mod rows;
mod split_page;
mod subscriptions;
mod table_rows;
mod tables;
mod unreported_changes;
mod users;

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::locks;
use super::{Store, StoreError};
use crate::database::{self, sql};
use crate::project::supabase::ActivityTables;

pub use self::limitations::Limitation;
pub use self::phases::{ImportScope, Phase};

use self::pages::Page;
use self::progress::PageTask;

/// An import in progress, which other processes may share.
#[derive(Clone, Debug)]
pub struct Import {
    store: Store,
    id: i64,
    /// Whether pages may be split.
    may_split_pages: bool,
    /// Rows of a page, if not the default.
    page_rows: Option<usize>,
}

/// One page that was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which tables.
    pub phase: Phase,
    /// Rows checked.
    pub rows: i64,
}

/// Rows by phase.
pub type Counts = BTreeMap<String, i64>;

impl Store {
    /// Begins to import the tables of `scope`, or continues an unfinished import. `is_first`: nothing was
    /// imported before, so no fact can be out of date.
    pub async fn import_tables(&self, scope: ImportScope, is_first: bool) -> Result<Import, StoreError> {
        let tables = &self.settings.decoding.tables;
        let id = progress::begin(self.pool(), scope, is_first, tables, self.now()).await?;
        let may_split_pages = is_first && scope == ImportScope::Activity;
        Ok(Import { store: self.clone(), id, may_split_pages, page_rows: None })
    }
}

impl Import {
    /// The same with `rows` in a page.
    #[must_use]
    pub fn in_pages_of(self, rows: usize) -> Self {
        Self { page_rows: Some(rows), ..self }
    }

    /// Imports the next page; `None` at the end.
    ///
    /// # Errors
    /// [`StoreError`]. In the initial import half of the page may be written then; the next step skips it.
    pub async fn step(&self) -> Result<Option<Step>, StoreError> {
        // If the halves fail, the whole page shows whether it is an error.
        if self.may_split_pages
            && let Ok(Some(step)) = split_page::import_next(self).await
        {
            return Ok(Some(step));
        }
        let mut tx = database::begin(self.store.pool()).await?;
        let task = progress::lock_next_page(&mut tx, self.id, self.page_rows, self.tables()).await?;
        let Some(task) = task else { return Ok(None) };
        locks::lock(&mut tx).await?;
        sqlx::query(SETTINGS).execute(&mut *tx).await?;
        let page = import_page(&mut tx, &task, &self.store).await?;
        progress::advance(&mut tx, &task, &page, self.store.clock.now()).await?;
        tx.commit().await?;
        Ok(Some(Step { phase: task.phase, rows: page.rows }))
    }

    fn tables(&self) -> &ActivityTables {
        &self.store.settings.decoding.tables
    }

    /// The estimated number of rows of `phase`, by the planner's statistics.
    pub async fn estimate(&self, phase: &Phase) -> Result<u64, StoreError> {
        let rows: Option<i64> = sqlx::query_scalar(
            "select greatest(reltuples, 0)::bigint from pg_catalog.pg_class where oid = to_regclass($1)",
        )
        .bind(sql::table(phase.relation()))
        .fetch_optional(self.store.pool())
        .await?;
        Ok(rows.unwrap_or(0).unsigned_abs())
    }

    /// The rows checked, and the rows that were new or different; by phase.
    pub async fn counts(&self) -> Result<(Counts, Counts), StoreError> {
        Ok(progress::counts(self.store.pool(), self.id).await?)
    }

    /// What the tables do not show.
    pub async fn limitations(&self) -> Result<Vec<Limitation>, StoreError> {
        let mut tx = super::begin_read_only(self.store.pool()).await?;
        let (scope, found) = progress::outcome(&mut tx, self.id).await?;
        Ok(limitations::find(&mut tx, scope, &found, self.tables()).await?)
    }
}

/// Memory for sorting a page.
const SETTINGS: &str = "set local work_mem = '64MB'";

async fn import_page(tx: &mut PgConnection, task: &PageTask, store: &Store) -> Result<Page, sqlx::Error> {
    let (settings, now) = (&store.settings, store.clock.now());
    match &task.phase {
        Phase::Users => users::existing(tx, task, now).await,
        Phase::DeletedUsers => users::deleted(tx, task, settings, now).await,
        Phase::Sessions => logins::sessions(tx, task, now).await,
        Phase::AuditLog => logins::audit_log(tx, task, now).await,
        Phase::SignIns => logins::sign_ins(tx, task, now).await,
        Phase::Rows(counted) => rows::import(tx, task, counted, settings, now).await,
        Phase::DeletedRows(counted) => deleted_rows::compare(tx, task, counted, now).await,
        Phase::Counts => counts::set(tx, &settings.decoding.tables).await,
        Phase::Members => members::derive(tx, task, settings, now).await,
        Phase::Subscriptions => subscriptions::import(tx, task, settings, now).await,
        Phase::Payments => payments::import(tx, task, settings, now).await,
        Phase::DeletedPayments => payments::deleted(tx, task, settings, now).await,
        Phase::Customers => customers::derive(tx, task, settings, now).await,
    }
}
