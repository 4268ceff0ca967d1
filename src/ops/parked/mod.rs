//! Parked items: known, counted as far as possible, and waiting for missing information.

mod reasons;

use std::collections::BTreeSet;

use serde::Serialize;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;

use super::page::{self, Count, Neighbours, PageError, Seek};

pub use reasons::{Parked, fix, reasons};

/// A parked item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = ParkedObject)]
pub struct ParkedItem {
    /// The object's id (a customer, a subscription, a payment, a lead, a text message), or a phone number.
    pub subject: String,
    /// Why it is parked.
    pub reason: String,
    /// What is missing.
    pub detail: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub parked_at: OffsetDateTime,
}

/// A page of parked items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ParkedPage)]
pub struct Page {
    /// Oldest first.
    pub parked: Vec<ParkedItem>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
    /// Where the page before continues; none on the first one.
    pub prev_cursor: Option<String>,
    /// How many match; only where that was asked for, and could be counted within a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// A filter; all conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// For this reason.
    pub reason: Option<String>,
    /// This object or number.
    pub subject: Option<String>,
    /// Parked since then.
    pub since: Option<OffsetDateTime>,
    /// Parked before then.
    pub until: Option<OffsetDateTime>,
}

/// The most items, and events about them, that are acted on at once: one more than a replay takes.
const MAX_CHOSEN: i64 = 1_001;

/// The objects of the parked items that match `filter`, each once.
pub async fn subjects(pool: &PgPool, filter: &Filter) -> Result<Vec<String>, sqlx::Error> {
    let parked = list(pool, filter, MAX_CHOSEN).await?;
    let subjects: BTreeSet<String> = parked.into_iter().map(|it| it.subject).collect();
    Ok(subjects.into_iter().collect())
}

/// The applied events about these objects, each as `stripe/evt_1`.
pub async fn events(pool: &PgPool, subjects: &[String]) -> Result<Vec<String>, sqlx::Error> {
    let select = "select e.source || '/' || e.event_id from unnest($1::text[]) s (subject)
                  cross join lateral (select source, event_id from ingest.events i
                                      where i.subject = s.subject and i.state = 'applied' offset 0) e
                  order by 1 limit $2";
    sqlx::query_scalar(select).bind(subjects).bind(MAX_CHOSEN).fetch_all(pool).await
}

/// A position in the list, and the direction of the page from it.
struct CursorPosition {
    seek: Seek,
    parked_at: OffsetDateTime,
    subject: String,
    reason: String,
}

/// The parked items that match `filter`, oldest first, at most `limit`.
pub async fn list(pool: &PgPool, filter: &Filter, limit: i64) -> Result<Vec<ParkedItem>, sqlx::Error> {
    list_after(pool, filter, None, limit).await
}

/// One page of [`list`], after `cursor`.
///
/// # Errors
/// If the cursor or the limit is invalid, or the database does not answer.
pub async fn page(
    pool: &PgPool,
    filter: &Filter,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page, PageError> {
    let limit = page::checked(limit)?;
    let after = cursor.map(CursorPosition::decode).transpose()?;
    let mut parked = list_after(pool, filter, after.as_ref(), page::one_more(limit)).await?;
    let seek = after.map(|place| place.seek);
    let Neighbours { next, prev } = page::paginate(&mut parked, limit, seek, |it| {
        [page::from_moment(it.parked_at), it.subject.clone(), it.reason.clone()]
    });
    Ok(Page { parked, next_cursor: next, prev_cursor: prev, count: None })
}

/// How many parked items match `filter`; `None` if counting takes too long.
pub async fn count(pool: &PgPool, filter: &Filter) -> Result<Option<Count>, sqlx::Error> {
    let mut query = page::counting();
    for (at, part) in PARTS.into_iter().enumerate() {
        query.push(if at > 0 { " union all " } else { "" }).push(part);
        filter.push(&mut query);
    }
    page::count(pool, query).await
}

impl CursorPosition {
    fn decode(cursor: &str) -> Result<Self, PageError> {
        let (seek, [moment, subject, reason]) = page::decode(cursor)?;
        Ok(Self { seek, parked_at: page::to_moment(&moment)?, subject, reason })
    }
}

async fn list_after(
    pool: &PgPool,
    filter: &Filter,
    after: Option<&CursorPosition>,
    limit: i64,
) -> Result<Vec<ParkedItem>, sqlx::Error> {
    let mut query = QueryBuilder::new("");
    for (at, part) in PARTS.into_iter().enumerate() {
        query.push(if at > 0 { " union all (" } else { "(" }).push(part);
        filter.push(&mut query);
        push_position(&mut query, after, limit);
        query.push(")");
    }
    push_order(&mut query, after, limit);
    query.build_query_as().fetch_all(pool).await
}

/// Each part has its own order and limit, so that none is read further than needed.
const PARTS: [&str; 4] = [OBJECTS, LEADS, NUMBERS, MESSAGES];
const OBJECTS: &str = "select subject, reason, detail, parked_at from ingest.parked where true";
const LEADS: &str = "
select * from (
    select a.lead_id::text as subject, 'ambiguous_campaign' as reason,
           'campaigns that its UTM fields name: ' || (
               select string_agg(m.slug, ', ' order by m.slug) from public.marketing_campaigns m
               where m.id = any (a.campaigns)) as detail,
           a.since as parked_at
    from ingest.ambiguous_leads a
) leads where true";

const NUMBERS: &str = "
select * from (
    select '+' || n.number as subject, 'unmatched_number' as reason,
           case when cardinality(n.users) + cardinality(n.leads) = 0 then 'a member or lead with this number'
                else 'several have this number: ' || array_to_string(n.users || n.leads, ', ') end as detail,
           n.since as parked_at
    from ingest.unmatched_numbers n
) numbers where true";

const MESSAGES: &str = "
select * from (
    select f.sid as subject, 'contradicting_status' as reason,
           'Twilio reported ' || (
               select coalesce(string_agg(s.word, ' and ' order by s.word), 'several final statuses') from jsonb_object_keys(f.state -> 'statuses') s (word)
               where s.word in ('canceled', 'delivered', 'failed', 'undelivered')) || ', and not which came last' as detail,
           f.received_at as parked_at
    from ingest.sms_facts f where f.tied
) messages where true";

impl Filter {
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        for (column, value) in [(" and reason = ", &self.reason), (" and subject = ", &self.subject)] {
            if let Some(value) = value {
                query.push(column).push_bind(value.clone());
            }
        }
        for (bound, moment) in [(" and parked_at >= ", self.since), (" and parked_at < ", self.until)] {
            if let Some(moment) = moment {
                query.push(bound).push_bind(moment);
            }
        }
    }
}

fn push_position(query: &mut QueryBuilder<Postgres>, after: Option<&CursorPosition>, limit: i64) {
    if let Some(CursorPosition { seek, parked_at, subject, reason }) = after {
        let (beyond, _) = seek.ascending();
        query.push(" and (parked_at, subject, reason)").push(beyond).push("(").push_bind(*parked_at);
        query.push(", ").push_bind(subject.clone()).push(", ").push_bind(reason.clone()).push(")");
    }
    push_order(query, after, limit);
}

fn push_order(query: &mut QueryBuilder<Postgres>, after: Option<&CursorPosition>, limit: i64) {
    let (_, order) = after.map_or(Seek::default(), |place| place.seek).ascending();
    for (at, column) in ["parked_at", "subject", "reason"].into_iter().enumerate() {
        query.push(if at == 0 { " order by " } else { ", " }).push(column).push(order);
    }
    query.push(" limit ").push_bind(limit);
}
