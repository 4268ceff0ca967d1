//! Imports the rows of the application's tables as events: all of them in the initial import, later only what
//! no event has reported or what differs from the facts.
//!
//! An import runs part by part ([`Part`]) and page by page. A page is one transaction (two in the initial import, see
//! [`halves`]) under the projection lock: it compares the rows with the facts, stores what is new as internal events
//! (many rows in each), and writes the facts and counts that a rebuild makes of those events. Its progress is in
//! `ingest.backfills`, so that any process can take the next page. `docs/decisions/preexisting-rows.md` explains how
//! such events rank among others.

mod corrections;
pub mod counts;
mod customers;
mod deleted_rows;
mod halves;
mod logins;
mod members;
mod pages;
mod parts;
mod payments;
mod reading;
pub mod recount;
mod rows;
mod run;
mod subscriptions;
mod tables;
mod unknown;
mod users;

use std::collections::BTreeMap;

use sqlx::PgConnection;

use super::locks;
use super::{Store, StoreError};
use crate::database::{self, sql};
use crate::project::supabase::ActivityTables;

pub use self::parts::{Part, Scope};
pub use self::unknown::Unknown;

use self::pages::Page;
use self::run::Turn;

/// An import in progress, which other processes may share.
#[derive(Clone, Debug)]
pub struct Import {
    store: Store,
    id: i64,
    /// Whether pages may be split.
    is_in_halves: bool,
    /// Rows of a page, if not the default.
    page_rows: Option<usize>,
}

/// One page that was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which tables.
    pub part: Part,
    /// Rows checked.
    pub rows: i64,
}

/// Rows by part.
pub type Counts = BTreeMap<String, i64>;

impl Store {
    /// Begins to import the tables of `scope`, or continues an unfinished import. `is_first`: nothing was
    /// imported before, so no fact can be out of date.
    pub async fn read_tables(&self, scope: Scope, is_first: bool) -> Result<Import, StoreError> {
        let (pool, now) = self.parts();
        let id = run::begin(pool, scope, is_first, &self.rules.decoding.tables, now).await?;
        let is_in_halves = is_first && scope == Scope::Activity;
        Ok(Import { store: self.clone(), id, is_in_halves, page_rows: None })
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
        if self.is_in_halves
            && let Ok(Some(step)) = halves::step(self).await
        {
            return Ok(Some(step));
        }
        let mut tx = database::begin(self.store.pool()).await?;
        let turn = run::take(&mut tx, self.id, self.page_rows, self.tables()).await?;
        let Some(turn) = turn else { return Ok(None) };
        locks::lock(&mut tx).await?;
        sqlx::query(SETTINGS).execute(&mut *tx).await?;
        let page = read(&mut tx, &turn, &self.store).await?;
        run::advance(&mut tx, &turn, &page, self.store.clock.now()).await?;
        tx.commit().await?;
        Ok(Some(Step { part: turn.part, rows: page.rows }))
    }

    fn tables(&self) -> &ActivityTables {
        &self.store.rules.decoding.tables
    }

    /// The estimated number of rows in `part`, by the planner's statistics.
    pub async fn estimate(&self, part: &Part) -> Result<u64, StoreError> {
        let rows: Option<i64> = sqlx::query_scalar(
            "select greatest(reltuples, 0)::bigint from pg_catalog.pg_class where oid = to_regclass($1)",
        )
        .bind(sql::table(part.relation()))
        .fetch_optional(self.store.pool())
        .await?;
        Ok(rows.unwrap_or(0).unsigned_abs())
    }

    /// The rows checked, and the rows that were new or different; by part.
    pub async fn counts(&self) -> Result<(Counts, Counts), StoreError> {
        Ok(run::counts(self.store.pool(), self.id).await?)
    }

    /// What could not be determined from the tables.
    pub async fn unknown(&self) -> Result<Vec<Unknown>, StoreError> {
        let mut reading = super::reading(self.store.pool()).await?;
        let (scope, found) = run::outcome(&mut reading, self.id).await?;
        Ok(unknown::of(&mut reading, scope, &found, self.tables()).await?)
    }
}

/// Memory for sorting a page.
const SETTINGS: &str = "set local work_mem = '64MB'";

async fn read(tx: &mut PgConnection, turn: &Turn, store: &Store) -> Result<Page, sqlx::Error> {
    let (rules, now) = (&store.rules, store.clock.now());
    match &turn.part {
        Part::Users => users::there(tx, turn, now).await,
        Part::DeletedUsers => users::deleted(tx, turn, rules, now).await,
        Part::Sessions => logins::sessions(tx, turn, now).await,
        Part::AuditLog => logins::audit_log(tx, turn, now).await,
        Part::SignIns => logins::sign_ins(tx, turn, now).await,
        Part::Rows(counted) => rows::present(tx, turn, counted, rules, now).await,
        Part::DeletedRows(counted) => deleted_rows::compare(tx, turn, counted, now).await,
        Part::Counts => counts::set(tx, &rules.decoding.tables).await,
        Part::Members => members::derive(tx, turn, rules, now).await,
        Part::Subscriptions => subscriptions::present(tx, turn, rules, now).await,
        Part::Payments => payments::present(tx, turn, rules, now).await,
        Part::DeletedPayments => payments::deleted(tx, turn, rules, now).await,
        Part::Customers => customers::derive(tx, turn, rules, now).await,
    }
}
