//! The progress of an import: a row of `ingest.backfills`, locked by the process that takes the next page.

use std::borrow::Cow;

use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;

use super::Counts;
use super::pages::Page;
use super::phases::{FIRST_ACTIVITY, ImportScope, Phase};
use crate::project::supabase::ActivityTables;

/// Rows compared at once. Events wait while a page is imported.
const PAGE: usize = 20_000;
/// The same in the initial import, when no events wait: with larger pages the same blocks of a large table or index are
/// fetched less often.
const FIRST_PAGE: usize = 200_000;
/// Members derived at once: each takes longer than a row that is imported.
const MEMBERS: usize = 5_000;
const FIRST_MEMBERS: usize = 20_000;

/// The page to import next: of which phase, after which key, and how.
#[derive(Debug)]
pub(in crate::store) struct PageTask {
    pub id: i64,
    /// The moment of the import's events.
    pub at: OffsetDateTime,
    pub phase: Phase,
    /// The phase after it, if any.
    next_phase: Option<Phase>,
    /// The last key of the phase that was read.
    pub position: Option<String>,
    /// The last key to read, if another half reads those after it.
    pub until: Option<String>,
    /// Whether nothing was imported before.
    pub is_first: bool,
    /// Whether the counts are left to [`Phase::Counts`].
    pub counts_later: bool,
    /// Whether this is one half of a page.
    pub is_half: bool,
    /// Rows of a page.
    pub page_rows: usize,
}

impl PageTask {
    /// The prefix of the phase's event ids. Later imports sort after earlier ones.
    pub(in crate::store) fn prefix(&self) -> String {
        format!("found/{:010}/{}/", self.id, self.phase.name())
    }

    /// The page up to the key in its `middle`, and the `rest` of its rows. Rows that are inserted up to the middle
    /// meanwhile belong to the first half.
    pub(in crate::store) fn split_at(&self, middle: String, rest: usize) -> (Self, Self) {
        let half = |position, until, page_rows| Self {
            id: self.id,
            at: self.at,
            phase: self.phase.clone(),
            next_phase: None,
            position,
            until,
            is_first: self.is_first,
            counts_later: self.counts_later,
            is_half: true,
            page_rows,
        };
        let all = usize::try_from(i64::MAX).unwrap_or(usize::MAX);
        (half(self.position.clone(), Some(middle.clone()), all), half(Some(middle), None, rest))
    }
}

/// The id of the unfinished import of `scope`, or of a new one. There is only one initial import, finished or
/// not.
pub(in crate::store) async fn begin(
    pool: &PgPool,
    scope: ImportScope,
    is_first: bool,
    tables: &ActivityTables,
    now: OffsetDateTime,
) -> Result<i64, sqlx::Error> {
    let name = scope.stored_name(is_first);
    let first = phases(name, is_first, tables).next();
    let first = first.as_ref().map_or(Cow::Borrowed(""), Phase::name);
    loop {
        let id = sqlx::query_scalar(
            "with begun as (
                 insert into ingest.backfills (scope, at, is_first, part)
                 select $1, $2, $3, $4
                 where not ($3 and exists (select from ingest.backfills where scope = $1 and is_first))
                 on conflict (scope) where completed_at is null do nothing returning id
             )
             select id from begun
             union all
             select id from ingest.backfills where scope = $1 and (completed_at is null or $3 and is_first)
             limit 1",
        )
        .bind(name)
        .bind(now)
        .bind(is_first)
        .bind(&first)
        .fetch_optional(pool)
        .await?;
        // `None`: another process has just begun one.
        if let Some(id) = id {
            return Ok(id);
        }
    }
}

/// The phases of the import with this stored scope.
fn phases(name: &str, is_first: bool, tables: &ActivityTables) -> impl Iterator<Item = Phase> + use<> {
    let counts_later = name == FIRST_ACTIVITY;
    let all = ImportScope::from_stored_name(name).map(|scope| scope.phases(tables)).unwrap_or_default();
    all.into_iter().filter(move |phase| {
        (!is_first || phase.runs_in_initial_import()) && (counts_later || phase.runs_in_later_imports())
    })
}

