//! What stands in the application's tables, read into the set of events: at the first start all of it, later
//! what no event has reported, or reported otherwise.
//!
//! A reading goes part by part ([`Part`]) and page by page. A page is one transaction (two at the first start, see
//! [`halves`]) under the projection's lock: it compares the rows with the facts at one moment, keeps what is new as events of our own (many rows
//! in each), and makes the facts and counts of them that a rebuild makes of those events. How far it is stands
//! in `ingest.backfills`, so that any process may take the next page. `docs/decisions/preexisting-rows.md` says what
//! such events are worth beside others.

mod corrections;
pub mod counts;
mod customers;
mod gone;
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

use super::{Store, StoreError, apply};
use crate::database::{self, sql};
use crate::project::supabase::ActivityTables;

pub use self::parts::{Part, Scope};
pub use self::unknown::Unknown;

use self::pages::Page;
use self::run::Turn;

/// A reading under way, which other processes may share.
#[derive(Clone, Debug)]
pub struct Reading {
    store: Store,
    id: i64,
    /// Pages may be read in halves.
    is_in_halves: bool,
    /// Rows of a page, where it is not as many as usual.
    page_rows: Option<usize>,
}

/// One page that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub part: Part,
    /// Rows looked at.
    pub rows: i64,
}

/// Rows by part.
pub type Counts = BTreeMap<String, i64>;

impl Store {
    /// Begins to read what stands in the tables of `scope`, or continues with a reading that has not come to its
    /// end. `is_first`: nothing has been read before, so that nothing known can be out of date.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn read_tables(&self, scope: Scope, is_first: bool) -> Result<Reading, StoreError> {
        let (pool, now) = self.parts();
        let id = run::begin(pool, scope, is_first, &self.rules.reading.tables, now).await?;
        let is_in_halves = is_first && scope == Scope::Activity;
        Ok(Reading { store: self.clone(), id, is_in_halves, page_rows: None })
    }
}

impl Reading {
    /// The same with `rows` in a page.
    #[must_use]
    pub fn in_pages_of(self, rows: usize) -> Self {
        Self { page_rows: Some(rows), ..self }
    }

    /// Reads the next page; none at the end.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps. Where nothing had been read before, half of the page may be written
    /// then; the next step finds that half known.
    pub async fn step(&self) -> Result<Option<Step>, StoreError> {
        // Whatever hinders two, one alone will see whether it is an error.
        if self.is_in_halves
            && let Ok(Some(step)) = halves::step(self).await
        {
            return Ok(Some(step));
        }
        let mut tx = database::begin(self.store.pool()).await?;
        let turn = run::take(&mut tx, self.id, self.page_rows, self.tables()).await?;
        let Some(turn) = turn else { return Ok(None) };
        apply::lock(&mut tx).await?;
        sqlx::query(SETTINGS).execute(&mut *tx).await?;
        let page = read(&mut tx, &turn, &self.store).await?;
        run::advance(&mut tx, &turn, &page, self.store.clock.now()).await?;
        tx.commit().await?;
        Ok(Some(Step { part: turn.part, rows: page.rows }))
    }

    fn tables(&self) -> &ActivityTables {
        &self.store.rules.reading.tables
    }

    /// How many rows there are to look at in `part`, as far as the database has an idea.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn estimate(&self, part: &Part) -> Result<u64, StoreError> {
        let rows: Option<i64> = sqlx::query_scalar(
            "select greatest(reltuples, 0)::bigint from pg_catalog.pg_class where oid = to_regclass($1)",
        )
        .bind(sql::table(part.relation()))
        .fetch_optional(self.store.pool())
        .await?;
        Ok(rows.unwrap_or(0).unsigned_abs())
    }

    /// The rows looked at and the rows found that no event had reported, or reported otherwise; by part.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn counts(&self) -> Result<(Counts, Counts), StoreError> {
        Ok(run::counts(self.store.pool(), self.id).await?)
    }

    /// What the tables could not tell.
    ///
    /// # Errors
    /// [`StoreError`], which says whether waiting helps.
    pub async fn unknown(&self) -> Result<Vec<Unknown>, StoreError> {
        let mut reading = super::reading(self.store.pool()).await?;
        let (scope, found) = run::outcome(&mut reading, self.id).await?;
        Ok(unknown::of(&mut reading, scope, &found, self.tables()).await?)
    }
}

/// For as long as a page takes: memory for sorting it.
const SETTINGS: &str = "set local work_mem = '64MB'";

async fn read(tx: &mut PgConnection, turn: &Turn, store: &Store) -> Result<Page, sqlx::Error> {
    let (rules, now) = (&store.rules, store.clock.now());
    match &turn.part {
        Part::Users => users::there(tx, turn, now).await,
        Part::GoneUsers => users::gone(tx, turn, rules, now).await,
        Part::Sessions => logins::sessions(tx, turn, now).await,
        Part::AuditLog => logins::audit_log(tx, turn, now).await,
        Part::SignIns => logins::sign_ins(tx, turn, now).await,
        Part::Rows(counted) => rows::standing(tx, turn, counted, rules, now).await,
        Part::Gone(counted) => gone::rows(tx, turn, counted, now).await,
        Part::Counts => counts::set(tx, &rules.reading.tables).await,
        Part::Members => members::derive(tx, turn, rules, now).await,
        Part::Subscriptions => subscriptions::standing(tx, turn, rules, now).await,
        Part::Payments => payments::standing(tx, turn, rules, now).await,
        Part::GonePayments => payments::gone(tx, turn, rules, now).await,
        Part::Customers => customers::derive(tx, turn, rules, now).await,
    }
}
