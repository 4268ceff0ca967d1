//! Tickets by page, longest waiting first.

use serde::Serialize;
use sqlx::{PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{COLUMNS, FROM_TICKETS, OWNERS, Ticket};
use crate::ops::members::{MAX_TEXT_CHARS, contains_pattern};
pub use crate::ops::page::MAX_LIMIT;
use crate::ops::page::{self, Count, InvalidCursor, Neighbours, PageError, Seek};

/// Conditions that all must hold; an absent one always does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// One of [`super::STATUSES`].
    pub status: Option<String>,
    /// One of [`super::WAITING_FOR`].
    pub waiting_for: Option<String>,
    /// Whose turn it is since this moment or longer: of a member, since the last reply of staff.
    pub waiting_before: Option<OffsetDateTime>,
    /// One of [`super::PRIORITIES`].
    pub priority: Option<String>,
    /// In the application's words.
    pub category: Option<String>,
    /// The assignee.
    pub assignee: Option<Assignee>,
    /// Whose it is.
    pub member: Option<Uuid>,
    /// A substring of the number, the subject, the description or the guest's address, in any case.
    pub text: Option<String>,
    /// Made since then.
    pub since: Option<OffsetDateTime>,
    /// Made before then.
    pub until: Option<OffsetDateTime>,
}

/// The assignee of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignee {
    /// Nobody yet.
    Nobody,
    /// This account.
    User(Uuid),
}