/// How far an import has come.
#[derive(FromRow)]
struct Progress {
    scope: String,
    at: OffsetDateTime,
    is_first: bool,
    #[sqlx(rename = "part")]
    phase: String,
    position: Option<String>,
}

/// Locks the next page; `None` if the import is complete. `page_rows`: if not the default.
pub(in crate::store) async fn lock_next_page(
    tx: &mut PgConnection,
    id: i64,
    page_rows: Option<usize>,
    tables: &ActivityTables,
) -> Result<Option<PageTask>, sqlx::Error> {
    let progress: Option<Progress> = sqlx::query_as(
        "select scope, at, is_first, part, position from ingest.backfills
         where id = $1 and completed_at is null for update",
    )
    .bind(id)
    .fetch_optional(tx)
    .await?;
    let Some(Progress { scope, at, is_first, phase: name, position }) = progress else { return Ok(None) };
    let unknown = || {
        sqlx::Error::Decode(
            format!(
                "the import of {scope} has reached {name}, which MEMBERFLOW_ACTIVITY_TABLES no longer names"
            )
            .into(),
        )
    };
    let mut phases = phases(&scope, is_first, tables).skip_while(|phase| phase.name() != name);
    let phase = phases.next().ok_or_else(unknown)?;
    let usual = match (&phase, is_first) {
        (Phase::Members, false) => MEMBERS,
        (Phase::Members, true) => FIRST_MEMBERS,
        (_, false) => PAGE,
        (_, true) => FIRST_PAGE,
    };
    Ok(Some(PageTask {
        id,
        at,
        phase,
        next_phase: phases.next(),
        position,
        until: None,
        is_first,
        counts_later: scope == FIRST_ACTIVITY,
        is_half: false,
        page_rows: page_rows.unwrap_or(usual),
    }))
}

/// Records what was read, and where the next page begins: in the same phase or, if that is complete, in the
/// next.
pub(in crate::store) async fn advance(
    tx: &mut PgConnection,
    task: &PageTask,
    page: &Page,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let next = if page.next.is_some() { Some(&task.phase) } else { task.next_phase.as_ref() };
    sqlx::query(
        "update ingest.backfills set
             part = coalesce($2, part), position = $3, completed_at = case when $2 is null then $4 end,
             looked_at = looked_at || jsonb_build_object($5::text, coalesce((looked_at ->> $5)::bigint, 0) + $6),
             found = found || (
                 select jsonb_object_agg(key, coalesce((found ->> key)::bigint, 0) + value::bigint)
                 from jsonb_each_text($7)
             )
         where id = $1",
    )
    .bind(task.id)
    .bind(next.map(Phase::name))
    .bind(&page.next)
    .bind(now)
    .bind(task.phase.name())
    .bind(page.rows)
    .bind(Json(page.found(&task.phase)))
    .execute(tx)
    .await?;
    Ok(())
}

/// Rows checked and rows found, by phase.
pub(in crate::store) async fn counts(pool: &PgPool, id: i64) -> Result<(Counts, Counts), sqlx::Error> {
    let (Json(checked), Json(found)) =
        sqlx::query_as("select looked_at, found from ingest.backfills where id = $1")
            .bind(id)
            .fetch_one(pool)
            .await?;
    Ok((checked, found))
}

/// What was read, and what was found.
pub(in crate::store) async fn outcome(
    tx: &mut PgConnection,
    id: i64,
) -> Result<(ImportScope, Counts), sqlx::Error> {
    let (scope, Json(found)): (String, Json<Counts>) =
        sqlx::query_as("select scope, found from ingest.backfills where id = $1")
            .bind(id)
            .fetch_one(tx)
            .await?;
    Ok((ImportScope::from_stored_name(&scope).unwrap_or(ImportScope::Activity), found))
}
