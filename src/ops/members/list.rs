//! One page of the member list.

use sqlx::postgres::PgPool;
use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::candidates::candidates;
use super::cursor::{Cursor, InvalidCursor};
use super::filter::{Filter, InvalidFilter};
use super::sort::{Direction, Sort, SortBy, Stretch};
use super::{Member, sql};

/// The members on a page where nothing else is said.
pub const DEFAULT_LIMIT: u32 = 50;
/// The most members that one page holds.
pub const MAX_LIMIT: u32 = 200;

/// Which page of which list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Which members.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// How many, 1 to [`MAX_LIMIT`].
    pub limit: u32,
    /// After which place: [`Page::next_cursor`] of the page before; `None` for the first.
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
}

/// There is no such page, or it could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// A page holds at least one member, and not too many.
    #[error("limit is 1 to {MAX_LIMIT}")]
    Limit,
    /// The filter makes no sense.
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
/// The request makes no sense, or the database does not answer.
pub async fn list(pool: &PgPool, request: &PageRequest, now: OffsetDateTime) -> Result<Page, ListError> {
    if !(1..=MAX_LIMIT).contains(&request.limit) {
        return Err(ListError::Limit);
    }
    request.filter.check()?;
    let cursor = request.cursor.as_deref().map(|text| Cursor::decode(text, request.sort)).transpose()?;
    let wanted = request.limit as usize;
    let mut found: Vec<(usize, Member)> = Vec::with_capacity(wanted + 1);
    let first = cursor.as_ref().map_or(0, |cursor| cursor.stretch);
    for (at, stretch) in request.sort.stretches().into_iter().enumerate().skip(first) {
        let after = cursor.as_ref().filter(|cursor| cursor.stretch == at);
        // One more than fits tells whether there is a next page.
        let missing = wanted + 1 - found.len();
        let members = read(pool, request, stretch, after, missing).await?;
        found.extend(members.into_iter().map(|member| (at, member.at(now))));
        if found.len() > wanted {
            break;
        }
    }
    Ok(page(found, request.sort, wanted))
}

fn page(mut found: Vec<(usize, Member)>, sort: Sort, wanted: usize) -> Page {
    let more = found.len() > wanted;
    found.truncate(wanted);
    let last = found.last().filter(|_| more);
    let next_cursor = last.map(|(stretch, member)| Cursor::after(member, sort, *stretch).encode());
    Page { members: found.into_iter().map(|(_, member)| member).collect(), next_cursor }
}

async fn read(
    pool: &PgPool,
    request: &PageRequest,
    stretch: Stretch,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Vec<Member>, sqlx::Error> {
    let candidates = candidates(pool, &request.filter, stretch).await?;
    if candidates.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut query = compose(request, stretch, candidates, after, limit);
    // Not kept as a prepared statement: the best way depends on how rare the filters' values are, and
    // a plan made for any value would be the wrong one for most.
    query.build_query_as().persistent(false).fetch_all(pool).await
}

/// First the accounts of the page, with no more of each than decides that, for many may be looked at; then all that is shown
/// of these few.
fn compose(
    request: &PageRequest,
    stretch: Stretch,
    candidates: Option<Vec<Uuid>>,
    after: Option<&Cursor>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(sql::COLUMNS);
    for piece in [sql::FROM_USERS, sql::METRICS, sql::LEADING, sql::PRESENT] {
        query.push(piece);
    }
    query.push(" and u.id = any(array(");
    push_page(&mut query, request, stretch, candidates, after, limit);
    query.push("))").push(order_of(stretch, request.sort.direction));
    query
}

/// The ids of the page's accounts.
fn push_page(
    query: &mut QueryBuilder<Postgres>,
    request: &PageRequest,
    stretch: Stretch,
    candidates: Option<Vec<Uuid>>,
    after: Option<&Cursor>,
    limit: i64,
) {
    let PageRequest { filter, sort, .. } = request;
    let accounts = match (sort.by, stretch.key) {
        (SortBy::Name, Some(_)) => sql::FROM_PROFILES,
        (SortBy::Name, None) => sql::FROM_USERS,
        _ if filter.pattern().is_some() => sql::FROM_USERS,
        _ => sql::FROM_ACCOUNTS,
    };
    query.push("select u.id").push(accounts).push(sql::METRICS);
    if filter.asks_for_subscription() {
        query.push(sql::LEADING);
    }
    query.push(sql::PRESENT).push(" and ").push(stretch.condition);
    if let Some(candidates) = candidates {
        query.push(" and u.id = any(").push_bind(candidates).push(")");
    }
    filter.push(query);
    if let Some(cursor) = after {
        let columns = stretch.key.map_or_else(|| "u.id".to_owned(), |(key, id)| format!("{key}, {id}"));
        let is_descending = stretch.key.is_some() && sort.direction == Direction::Desc;
        query.push(" and (").push(columns).push(if is_descending { ") < (" } else { ") > (" });
        cursor.push_values(query);
        query.push(")");
    }
    query.push(order_of(stretch, sort.direction)).push(" limit ").push_bind(limit);
}

/// Members of equal value stand in the order of their ids; so do those who have none, whatever the direction.
fn order_of(stretch: Stretch, direction: Direction) -> String {
    match (stretch.key, direction) {
        (Some((key, id)), Direction::Desc) => format!(" order by {key} desc, {id} desc"),
        (Some((key, id)), Direction::Asc) => format!(" order by {key}, {id}"),
        (None, _) => " order by u.id".to_owned(),
    }
}
