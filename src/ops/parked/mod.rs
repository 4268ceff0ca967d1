//! Parked items: known, counted as far as possible, and waiting for missing information.

mod reasons;

use serde::Serialize;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;

use super::page::{self, Neighbours, PageError, Way};

pub use reasons::{Parked, fix, reasons};

/// A parked item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = ParkedObject)]
pub struct Waiting {
    /// The object's id (a customer, a subscription, a payment, a lead), or a phone number.
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
    pub parked: Vec<Waiting>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
    /// Where the page before continues; none on the first one.
    pub prev_cursor: Option<String>,
}

/// A position in the list, and the direction of the page from it.
struct Place {
    way: Way,
    parked_at: OffsetDateTime,
    subject: String,
    reason: String,
}

/// Parked items, oldest first, at most `limit`; only those of `reason` and `subject` if given.
pub async fn list(
    pool: &PgPool,
    reason: Option<&str>,
    subject: Option<&str>,
    limit: i64,
) -> Result<Vec<Waiting>, sqlx::Error> {
    list_after(pool, [("reason", reason), ("subject", subject)], None, limit).await
}

/// One page of [`list`], after `cursor`.
///
/// # Errors
/// If the cursor or the limit is invalid, or the database does not answer.
pub async fn page(
    pool: &PgPool,
    reason: Option<&str>,
    subject: Option<&str>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page, PageError> {
    let limit = page::checked(limit)?;
    let after = cursor.map(Place::decode).transpose()?;
    let equal = [("reason", reason), ("subject", subject)];
    let mut parked = list_after(pool, equal, after.as_ref(), page::one_more(limit)).await?;
    let way = after.map(|place| place.way);
    let Neighbours { next, prev } = page::cut(&mut parked, limit, way, |it| {
        [page::from_moment(it.parked_at), it.subject.clone(), it.reason.clone()]
    });
    Ok(Page { parked, next_cursor: next, prev_cursor: prev })
}

impl Place {
    fn decode(cursor: &str) -> Result<Self, PageError> {
        let (way, [moment, subject, reason]) = page::decode(cursor)?;
        Ok(Self { way, parked_at: page::to_moment(&moment)?, subject, reason })
    }
}

async fn list_after(
    pool: &PgPool,
    equal: [(&str, Option<&str>); 2],
    after: Option<&Place>,
    limit: i64,
) -> Result<Vec<Waiting>, sqlx::Error> {
    let mut query = QueryBuilder::new(OBJECTS);
    push(&mut query, equal, after, limit);
    query.push(") union all (").push(LEADS);
    push(&mut query, equal, after, limit);
    query.push(") union all (").push(NUMBERS);
    push(&mut query, equal, after, limit);
    query.push(")");
    push_order(&mut query, after, limit);
    query.build_query_as().fetch_all(pool).await
}

/// Each part has its own order and limit, so that none is read further than needed.
const OBJECTS: &str = "(select subject, reason, detail, parked_at from ingest.parked where true";
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

fn push(
    query: &mut QueryBuilder<Postgres>,
    equal: [(&str, Option<&str>); 2],
    after: Option<&Place>,
    limit: i64,
) {
    for (column, value) in equal {
        if let Some(value) = value {
            query.push(" and ").push(column).push(" = ").push_bind(value.to_owned());
        }
    }
    if let Some(Place { way, parked_at, subject, reason }) = after {
        let (beyond, _) = way.ascending();
        query.push(" and (parked_at, subject, reason)").push(beyond).push("(").push_bind(*parked_at);
        query.push(", ").push_bind(subject.clone()).push(", ").push_bind(reason.clone()).push(")");
    }
    push_order(query, after, limit);
}

fn push_order(query: &mut QueryBuilder<Postgres>, after: Option<&Place>, limit: i64) {
    let (_, order) = after.map_or(Way::default(), |place| place.way).ascending();
    for (at, column) in ["parked_at", "subject", "reason"].into_iter().enumerate() {
        query.push(if at == 0 { " order by " } else { ", " }).push(column).push(order);
    }
    query.push(" limit ").push_bind(limit);
}
