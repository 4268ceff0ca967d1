//! The database beside itself: the members' tables against a recount of the facts, and the facts against the
//! tables that they tell of.
//!
//! Three looks, each with what mends it. The public tables are derived from counts that are kept: deriving them
//! anew mends them. The counts are derived from facts: `rebuild` mends them. The facts come from rows of the
//! application, of which some may never have been told: `backfill activity` reads them in.

mod checks;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt as _;
use serde::Serialize;
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use uuid::Uuid;

use checks::{CHECKS, Check};

use crate::ops::actor::note;
use crate::ops::progress::Progress;
use crate::store::{Store, StoreError, reading};

/// Members that are derived anew at once.
const PAGE: usize = 500;

/// What mends a field that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Mend {
    /// Deriving the member's rows anew.
    #[serde(rename = "memberflow reconcile supabase --fix")]
    Fix,
    /// Deriving everything anew from the events.
    #[serde(rename = "memberflow rebuild")]
    Rebuild,
    /// Reading in rows that no event has told of.
    #[serde(rename = "memberflow backfill activity")]
    Backfill,
}

impl Mend {
    /// The command.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::Fix => "memberflow reconcile supabase --fix",
            Self::Rebuild => "memberflow rebuild",
            Self::Backfill => "memberflow backfill activity",
        }
    }
}

/// A field of a member that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberDrift {
    /// The member.
    pub user_id: Uuid,
    /// What was looked at: `public.user_activity_metrics.total_logins`.
    pub field: String,
    /// What stands there; nothing: there is no row.
    pub here: Option<String>,
    /// What the recount says; nothing: there should be no row.
    pub recount: Option<String>,
    /// What mends it.
    pub mend: Mend,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Members derived anew.
    pub mended_members: u64,
    /// Fields that differ, by the command that mends them; after mending, those that differ still.
    pub differing: BTreeMap<&'static str, u64>,
    /// Tables that could not be read.
    pub skipped: BTreeSet<&'static str>,
}

/// Compares, and derives anew what that mends if `fix`. `show` gets each field that differs.
///
/// # Errors
/// [`StoreError`], which says whether waiting helps.
pub async fn run(
    store: &Store,
    fix: bool,
    progress: &mut Progress,
    mut show: impl FnMut(&MemberDrift),
) -> Result<Report, StoreError> {
    let mut found = look(store, progress, &mut show).await?;
    if fix && !found.members.is_empty() {
        progress.begin("deriving members anew", found.members.len() as u64);
        let members: Vec<Uuid> = found.members.iter().copied().collect();
        for page in members.chunks(PAGE) {
            store.recompute(BTreeSet::new(), page.iter().copied().collect()).await?;
            progress.advance(page.len() as u64);
        }
        found = look(store, progress, |_| {}).await?;
        found.report.mended_members = members.len() as u64;
        let outcome = json!({"mended_members": members.len()});
        note(store.pool(), "reconcile supabase", json!({}), outcome, store.now()).await?;
    }
    progress.finish();
    Ok(found.report)
}

/// What one look found.
#[derive(Default)]
struct Found {
    report: Report,
    /// Those whom deriving anew may mend.
    members: BTreeSet<Uuid>,
}

async fn look(
    store: &Store,
    progress: &mut Progress,
    mut show: impl FnMut(&MemberDrift),
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    // One moment for all: what is applied meanwhile is no difference.
    let mut tx = reading(store.pool()).await?;
    for check in &CHECKS {
        progress.begin(check.field, 0);
        if let Some(table) = unreadable(&mut tx, check).await? {
            found.report.skipped.insert(table);
            continue;
        }
        let mut rows = sqlx::query(AssertSqlSafe(check.sql())).fetch(&mut *tx);
        while let Some(row) = rows.try_next().await? {
            let (user_id, here, recount) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let field = check.field.to_owned();
            let drift = MemberDrift { user_id, field, here, recount, mend: check.mend };
            *found.report.differing.entry(check.mend.command()).or_default() += 1;
            if check.mend == Mend::Fix {
                found.members.insert(user_id);
            }
            show(&drift);
        }
    }
    tx.rollback().await?;
    Ok(found)
}

/// The table that a check needs and that is not there, or not for us to read.
async fn unreadable(tx: &mut PgConnection, check: &Check) -> Result<Option<&'static str>, sqlx::Error> {
    let Some(table) = check.source else { return Ok(None) };
    let readable: bool = sqlx::query_scalar(
        "select coalesce(has_schema_privilege(split_part($1, '.', 1), 'usage')
                         and has_table_privilege(to_regclass($1), 'select'), false)",
    )
    .bind(table)
    .fetch_one(tx)
    .await?;
    Ok((!readable).then_some(table))
}
