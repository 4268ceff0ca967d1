//! One member with everything: subscriptions, payments, activity.

use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPool;
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::change::SetByHand;
use super::contact::{self, Contact, Support};
use super::{Member, sql};
use crate::database;
use crate::ops::version;

/// The most subscriptions, and the most payments, that one view holds: the newest.
const MAX_ROWS: i64 = 100;

/// One member with everything. Money is in minor units of the currency next to it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = MemberDetail)]
pub struct Detail {
    /// What the list shows.
    #[serde(flatten)]
    pub member: Member,
    /// What only this view shows.
    #[serde(flatten)]
    pub more: More,
    /// The subscriptions, newest first, at most 100.
    pub subscriptions: Vec<Subscription>,
    /// The payments, newest first, at most 100.
    pub payments: Vec<Payment>,
    /// How the member stands with support.
    pub support: Support,
    /// Tickets and text messages, newest first, at most 100 entries.
    pub timeline: Vec<Contact>,
    /// Whether the member may be texted.
    pub texting: Texting,
}

/// Whether a member may be texted, and what was said of it by text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Texting {
    /// False: a number of the member's has opted out, or the forms say no. Null: nothing says yes.
    pub may_be_texted: Option<bool>,
    /// The member's numbers that have said anything, the latest first.
    pub numbers: Vec<NumberConsent>,
}

/// What a number has said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NumberConsent {
    /// As E.164 writes it.
    pub number: String,
    /// Whether it has opted in; false: out.
    pub opted_in: bool,
    /// `opt_out_type` (Twilio said so), `keyword`, or `error_21610` (Twilio refused to send).
    pub source: String,
    /// The word, where there was one.
    pub keyword: Option<String>,
    /// When that came.
    #[serde(with = "time::serde::rfc3339")]
    pub changed_at: OffsetDateTime,
    /// The message that said so.
    pub twilio_sid: String,
    /// Its text, where it is known.
    pub body: Option<String>,
}

/// What the list has no room for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = MemberMore)]
pub struct More {
    /// Files that the member owns.
    pub s3_file_count: i64,
    /// Their size in units of 1,048,576 bytes.
    pub total_storage_mb: f64,
    /// Logins ever seen.
    pub total_logins: i64,
    /// What people wrote about the member.
    pub admin_notes: Option<String>,
    /// Whether people set `engagement_status`.
    pub engagement_status_is_manual: bool,
    /// Whether people set `health_status`.
    pub health_status_is_manual: bool,
    /// When the first subscription began.
    #[serde(with = "time::serde::rfc3339::option")]
    pub subscription_start_date: Option<OffsetDateTime>,
    /// Whole calendar months subscribed.
    pub months_subscribed: i64,
}

/// One Stripe subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Subscription {
    /// Stripe's id; none for one that was made by hand.
    pub stripe_subscription_id: Option<String>,
    /// Stripe's customer.
    pub stripe_customer_id: String,
    /// Stripe's price.
    pub stripe_price_id: Option<String>,
    /// Stripe's status.
    pub status: String,
    /// The tier's name.
    pub tier: String,
    /// Start of the period that is paid.
    #[serde(with = "time::serde::rfc3339::option")]
    pub current_period_start: Option<OffsetDateTime>,
    /// Its end.
    #[serde(with = "time::serde::rfc3339::option")]
    pub current_period_end: Option<OffsetDateTime>,
    /// Whether it ends with the period.
    pub cancel_at_period_end: bool,
    /// When it is to end, where a day was set.
    #[serde(with = "time::serde::rfc3339::option")]
    pub cancel_at: Option<OffsetDateTime>,
    /// When it was canceled.
    #[serde(with = "time::serde::rfc3339::option")]
    pub canceled_at: Option<OffsetDateTime>,
    /// Stripe's word for who or what canceled it: `cancellation_requested`, `payment_failed`, `payment_disputed`.
    pub cancellation_reason: Option<String>,
    /// Stripe's word for what the member said: `too_expensive`, `unused`, ...
    pub cancellation_feedback: Option<String>,
    /// Whether payments are not collected for now.
    pub collection_paused: bool,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
}

/// One invoice or one-off payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
pub struct Payment {
    /// Stripe's invoice; none for a one-off payment.
    pub stripe_invoice_id: Option<String>,
    /// Stripe's payment intent; none where nothing was paid through Stripe.
    pub stripe_payment_intent_id: Option<String>,
    /// Collected, in minor units.
    pub amount: i64,
    /// Given back, in minor units.
    pub amount_refunded: i64,
    /// Withdrawn by disputes, in minor units.
    pub amount_disputed: i64,
    /// In lower case.
    pub currency: String,
    /// `succeeded`, `failed`, `open`, `void` or `uncollectible`.
    pub status: String,
    /// When it was paid.
    #[serde(with = "time::serde::rfc3339::option")]
    pub paid_at: Option<OffsetDateTime>,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339::option")]
    pub created_at: Option<OffsetDateTime>,
}

