//! The candidate accounts of a rare filter.
//!
//! A list is read in its order until the page is full: fast if every tenth member matches, slow if one in a million
//! does. So conditions that the order's index does not cover (a tier, a status, a text) are first looked up by their own
//! indexes: if they match few accounts, only these are read; if many, reading in order soon fills the page.

use sqlx::postgres::PgPool;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::filter::Filter;
use super::sort::IndexRange;
use super::sql;

/// With more matches, reading in order is faster than sorting them: of a million members a page of 50 is full after
/// 10,000.
const FEW: usize = 5_000;

/// The accounts that can match a filter in this range, perhaps with some of other ranges; `None` if they may be many.
pub(super) async fn candidates(
    pool: &PgPool,
    filter: &Filter,
    range: IndexRange,
) -> Result<Option<Vec<Uuid>>, sqlx::Error> {
    // Members without a value are selected by a condition on the account alone, which matters: possibly no subscriber
    // is without revenue, however many subscribers there are.
    let within = range.of_account.then_some(Reach::Within(range));
    for lookup in [subscribers, with_text, created_between] {
        for reach in [Some(Reach::First), within].into_iter().flatten() {
            let Some(query) = lookup(filter, reach) else { continue };
            let found = few(pool, query).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

async fn few(pool: &PgPool, mut query: QueryBuilder<Postgres>) -> Result<Option<Vec<Uuid>>, sqlx::Error> {
    let found: Vec<Uuid> = query.build_query_scalar().persistent(false).fetch_all(pool).await?;
    Ok((found.len() <= FEW).then_some(found))
}

fn subscribers(filter: &Filter, reach: Reach) -> Option<QueryBuilder<Postgres>> {
    if filter.tier.is_none() && filter.status.is_none() {
        return None;
    }
    let [of_tier, subscribed] = sql::SUBSCRIBERS;
    let mut query = reach.begin();
    query.push(of_tier);
    if let Some(status) = &filter.status {
        query.push(" and c.status = (").push_bind(status).push(")::public.subscription_status");
    }
    if matches!(reach, Reach::First) {
        query.push(sql::FIRST_SUBSCRIBERS).push(FEW + 1);
    }
    query.push(subscribed);
    if let Some(tier) = &filter.tier {
        query.push(" and lower(t.name) = lower(").push_bind(tier).push(")");
    }
    Some(reach.end(query))
}

fn with_text(filter: &Filter, reach: Reach) -> Option<QueryBuilder<Postgres>> {
    let pattern = filter.pattern()?;
    let is_number = filter.text.iter().flat_map(|text| text.chars()).all(|c| c.is_ascii_digit() || c == '+');
    let mut places = sql::BEARERS_OF_TEXT.to_vec();
    places.extend(is_number.then_some(sql::BEARERS_OF_NUMBER));
    let mut query = reach.begin();
    query.push("select found.id from (");
    for (at, place) in places.into_iter().enumerate() {
        query.push(if at > 0 { " union all " } else { "" }).push(place).push_bind(&pattern);
    }
    query.push(") found where true");
    Some(reach.end(query))
}

fn created_between(filter: &Filter, reach: Reach) -> Option<QueryBuilder<Postgres>> {
    if filter.since.is_none() && filter.until.is_none() {
        return None;
    }
    let mut query = reach.begin();
    query.push(sql::MADE_THEN);
    filter.push_moments(&mut query, "m.created_at");
    Some(reach.end(query))
}

/// Which accounts are looked up.
#[derive(Clone, Copy)]
enum Reach {
    /// Any, until there are more than a few.
    First,
    /// Those of this range, however many others there are. Its condition must be on the account alone.
    Within(IndexRange),
}

impl Reach {
    fn begin(self) -> QueryBuilder<Postgres> {
        let mut query = QueryBuilder::new("");
        if matches!(self, Self::Within(_)) {
            query.push("select u.id").push(sql::FROM_GIVEN_ACCOUNTS[0]);
        }
        query
    }

    fn end(self, mut query: QueryBuilder<Postgres>) -> QueryBuilder<Postgres> {
        if let Self::Within(range) = self {
            query.push(sql::FROM_GIVEN_ACCOUNTS[1]).push(" where ").push(range.condition);
        }
        query.push(" limit ").push(FEW + 1);
        query
    }
}
