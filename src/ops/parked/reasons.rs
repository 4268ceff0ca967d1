//! Parked items by reason, and the fix for each.

use serde::Serialize;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;

use crate::store::parked::Reason;

/// The most of one reason that are counted.
const MAX_COUNTED: i64 = 10_000;
/// The reason of parked leads.
const AMBIGUOUS_CAMPAIGN: &str = "ambiguous_campaign";
/// The reason of parked phone numbers.
const UNMATCHED_NUMBER: &str = "unmatched_number";
/// The reason of parked text messages.
const CONTRADICTING_STATUS: &str = "contradicting_status";

/// The parked items of one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ParkedReason)]
pub struct Parked {
    /// The reason.
    pub reason: String,
    /// The number of items; at most 10,000 are counted.
    pub waiting: i64,
    /// Whether there are more than were counted.
    pub is_capped: bool,
    /// The oldest item.
    pub oldest_subject: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub oldest_parked_at: OffsetDateTime,
    /// What to do about it.
    pub fix: &'static str,
}

#[derive(FromRow)]
struct Counted {
    reason: String,
    waiting: i64,
    oldest_subject: String,
    oldest_parked_at: OffsetDateTime,
}

/// Each reason with parked items, the most frequent first. Each is counted by its own index.
const REASONS: &str = "
select reason, waiting, oldest_subject, oldest_parked_at
from (
    select r.reason, c.waiting, o.subject as oldest_subject, o.parked_at as oldest_parked_at
    from unnest($1::text[]) r (reason)
    cross join lateral (
        select subject, parked_at from ingest.parked p where p.reason = r.reason order by parked_at, subject limit 1) o
    cross join lateral (
        select count(*) as waiting from (
            select from ingest.parked p where p.reason = r.reason order by parked_at, subject limit $3) p) c
    union all
    select $2, c.waiting, o.lead_id::text, o.since
    from (select lead_id, since from ingest.ambiguous_leads order by since limit 1) o
    cross join (select count(*) as waiting from (select from ingest.ambiguous_leads order by since limit $3) l) c
    union all
    select $4, c.waiting, '+' || o.number, o.since
    from (select number, since from ingest.unmatched_numbers order by since limit 1) o
    cross join (select count(*) as waiting from (select from ingest.unmatched_numbers order by since limit $3) n) c
    union all
    select $5, c.waiting, o.sid, o.received_at
    from (select sid, received_at from ingest.sms_facts where tied order by received_at, sid limit 1) o
    cross join (select count(*) as waiting from (
        select from ingest.sms_facts where tied order by received_at, sid limit $3) m) c
) r
order by waiting desc, reason";

/// Parked items by reason, the most frequent first.
pub async fn reasons(pool: &PgPool) -> Result<Vec<Parked>, sqlx::Error> {
    let counted: Vec<Counted> = sqlx::query_as(REASONS)
        .bind(Reason::ALL.map(Reason::as_str).as_slice())
        .bind(AMBIGUOUS_CAMPAIGN)
        .bind(MAX_COUNTED + 1)
        .bind(UNMATCHED_NUMBER)
        .bind(CONTRADICTING_STATUS)
        .fetch_all(pool)
        .await?;
    Ok(counted.into_iter().map(Parked::from).collect())
}

impl From<Counted> for Parked {
    fn from(counted: Counted) -> Self {
        Self {
            fix: fix(&counted.reason),
            reason: counted.reason,
            waiting: counted.waiting.min(MAX_COUNTED),
            is_capped: counted.waiting > MAX_COUNTED,
            oldest_subject: counted.oldest_subject,
            oldest_parked_at: counted.oldest_parked_at,
        }
    }
}

/// How to fix items of this reason. A fix takes effect within a minute.
#[must_use]
pub fn fix(reason: &str) -> &'static str {
    if reason == AMBIGUOUS_CAMPAIGN {
        return "set leads.campaign_id, or let the UTM fields name one campaign alone";
    }
    if reason == UNMATCHED_NUMBER {
        return "give the number to one member's profile or one lead alone, in phone";
    }
    if reason == CONTRADICTING_STATUS {
        return "run memberflow reconcile twilio --fix: Twilio's API knows which final status is right";
    }
    match Reason::ALL.into_iter().find(|known| known.as_str() == reason) {
        Some(Reason::UnknownUser) => {
            "set metadata.user_id of the customer in Stripe to the account's id, or let the member confirm the customer's address"
        }
        Some(Reason::UserDeleted) => {
            "the account was deleted and its payments stay in the books; set metadata.user_id in Stripe where another account pays"
        }
        Some(Reason::AmbiguousEmail) => {
            "several accounts have the customer's address: set metadata.user_id of the customer in Stripe"
        }
        Some(Reason::ConflictingUsers) => {
            "objects of the customer name different accounts: correct metadata.user_id in Stripe so that they agree"
        }
        Some(Reason::NoTier) => {
            "set stripe_price_id or stripe_product_id of a row in membership_tiers to what the subscription pays for"
        }
        Some(Reason::UnknownStatus) => {
            "Stripe uses a status that this version does not know: update memberflow, then run memberflow rebuild"
        }
        Some(
            Reason::CheckWithStripe
            | Reason::ItemsTruncated
            | Reason::UnresolvedDiscount
            | Reason::Overdue
            | Reason::ThinEvent,
        ) => "run memberflow reconcile stripe (shows what differs), then memberflow reconcile stripe --fix",
        Some(Reason::EstimatedMrr) => {
            "the MRR is an estimate: run memberflow reconcile stripe --fix; docs/mrr.md says what is assumed"
        }
        Some(Reason::AmountOutOfRange) => {
            "alter the amount columns of payment_history to bigint, then run memberflow rebuild"
        }
        None => "this version does not know the reason: update memberflow",
    }
}
