//! Events by page, newest first: by when each reached its state, or by when they occurred if they are about one object or
//! member.

use serde::Serialize;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;

use super::about::About;
use super::{EVENT, Event, State, like};
use crate::ops::page::{self, Count, PageError, Seek};

/// Events read by one statement if a filter skips some.
const WALK: i64 = 1_000;
/// Statements per page: if few events match, a page ends early and the next one continues.
const WALKS: usize = 10;

/// A filter; all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this source.
    pub source: Option<String>,
    /// Of this type; `*` matches anything.
    pub event_type: Option<String>,
    /// About this object; only for applied events.
    pub subject: Option<String>,
    /// About that object or one that is linked with it: what belongs to one payment, or depends on a price.
    pub related: bool,
    /// About this member, by user id or e-mail address; only for applied events.
    pub member: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// In its state since then; for waiting events, due since then.
    pub since: Option<OffsetDateTime>,
    /// The same before then.
    pub until: Option<OffsetDateTime>,
}

/// Some events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = EventPage)]
pub struct Page {
    /// Newest first. May be shorter than the limit, or empty, if few events match: the next page continues
    /// further back.
    pub events: Vec<Event>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
    /// Where the page before continues; none on the first one.
    pub prev_cursor: Option<String>,
    /// How many match; only where that was asked for, and could be counted within a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// An event with its position in the list.
#[derive(Debug, FromRow)]
struct ListedEvent {
    #[sqlx(flatten)]
    event: Event,
    place: OffsetDateTime,
    /// Its index among the events that the statement read.
    number: i64,
    is_match: bool,
}

/// The position after a page.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CursorPosition(OffsetDateTime, String, String);

/// A range of events that one index has in order.
struct IndexRange {
    states: &'static [State],
    condition: &'static str,
    place: &'static str,
}

const INDEX_RANGES: [IndexRange; 4] = [
    IndexRange { states: &[State::Applied], condition: "state = 'applied'", place: "applied_at" },
    IndexRange { states: &[State::Dead], condition: "state = 'dead'", place: "dead_at" },
    IndexRange {
        states: &[State::Waiting],
        condition: "state = 'pending' and not alone",
        place: "next_attempt_at",
    },
    IndexRange {
        states: &[State::Failing],
        condition: "state = 'pending' and alone",
        place: "next_attempt_at",
    },
];

/// One page of the events that match `filter`, after `cursor`, at most `limit`.
///
/// # Errors
/// If the cursor or the limit is invalid, or the database does not answer.
pub async fn list(
    pool: &PgPool,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page, PageError> {
    let limit = page::checked(limit)?;
    let (seek, mut from) = match cursor {
        Some(cursor) => CursorPosition::decode(cursor).map(|(seek, place)| (Some(seek), Some(place)))?,
        None => (None, None),
    };
    let about = filter.about(pool).await?;
    let (walk_by, start) = (seek.unwrap_or_default(), from.clone());
    let step = if filter.may_skip_some() { WALK } else { page::one_more(limit) };
    let mut found: Vec<ListedEvent> = Vec::with_capacity(limit + 1);
    let mut more = true;
    for _ in 0..WALKS {
        let walked = walk(pool, (filter, about.as_ref()), (walk_by, from.as_ref()), step).await?;
        more = walked.last().is_some_and(|last| last.number == step);
        from = walked.last().map(ListedEvent::place).or(from);
        found.extend(walked.into_iter().filter(|listed| listed.is_match));
        if !more || found.len() > limit {
            break;
        }
    }
    if found.len() > limit {
        more = true;
        found.truncate(limit);
        from = found.last().map(ListedEvent::place);
    }
    let begin = found.first().map(ListedEvent::place).or(start);
    Ok(to_page(found, seek, (begin, from), more))
}

/// The page of the events that were read by `seek` from one position to another, and whether there are `more` after it.
fn to_page(
    mut found: Vec<ListedEvent>,
    seek: Option<Seek>,
    (begin, end): (Option<CursorPosition>, Option<CursorPosition>),
    more: bool,
) -> Page {
    if seek == Some(Seek::Backward) {
        found.reverse();
    }
    let (has_next, has_prev) = page::has_neighbours(seek, more);
    let (first, last) = if seek == Some(Seek::Backward) { (end, begin) } else { (begin, end) };
    Page {
        next_cursor: last.filter(|_| has_next).map(|place| place.encode(Seek::Forward)),
        prev_cursor: first.filter(|_| has_prev).map(|place| place.encode(Seek::Backward)),
        events: found.into_iter().map(|listed| listed.event).collect(),
        count: None,
    }
}

/// How many events match `filter`; `None` if counting takes too long.
///
/// # Errors
/// If the filter cannot be used, or the database does not answer.
pub async fn count(pool: &PgPool, filter: &Filter) -> Result<Option<Count>, PageError> {
    let mut query = page::counting();
    if let Some(about) = filter.about(pool).await? {
        query.push("select 1 from (");
        about.push(&mut query, (Seek::default(), None), i64::MAX);
        query.push(") e where ");
        filter.push_matching(&mut query);
        return Ok(page::count(pool, query).await?);
    }
    for (at, range) in filter.index_ranges().enumerate() {
        query.push(if at > 0 { " union all " } else { "" }).push("select 1 from ingest.events where ");
        query.push(range.condition);
        push_bounds(&mut query, range, filter);
        if let Some(source) = &filter.source {
            query.push(" and source = ").push_bind(source.clone());
        }
        if let Some(pattern) = &filter.event_type {
            query.push(" and event_type like ").push_bind(like(pattern));
        }
    }
    Ok(page::count(pool, query).await?)
}

/// The newest events that match `filter`, at most `limit`, however far back.
pub async fn newest(pool: &PgPool, filter: &Filter, limit: usize) -> Result<Vec<Event>, PageError> {
    let (mut events, mut cursor) = (Vec::new(), None);
    loop {
        let page = list(pool, filter, cursor.as_deref(), page::MAX_LIMIT).await?;
        events.extend(page.events);
        cursor = page.next_cursor;
        if cursor.is_none() || events.len() >= limit {
            events.truncate(limit);
            return Ok(events);
        }
    }
}

/// Reads the next `step` events by an index; returns those that match, and always the last one.
async fn walk(
    pool: &PgPool,
    (filter, about): (&Filter, Option<&About>),
    from: (Seek, Option<&CursorPosition>),
    step: i64,
) -> Result<Vec<ListedEvent>, sqlx::Error> {
    let mut query = QueryBuilder::new("select * from (select e.*, row_number() over (");
    push_order(&mut query, "place", from.0);
    query.push(") as number, count(*) over () as steps, ");
    filter.push_matching(&mut query);
    query.push(" as is_match from (select * from (");
    match about {
        Some(about) => about.push(&mut query, from, step),
        None => {
            for (at, range) in filter.index_ranges().enumerate() {
                query.push(if at > 0 { " union all " } else { "" });
                push(&mut query, range, filter, from, step);
            }
        }
    }
    query.push(") e");
    push_order(&mut query, "place", from.0);
    query.push(" limit ").push_bind(step);
    query.push(") e) e where is_match or number = steps order by number");
    query.build_query_as().fetch_all(pool).await
}

fn push(
    query: &mut QueryBuilder<Postgres>,
    range: &IndexRange,
    filter: &Filter,
    from: (Seek, Option<&CursorPosition>),
    step: i64,
) {
    let place = range.place;
    query.push("(").push(EVENT).push(", ").push(place).push(" as place from ingest.events where ");
    query.push(range.condition);
    push_bounds(query, range, filter);
    push_from(query, place, from);
    push_order(query, place, from.0);
    query.push(" limit ").push_bind(step).push(")");
}

/// Adds the condition that events are after a position.
pub(super) fn push_from(
    query: &mut QueryBuilder<Postgres>,
    place: &str,
    (seek, from): (Seek, Option<&CursorPosition>),
) {
    if let Some(CursorPosition(moment, source, event_id)) = from {
        let (beyond, _) = seek.descending();
        query.push(" and (").push(place).push(", source, event_id)").push(beyond).push("(");
        query.push_bind(*moment).push(", ").push_bind(source.clone());
        query.push(", ").push_bind(event_id.clone()).push(")");
    }
}

fn push_bounds(query: &mut QueryBuilder<Postgres>, &IndexRange { place, .. }: &IndexRange, filter: &Filter) {
    query.push(" and ").push(place).push(" is not null");
    for (bound, moment) in [(" >= ", filter.since), (" < ", filter.until)] {
        if let Some(moment) = moment {
            query.push(" and ").push(place).push(bound).push_bind(moment);
        }
    }
}

pub(super) fn push_order(query: &mut QueryBuilder<Postgres>, place: &str, seek: Seek) {
    let (_, order) = seek.descending();
    for (at, column) in [place, "source", "event_id"].into_iter().enumerate() {
        query.push(if at == 0 { " order by " } else { ", " }).push(column).push(order);
    }
}

impl Filter {
    /// The ranges with events in the state, or in any.
    fn index_ranges(&self) -> impl Iterator<Item = &'static IndexRange> {
        let state = self.state;
        INDEX_RANGES.iter().filter(move |range| state.is_none_or(|state| range.states.contains(&state)))
    }

    /// Whether some events that are read may not match.
    const fn may_skip_some(&self) -> bool {
        let is_by_state = self.state.is_some() || self.since.is_some() || self.until.is_some();
        self.source.is_some() || self.event_type.is_some() || self.is_about_something() && is_by_state
    }

    /// Whether events are found by what they are about, and not by their state and its time.
    const fn is_about_something(&self) -> bool {
        self.subject.is_some() || self.member.is_some()
    }

    /// Adds the condition that an event that was read matches.
    fn push_matching(&self, query: &mut QueryBuilder<Postgres>) {
        query.push("(true");
        if let Some(source) = &self.source {
            query.push(" and source = ").push_bind(source.clone());
        }
        if let Some(pattern) = &self.event_type {
            query.push(" and event_type like ").push_bind(like(pattern));
        }
        if let Some(state) = self.state {
            query.push(" and state = ").push_bind(state.as_str());
        }
        if self.is_about_something() {
            for (bound, moment) in [(" >= ", self.since), (" < ", self.until)] {
                if let Some(moment) = moment {
                    query.push(" and coalesce(at, received_at)").push(bound).push_bind(moment);
                }
            }
        }
        query.push(")");
    }
}

impl ListedEvent {
    fn place(&self) -> CursorPosition {
        CursorPosition(self.place, self.event.source.clone(), self.event.event_id.clone())
    }
}

impl CursorPosition {
    fn encode(self, seek: Seek) -> String {
        page::encode(seek, [page::from_moment(self.0), self.1, self.2])
    }

    fn decode(cursor: &str) -> Result<(Seek, Self), PageError> {
        let (seek, [moment, source, event_id]) = page::decode(cursor)?;
        Ok((seek, Self(page::to_moment(&moment)?, source, event_id)))
    }
}
