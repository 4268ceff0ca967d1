//! One campaign with its leads.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::{AssertSqlSafe, FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{COLUMNS, Campaign};
use crate::database;

/// The most leads that one view holds: the newest.
const MAX_LEADS: i64 = 100;

/// One campaign with everything. Money is in minor units of the campaign's currency.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = CampaignDetail)]
pub struct Detail {
    /// What the list shows.
    #[serde(flatten)]
    pub campaign: Campaign,
    /// What leads without `campaign_id` are matched by.
    #[serde(flatten)]
    pub utm: Utm,
    /// How many leads are in which status.
    pub leads_by_status: BTreeMap<String, i64>,
    /// The leads, newest first, at most 100.
    pub newest_leads: Vec<Lead>,
}

/// The campaign's UTM fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = CampaignUtm)]
pub struct Utm {
    /// `utm_campaign`
    pub utm_campaign: Option<String>,
    /// `utm_source`
    pub utm_source: Option<String>,
    /// `utm_medium`
    pub utm_medium: Option<String>,
}

/// One lead of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = CampaignLead)]
pub struct Lead {
    /// `leads.id`
    pub id: Uuid,
    /// As the lead gave it.
    pub email: String,
    /// `new`, `contacted`, `qualified`, `converted`, `lost`.
    pub status: Option<String>,
    /// Why it belongs here: `campaign_id` or `utm`.
    pub matched_by: String,
    /// The member whom it became.
    pub converted_to_user_id: Option<Uuid>,
    /// What the member paid since, without refunds; 0 in another currency.
    pub value: i64,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
}

/// Reads the campaign with this id or slug; `None` if there is none.
pub async fn show(pool: &PgPool, name: &str) -> Result<Option<Detail>, sqlx::Error> {
    // One snapshot: the sums and the leads that they are made of belong together.
    let mut reading = database::begin_read_only(pool).await?;
    let query = format!(
        "{COLUMNS} where id::text = lower($1) or slug::text = $1 order by slug::text = $1 desc limit 1"
    );
    let campaign: Option<Campaign> =
        sqlx::query_as(AssertSqlSafe(query)).bind(name).fetch_optional(&mut *reading).await?;
    let Some(campaign) = campaign else { return Ok(None) };
    let utm = sqlx::query_as(
        "select utm_campaign::text, utm_source::text, utm_medium::text from public.marketing_campaigns where id = $1",
    )
    .bind(campaign.id)
    .fetch_one(&mut *reading)
    .await?;
    let statuses: Vec<(String, i64)> =
        sqlx::query_as(BY_STATUS).bind(campaign.id).fetch_all(&mut *reading).await?;
    let newest_leads =
        sqlx::query_as(LEADS).bind(campaign.id).bind(MAX_LEADS).fetch_all(&mut *reading).await?;
    reading.commit().await?;
    Ok(Some(Detail { campaign, utm, leads_by_status: statuses.into_iter().collect(), newest_leads }))
}

const BY_STATUS: &str = "
select coalesce(status, 'none'), count(*) from ingest.counted_leads where campaign_id = $1 group by 1";

/// The newest by index before their rows are read.
const LEADS: &str = "
select l.id, l.email::text as email, l.status::text as status,
       case when l.campaign_id is null then 'utm' else 'campaign_id' end as matched_by,
       l.converted_to_user_id, c.value::bigint as value, l.created_at
from (select * from ingest.counted_leads where campaign_id = $1
      order by created_at desc nulls last, lead_id limit $2) c
join public.leads l on l.id = c.lead_id
order by c.created_at desc nulls last, c.lead_id";
