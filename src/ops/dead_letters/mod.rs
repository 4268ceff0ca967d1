//! Dead letters: list, redrive, drop.

mod act;
mod causes;

use serde::Serialize;
use sqlx::types::Json;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;

use super::events::like;
use super::page::{self, Count, Neighbours, PageError, Seek};

pub use act::{Acted, Limits, drop_all, redrive};
pub use causes::{Cause, Causes, MAX_COUNTED, causes};

/// An event that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
pub struct DeadLetter {
    /// Its number, for operators.
    pub id: i64,
    /// The provider's endpoint.
    pub source: String,
    /// The provider's name of it.
    pub event_id: String,
    /// The provider's type.
    pub event_type: String,
    /// When it occurred, by the provider.
    #[serde(with = "time::serde::rfc3339")]
    pub occurred_at: OffsetDateTime,
    /// When it was received.
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// When it was dead-lettered.
    #[serde(with = "time::serde::rfc3339")]
    pub dead_at: OffsetDateTime,
    /// Why.
    pub reason: String,
}

/// Some dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = DeadLetterPage)]
pub struct Page {
    /// The newest first.
    pub dead_letters: Vec<DeadLetter>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
    /// Where the page before continues; none on the first one.
    pub prev_cursor: Option<String>,
    /// How many match; only where that was asked for, and could be counted within a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// A filter; all conditions must hold.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Selection {
    /// These, by their ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<i64>,
    /// Of this source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Of this type; `*` matches anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// With this text in the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Dead-lettered since then.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub since: Option<OffsetDateTime>,
    /// Dead-lettered before then.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub until: Option<OffsetDateTime>,
}

impl Selection {
    /// Whether it selects all.
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.ids.is_empty()
            && self.source.is_none()
            && self.event_type.is_none()
            && self.reason.is_none()
            && self.since.is_none()
            && self.until.is_none()
    }
}

impl Selection {
    /// Adds the conditions on columns of `ingest.events`.
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" where state = 'dead'");
        if !self.ids.is_empty() {
            query.push(" and id = any (").push_bind(self.ids.clone()).push(")");
        }
        // In a `case`, which Postgres assumes to be often true: no index covers these conditions, and dead
        // letters should be read in the order of their ids.
        if let Some(source) = &self.source {
            query.push(" and case source when ").push_bind(source.clone()).push(" then true else false end");
        }
        if let Some(pattern) = &self.event_type {
            query.push(" and case when event_type like ").push_bind(like(pattern));
            query.push(" then true else false end");
        }
        if let Some(reason) = &self.reason {
            query.push(" and case when strpos(lower(reason), lower(").push_bind(reason.clone());
            query.push(")) > 0 then true else false end");
        }
        for (bound, moment) in [(" >= ", self.since), (" < ", self.until)] {
            if let Some(moment) = moment {
                query.push(" and case when dead_at").push(bound).push_bind(moment);
                query.push(" then true else false end");
            }
        }
    }
}

/// The columns of a [`DeadLetter`].
const LETTER: &str = "
select id, source, event_id, event_type, occurred_at, received_at, dead_at, reason from ingest.events";

/// The newest of the selected dead letters, at most `limit`, only those numbered below `before` if given.
pub async fn list(
    pool: &PgPool,
    selection: &Selection,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<DeadLetter>, sqlx::Error> {
    read(pool, selection, before.map(|before| (Seek::Forward, before)), limit).await
}

/// The selected dead letters before or after the one of this id, the nearest first.
async fn read(
    pool: &PgPool,
    selection: &Selection,
    from: Option<(Seek, i64)>,
    limit: i64,
) -> Result<Vec<DeadLetter>, sqlx::Error> {
    let mut query = QueryBuilder::new(LETTER);
    selection.push(&mut query);
    page::push_seek_by_id(&mut query, from, limit);
    query.build_query_as().fetch_all(pool).await
}

/// One page of [`list`], after `cursor`.
///
/// # Errors
/// If the cursor or the limit is invalid, or the database does not answer.
pub async fn page(
    pool: &PgPool,
    selection: &Selection,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page, PageError> {
    let limit = page::checked(limit)?;
    let from = page::decode_id(cursor)?;
    let mut dead_letters = read(pool, selection, from, page::one_more(limit)).await?;
    let seek = from.map(|(seek, _)| seek);
    let Neighbours { next, prev } =
        page::paginate(&mut dead_letters, limit, seek, |letter| [letter.id.to_string()]);
    Ok(Page { dead_letters, next_cursor: next, prev_cursor: prev, count: None })
}

/// How many are selected; `None` if counting takes too long.
pub async fn capped_count(pool: &PgPool, selection: &Selection) -> Result<Option<Count>, sqlx::Error> {
    let mut query = page::counting();
    query.push("select from ingest.events");
    selection.push(&mut query);
    page::count(pool, query).await
}

/// Dead letters with the same source and reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct ReasonCount {
    /// The provider's endpoint.
    pub source: String,
    /// Why they were dead-lettered.
    pub reason: String,
    /// How many there are.
    pub letters: i64,
}

/// The number selected, by source and reason, the most frequent first.
pub async fn count(pool: &PgPool, selection: &Selection) -> Result<Vec<ReasonCount>, sqlx::Error> {
    let mut query = QueryBuilder::new("select source, reason, count(*) as letters from ingest.events");
    selection.push(&mut query);
    query.push(" group by source, reason order by count(*) desc, source, reason");
    query.build_query_as().fetch_all(pool).await
}

/// The ids of those dead letters that have one of these names, a source and an id each.
pub async fn named(pool: &PgPool, sources: &[&str], event_ids: &[&str]) -> Result<Vec<i64>, sqlx::Error> {
    let select = "select e.id from unnest($1::text[], $2::text[]) as n (source, event_id)
                  join ingest.events e using (source, event_id) where e.state = 'dead' order by e.id";
    sqlx::query_scalar(select).bind(sources).bind(event_ids).fetch_all(pool).await
}

/// One dead letter with the bytes of its body.
pub async fn show(pool: &PgPool, id: i64) -> Result<Option<(DeadLetter, Vec<u8>)>, sqlx::Error> {
    let chosen = Selection { ids: vec![id], ..Selection::default() };
    let Some(letter) = list(pool, &chosen, None, 1).await?.pop() else { return Ok(None) };
    let body = sqlx::query_scalar("select body from ingest.events where state = 'dead' and id = $1");
    Ok(body.bind(id).fetch_optional(pool).await?.map(|body| (letter, body)))
}

/// A selection as recorded in the audit log.
fn arguments(selection: &Selection) -> serde_json::Value {
    serde_json::to_value(Json(selection)).unwrap_or_default()
}
