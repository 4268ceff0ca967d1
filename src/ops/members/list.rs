//! One page of the member list.

use sqlx::postgres::PgPool;
use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::candidates::candidates;
use super::cursor::Cursor;
use super::filter::{Filter, InvalidFilter};
use super::sort::{Direction, IndexRange, Sort, SortBy};
use super::{Member, sql};
use crate::ops::page::{Count, InvalidCursor, PageError, Seek, count as counted, counting, has_neighbours};
pub use crate::ops::page::{DEFAULT_LIMIT, MAX_LIMIT};

/// Which page of which list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Which members.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// How many, 1 to [`MAX_LIMIT`].
    pub limit: u32,
    /// From which place: [`Page::next_cursor`] of the page before or [`Page::prev_cursor`] of the one behind; `None` for
    /// the first.
    pub cursor: Option<String>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self { filter: Filter::default(), sort: Sort::default(), limit: DEFAULT_LIMIT, cursor: None }
    }
}

/// Some members, and where the next ones begin.
#[derive(Clone, Debug, PartialEq, serde::Serialize, utoipa::ToSchema)]
#[schema(as = MemberPage)]
pub struct Page {
    /// In the order asked for.
    pub members: Vec<Member>,
    /// Asks for the next page; absent on the last.
    pub next_cursor: Option<String>,
    /// Asks for the page before; absent on the first.
    pub prev_cursor: Option<String>,
    /// How many match; only where that was asked for, and could be counted within a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// The request is invalid, or the page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A page holds at least one member, and not too many.
    #[error("{}", PageError::Limit)]
    Limit,
    /// The filter is invalid.
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
    /// The cursor is not of this list.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// The database did not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Reads one page, as of `now`.
///
/// # Errors
/// If the request is invalid, or the database does not answer.
pub async fn list(pool: &PgPool, request: &PageRequest, now: OffsetDateTime) -> Result<Page, ListError> {
    if !(1..=MAX_LIMIT).contains(&request.limit) {
        return Err(ListError::Limit);
    }
    request.filter.check()?;
    let cursor = request.cursor.as_deref().map(|text| Cursor::decode(text, request.sort)).transpose()?;
    let seek = cursor.as_ref().map(Cursor::seek);
    let limit = request.limit as usize;
    let mut ranges: Vec<(usize, IndexRange)> = request.sort.index_ranges().into_iter().enumerate().collect();
    if seek == Some(Seek::Backward) {
        ranges.reverse();
    }
    let is_passed = |(at, _): &(usize, IndexRange)| cursor.as_ref().is_some_and(|cursor| cursor.range != *at);
    let mut found: Vec<IndexedMember> = Vec::with_capacity(limit + 1);
    for (at, range) in ranges.into_iter().skip_while(is_passed) {
        let from =
            Position { seek: seek.unwrap_or_default(), cursor: cursor.as_ref().filter(|it| it.range == at) };
        // One more than fits shows whether there is another page.
        let missing = limit + 1 - found.len();
        let members = read(pool, request, range, from, missing).await?;
        found.extend(members.into_iter().map(|member| (at, member.at(now))));
        if found.len() > limit {
            break;
        }
    }
    Ok(page(found, request.sort, limit, seek))
}

/// How many members match `filter`; `None` if counting takes too long.
///
/// # Errors
/// If the filter is invalid, or the database does not answer.
pub async fn count(pool: &PgPool, filter: &Filter) -> Result<Option<Count>, ListError> {
    filter.check()?;
    let mut query = counting();
    query.push("select u.id");
    for piece in [sql::FROM_ACCOUNTS, sql::PROFILE, sql::METRICS, sql::LEADING, sql::PRESENT] {
        query.push(piece);
    }
    // Of any range: few candidates of a filter are few in all.
    let range = Sort::default().index_ranges()[0];
    let candidates = candidates(pool, filter, range).await?;
    if let Some(candidates) = candidates {
        query.push(" and u.id = any(").push_bind(candidates).push(")");
    }
    filter.push(&mut query);
    Ok(counted(pool, query).await?)
}

/// A member and the index of its range.
type IndexedMember = (usize, Member);

/// Where reading begins in a range (without a cursor at its beginning), and in which direction.
#[derive(Clone, Copy)]
struct Position<'a> {
    seek: Seek,
    cursor: Option<&'a Cursor>,
}

