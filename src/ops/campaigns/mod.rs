//! The marketing campaigns and their results, by their leads.

mod show;

use serde::Serialize;
use sqlx::{FromRow, PgPool, QueryBuilder};
use uuid::Uuid;

use super::page::{self, Count, MAX_LIMIT, Neighbours, Seek};

pub use show::{Detail, Lead, show};

/// What `status` can be.
pub const STATUSES: [&str; 5] = ["draft", "active", "paused", "completed", "archived"];

/// One campaign and its sums. Money is in minor units of `currency`.
#[derive(Clone, Debug, PartialEq, Serialize, FromRow, utoipa::ToSchema)]
pub struct Campaign {
    /// `marketing_campaigns.id`
    pub id: Uuid,
    /// The display name.
    pub name: String,
    /// In links.
    pub slug: String,
    /// One of [`STATUSES`].
    pub status: Option<String>,
    /// In lower case.
    pub currency: String,
    /// Leads that belong to it, by `campaign_id` or by UTM.
    pub leads: i64,
    /// Members whom its leads became, each once.
    pub members: i64,
    /// What they paid since, without refunds.
    pub revenue: i64,
    /// What was spent on it.
    pub cost: i64,
    /// Cost per lead, rounded half up; `None` without leads.
    pub cost_per_lead: Option<i64>,
    /// (Revenue - cost) / cost, to four decimals; `None` without cost.
    pub roi: Option<f64>,
}

/// Some campaigns in the order of their slugs.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = CampaignPage)]
pub struct Page {
    /// At most as many as were asked for.
    pub campaigns: Vec<Campaign>,
    /// The slug after which the next page continues; `None` on the last one.
    #[serde(rename = "next_cursor")]
    pub next_after: Option<String>,
    /// Where the page before continues; none on the first one.
    pub prev_cursor: Option<String>,
    /// How many match; only where that was asked for, and could be counted within a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// The columns of a [`Campaign`]. Decimal columns of a deployment hold major units.
const COLUMNS: &str = "
select id, name::text as name, slug::text as slug, status::text as status, currency,
       leads, members, revenue, cost,
       case when leads > 0 then round(cost::numeric / leads)::bigint end as cost_per_lead,
       case when cost > 0 then round((revenue - cost)::numeric / cost, 4)::float8 end as roi
from (
    select m.id, m.name, m.slug, m.status, lower(m.currency) as currency,
           coalesce(m.total_leads, 0)::bigint as leads, coalesce(m.total_conversions, 0)::bigint as members,
           round(coalesce(m.revenue_generated, 0) * ingest.minor_units_in(m.currency, pg_typeof(m.revenue_generated)))::bigint
               as revenue,
           round(coalesce(m.total_spent, 0) * ingest.minor_units_in(m.currency, pg_typeof(m.total_spent)))::bigint as cost
    from public.marketing_campaigns m
) m";

/// The campaigns in this status (else all) after `after`, a slug or a cursor, at most `limit`.
pub async fn list(
    pool: &PgPool,
    status: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Page, sqlx::Error> {
    let limit = limit.clamp(1, MAX_LIMIT) as usize;
    // The cursor of a next page is a slug.
    let from = after.map(|after| page::decode(after).unwrap_or((Seek::Forward, [after.to_owned()])));
    let seek = from.as_ref().map(|(seek, _)| *seek);
    let (beyond, order) = seek.unwrap_or_default().ascending();
    let mut query = QueryBuilder::new(COLUMNS);
    query.push(" where true");
    if let Some(status) = status {
        query.push(" and status::text = ").push_bind(status.to_owned());
    }
    if let Some((_, [slug])) = from {
        query.push(" and slug::text").push(beyond).push_bind(slug);
    }
    query.push(" order by slug::text").push(order).push(" limit ").push_bind(page::one_more(limit));
    let mut campaigns: Vec<Campaign> = query.build_query_as().fetch_all(pool).await?;
    let Neighbours { next, prev } = page::paginate(&mut campaigns, limit, seek, |it| [it.slug.clone()]);
    let next_after = campaigns.last().filter(|_| next.is_some()).map(|last| last.slug.clone());
    Ok(Page { campaigns, next_after, prev_cursor: prev, count: None })
}

/// How many campaigns are in this status, else in any; `None` if counting takes too long.
pub async fn count(pool: &PgPool, status: Option<&str>) -> Result<Option<Count>, sqlx::Error> {
    let mut query = page::counting();
    query.push("select from public.marketing_campaigns where true");
    if let Some(status) = status {
        query.push(" and status::text = ").push_bind(status.to_owned());
    }
    page::count(pool, query).await
}