impl Detail {
    /// The version of what people set.
    #[must_use]
    pub fn version(&self) -> String {
        let Self { member, more, .. } = self;
        version::of(&SetByHand {
            engagement_status: member.engagement_status.clone().filter(|_| more.engagement_status_is_manual),
            health_status: member.health_status.clone().filter(|_| more.health_status_is_manual),
            custom_tags: member.custom_tags.clone(),
            admin_notes: more.admin_notes.clone(),
        })
    }
}

/// Reads one member, as of `now`; `None` where there is no such account (any more). Phone numbers without a country are
/// of `country`.
pub async fn show(
    pool: &PgPool,
    user_id: Uuid,
    country: &str,
    now: OffsetDateTime,
) -> Result<Option<Detail>, sqlx::Error> {
    // One snapshot for all: the sums and the payments that they are made of belong together.
    let mut reading = database::begin_read_only(pool).await?;
    let mut query: QueryBuilder<Postgres> = QueryBuilder::new(sql::COLUMNS);
    for piece in [sql::FROM_ACCOUNTS, sql::PROFILE, sql::METRICS, sql::LEADING, sql::PRESENT] {
        query.push(piece);
    }
    query.push(" and u.id = ").push_bind(user_id);
    let member: Option<Member> = query.build_query_as().fetch_optional(&mut *reading).await?;
    let Some(member) = member else { return Ok(None) };
    let more: Option<More> = sqlx::query_as(MORE).bind(user_id).fetch_optional(&mut *reading).await?;
    let subscriptions =
        sqlx::query_as(SUBSCRIPTIONS).bind(user_id).bind(MAX_ROWS).fetch_all(&mut *reading).await?;
    let payments = sqlx::query_as(PAYMENTS).bind(user_id).bind(MAX_ROWS).fetch_all(&mut *reading).await?;
    let support = contact::support(&mut reading, user_id).await?;
    let timeline = contact::timeline(&mut reading, user_id).await?;
    let Json(texting) = sqlx::query_scalar("select ingest.sms_answer($1, $2)")
        .bind(user_id)
        .bind(country)
        .fetch_one(&mut *reading)
        .await?;
    reading.commit().await?;
    let (member, more) = (member.at(now), more.unwrap_or_default());
    Ok(Some(Detail { member, more, subscriptions, payments, support, timeline, texting }))
}

/// The accounts with this address, in any case: usually one, but Supabase lets an SSO account share it.
pub async fn find_by_email(pool: &PgPool, email: &str) -> Result<Vec<Uuid>, sqlx::Error> {
    // Supabase keeps addresses in lower case, so the index on the column serves.
    sqlx::query_scalar(
        "select id from auth.users where email in ($1, lower($1)) and deleted_at is null order by id limit 10",
    )
    .bind(email)
    .fetch_all(pool)
    .await
}

const MORE: &str = "
select coalesce(a.s3_file_count, 0)::bigint as s3_file_count,
       coalesce(a.total_storage_mb, 0)::float8 as total_storage_mb,
       coalesce(a.total_logins, 0)::bigint as total_logins, a.admin_notes,
       coalesce(a.engagement_status_is_manual, false) as engagement_status_is_manual,
       coalesce(a.health_status_is_manual, false) as health_status_is_manual,
       r.subscription_start_date, coalesce(r.months_subscribed, 0)::bigint as months_subscribed
from auth.users u
left join public.user_activity_metrics a on a.user_id = u.id
left join public.user_revenue_metrics r on r.user_id = u.id
where u.id = $1";

const SUBSCRIPTIONS: &str = "
select c.stripe_subscription_id, c.stripe_customer_id, c.stripe_price_id, c.status::text as status,
       t.name::text as tier, c.current_period_start, c.current_period_end,
       coalesce(c.cancel_at_period_end, false) as cancel_at_period_end, c.cancel_at, c.canceled_at,
       c.cancellation_reason, c.cancellation_feedback, c.collection_paused, c.created_at
from public.customer_subscriptions c
join public.membership_tiers t on t.id = c.membership_tier_id
where c.user_id = $1
order by c.created_at desc nulls last, c.id
limit $2";

const PAYMENTS: &str = "
select stripe_invoice_id, stripe_payment_intent_id, amount::bigint as amount,
       coalesce(amount_refunded, 0)::bigint as amount_refunded,
       coalesce(amount_disputed, 0)::bigint as amount_disputed,
       coalesce(currency, 'usd') as currency, status, paid_at, created_at
from public.payment_history
where user_id = $1
order by coalesce(paid_at, created_at) desc nulls last, id
limit $2";