fn page(mut found: Vec<IndexedMember>, sort: Sort, limit: usize, seek: Option<Seek>) -> Page {
    let more = found.len() > limit;
    found.truncate(limit);
    if seek == Some(Seek::Backward) {
        found.reverse();
    }
    let (has_next, has_prev) = has_neighbours(seek, more);
    let cursor = |indexed: Option<&IndexedMember>, seek| {
        indexed.map(|(range, member)| Cursor::at(member, sort, *range, seek).encode())
    };
    let next_cursor = cursor(found.last().filter(|_| has_next), Seek::Forward);
    let prev_cursor = cursor(found.first().filter(|_| has_prev), Seek::Backward);
    let members = found.into_iter().map(|(_, member)| member).collect();
    Page { members, next_cursor, prev_cursor, count: None }
}

async fn read(
    pool: &PgPool,
    request: &PageRequest,
    range: IndexRange,
    from: Position<'_>,
    limit: usize,
) -> Result<Vec<Member>, sqlx::Error> {
    let candidates = candidates(pool, &request.filter, range).await?;
    if candidates.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut query = compose(request, range, candidates, from, limit);
    // Not a prepared statement: the best plan depends on how rare the filters' values are, and a generic plan
    // would be wrong for most.
    query.build_query_as().persistent(false).fetch_all(pool).await
}

/// First selects the accounts of the page by the filter and sort columns alone, for many rows may be read; then joins the
/// rest for these few.
fn compose(
    request: &PageRequest,
    range: IndexRange,
    candidates: Option<Vec<Uuid>>,
    from: Position<'_>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(sql::COLUMNS);
    for piece in [sql::FROM_ACCOUNTS, sql::PROFILE, sql::METRICS, sql::LEADING, sql::PRESENT] {
        query.push(piece);
    }
    query.push(" and u.id = any(array(");
    push_page(&mut query, request, range, candidates, from, limit);
    let (_, order) = order_of(range, request.sort.direction, from.seek);
    query.push("))").push(order);
    query
}

/// The ids of the page's accounts.
fn push_page(
    query: &mut QueryBuilder<Postgres>,
    request: &PageRequest,
    range: IndexRange,
    candidates: Option<Vec<Uuid>>,
    from: Position<'_>,
    limit: i64,
) {
    let PageRequest { filter, sort, .. } = request;
    let is_by_name = sort.by == SortBy::Name;
    let along_names = is_by_name && range.key.is_some() && candidates.is_none();
    query.push("select u.id");
    if let Some(candidates) = candidates {
        // Else Postgres may walk along the order, although it has the few candidates' ids.
        let [begin, end] = sql::FROM_GIVEN_ACCOUNTS;
        query.push(begin).push("select distinct unnest(").push_bind(candidates).push(") as id").push(end);
    } else {
        query.push(if along_names { sql::FROM_PROFILES } else { sql::FROM_ACCOUNTS });
    }
    if !along_names && (is_by_name || filter.pattern().is_some()) {
        query.push(sql::PROFILE);
    }
    query.push(sql::METRICS);
    if filter.needs_subscription() {
        query.push(sql::LEADING);
    }
    query.push(sql::PRESENT).push(" and ").push(range.condition);
    filter.push(query);
    let (beyond, order) = order_of(range, sort.direction, from.seek);
    if let Some(cursor) = from.cursor {
        let columns = range.key.map_or_else(|| "u.id".to_owned(), |(key, id)| format!("{key}, {id}"));
        query.push(" and (").push(columns).push(")").push(beyond).push("(");
        cursor.push_values(query);
        query.push(")");
    }
    query.push(order).push(" limit ").push_bind(limit);
}

/// What lies beyond a place, and the order that leads there. Members of equal value stand in the order of their ids; so do
/// those who have none, whatever the direction.
fn order_of(range: IndexRange, direction: Direction, seek: Seek) -> (&'static str, String) {
    let is_descending = range.key.is_some() && direction == Direction::Desc;
    let (beyond, order) = if is_descending { seek.descending() } else { seek.ascending() };
    let key =
        range.key.map_or_else(|| format!("u.id{order}"), |(key, id)| format!("{key}{order}, {id}{order}"));
    (beyond, format!(" order by {key}"))
}