/// Some tickets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = TicketPage)]
pub struct Page {
    /// Those that wait for staff, the longest first, then the others, the oldest first.
    pub tickets: Vec<Ticket>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
    /// Where the page before continues; none on the first one.
    pub prev_cursor: Option<String>,
    /// How many match; only where that was asked for, and could be counted within a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// The request is invalid, or the page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Not a cursor that came with a page.
    #[error("{}", InvalidCursor)]
    Cursor,
    /// A text that can't be searched for.
    #[error("text holds at most {MAX_TEXT_CHARS} characters and no NUL")]
    Text,
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The tickets that match `filter`, after `cursor`, at most `limit`.
///
/// # Errors
/// If the cursor or the text is invalid, or the database does not answer.
pub async fn list(
    pool: &PgPool,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page, ListError> {
    let limit = limit.clamp(1, MAX_LIMIT) as usize;
    let mut query = QueryBuilder::new("");
    push_matching(pool, &mut query, filter).await?;
    let from = cursor.map(CursorPosition::decode).transpose()?;
    let seek = from.as_ref().map(|place| place.seek);
    let (beyond, order) = seek.unwrap_or_default().ascending();
    if let Some(CursorPosition { waiting, created, id, .. }) = from {
        query.push(" and (").push(POSITION_COLUMNS.join(", ")).push(")").push(beyond).push("(coalesce(");
        query.push_bind(waiting).push(", 'infinity'::timestamptz), coalesce(").push_bind(created);
        query.push(", '-infinity'::timestamptz), ").push_bind(id).push(")");
    }
    query.push(" order by ").push(POSITION_COLUMNS.map(|column| format!("{column}{order}")).join(", "));
    query.push(" limit ").push_bind(page::one_more(limit));
    let mut tickets: Vec<Ticket> = query.build_query_as().fetch_all(pool).await?;
    let Neighbours { next, prev } = page::paginate(&mut tickets, limit, seek, CursorPosition::of);
    Ok(Page { tickets, next_cursor: next, prev_cursor: prev, count: None })
}

/// How many tickets match `filter`; `None` if counting takes too long.
///
/// # Errors
/// If the text is invalid, or the database does not answer.
pub async fn count(pool: &PgPool, filter: &Filter) -> Result<Option<Count>, ListError> {
    let mut query = page::counting();
    push_matching(pool, &mut query, filter).await?;
    Ok(page::count(pool, query).await?)
}

/// Adds a query of the tickets that match `filter`.
async fn push_matching(
    pool: &PgPool,
    query: &mut QueryBuilder<Postgres>,
    filter: &Filter,
) -> Result<(), ListError> {
    query.push(COLUMNS);
    match with_text(pool, filter).await? {
        // One by one, or Postgres may read in order although it has the few candidates.
        Some(few) => {
            query.push(" from (select unnest(").push_bind(few).push(") as id) given cross join lateral");
            query.push(" (select * from public.support_tickets t where t.id = given.id offset 0) t");
        }
        None => drop(query.push(FROM_TICKETS)),
    }
    query.push(OWNERS).push(" where true");
    filter.push(query);
    Ok(())
}

/// The tickets that may have the searched text; `None` if they may be many: then reading in order soon fills the page.
async fn with_text(pool: &PgPool, filter: &Filter) -> Result<Option<Vec<Uuid>>, ListError> {
    let Some(text) = filter.text()? else { return Ok(None) };
    let mut query = QueryBuilder::new(WITH_TEXT);
    query.push_bind(contains_pattern(text)).push(") limit ").push_bind(page::one_more(FEW));
    // Planned for this text: by the index of trigrams, unless most tickets have it.
    let found: Vec<Uuid> = query.build_query_scalar().persistent(false).fetch_all(pool).await?;
    Ok((found.len() <= FEW).then_some(found))
}

/// With this many matches among a million tickets, 25,000 are read in order until a page of 50 is full.
const FEW: usize = 2_000;

/// Tickets by text, as an index of trigrams has it. A `like` pattern follows.
const WITH_TEXT: &str = "
select t.id from public.support_tickets t
where lower(coalesce(t.ticket_number::text, '') || coalesce(' ' || t.subject::text, '')
            || coalesce(' ' || t.description::text, '') || coalesce(' ' || t.guest_email::text, '')) like lower(";

/// What the list is sorted by, as an index has it.
const POSITION_COLUMNS: [&str; 3] = [
    "coalesce(t.waiting_since, 'infinity'::timestamptz)",
    "coalesce(t.created_at, '-infinity'::timestamptz)",
    "t.id",
];

impl Filter {
    /// [`Filter::text`], unless it is empty.
    fn text(&self) -> Result<Option<&str>, ListError> {
        match self.text.as_deref().filter(|text| !text.is_empty()) {
            Some(text) if text.chars().count() > MAX_TEXT_CHARS || text.contains('\0') => {
                Err(ListError::Text)
            }
            text => Ok(text),
        }
    }

    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        if let Some(status) = &self.status {
            query.push(" and t.status::text = ").push_bind(status.clone());
        }
        let equal = [
            ("t.waiting_for", &self.waiting_for),
            ("t.priority::text", &self.priority),
            ("t.category::text", &self.category),
        ];
        // In a `case`, which Postgres assumes to be often true: no index covers these conditions, and the
        // list should be read in its order until the page is full.
        for (column, value) in equal {
            if let Some(value) = value {
                query.push(" and case ").push(column).push(" when ").push_bind(value.clone());
                query.push(" then true else false end");
            }
        }
        for (bound, moment) in [(" >= ", self.since), (" < ", self.until)] {
            if let Some(moment) = moment {
                query.push(" and case when t.created_at").push(bound).push_bind(moment);
                query.push(" then true else false end");
            }
        }
        if let Some(before) = self.waiting_before {
            query.push(
                " and t.waiting_for is not null and coalesce(t.waiting_since, t.last_staff_reply_at) <= ",
            );
            query.push_bind(before);
        }
        match self.assignee {
            Some(Assignee::Nobody) => drop(query.push(" and t.assigned_to is null")),
            Some(Assignee::User(user)) => drop(query.push(" and t.assigned_to = ").push_bind(user)),
            None => {}
        }
        if let Some(member) = self.member {
            query.push(" and t.user_id = ").push_bind(member);
        }
        if let Some(text) = self.text.as_deref().filter(|text| !text.is_empty()) {
            query.push(" and position(lower(").push_bind(text.to_owned());
            query.push(
                ") in lower(concat_ws(' ', t.ticket_number, t.subject, t.description, t.guest_email))) > 0",
            );
        }
    }
}

/// A position in the list, and the direction of the page from it.
#[derive(Debug, PartialEq, Eq)]
struct CursorPosition {
    seek: Seek,
    waiting: Option<OffsetDateTime>,
    created: Option<OffsetDateTime>,
    id: Uuid,
}

impl CursorPosition {
    /// The parts of a ticket's place; an empty one stands for none.
    fn of(ticket: &Ticket) -> [String; 3] {
        let moment = |moment: Option<OffsetDateTime>| moment.map(page::from_moment).unwrap_or_default();
        [moment(ticket.waiting_since), moment(ticket.created_at), ticket.id.to_string()]
    }

    fn decode(cursor: &str) -> Result<Self, PageError> {
        let (seek, [waiting, created, id]) = page::decode(cursor)?;
        let moment = |part: &str| {
            let given = Some(part).filter(|part| !part.is_empty());
            given.map(page::to_moment).transpose()
        };
        let id = id.parse().map_err(|_| PageError::Cursor)?;
        Ok(Self { seek, waiting: moment(&waiting)?, created: moment(&created)?, id })
    }
}

impl From<PageError> for ListError {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Database(error) => Self::Database(error),
            PageError::Cursor | PageError::Limit | PageError::Filter(_) => Self::Cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_cursor_is_rejected() {
        let of = |parts: [&str; 3]| page::encode(Seek::Backward, parts.map(str::to_owned));
        for wrong in ["", "x", "é", &of(["1", "2", "x"]), &of(["-99999999999999999999999", "", "x"])] {
            assert!(CursorPosition::decode(wrong).is_err(), "{wrong}");
        }
        let place = CursorPosition { seek: Seek::Backward, waiting: None, created: None, id: Uuid::nil() };
        assert_eq!(CursorPosition::decode(&of(["", "", &Uuid::nil().to_string()])).unwrap(), place);
    }
}
