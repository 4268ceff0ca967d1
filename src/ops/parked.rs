//! What is parked: known, counted where it can be, and waiting for a missing piece.

use serde::Serialize;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;

/// Something that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow)]
pub struct Waiting {
    /// The object's id (a customer, a subscription, a payment, a lead).
    pub subject: String,
    /// Why it waits.
    pub reason: String,
    /// What is missing.
    pub detail: String,
    /// Since when.
    #[serde(with = "time::serde::rfc3339")]
    pub parked_at: OffsetDateTime,
}

/// What waits for `reason` (else for any), the longest waiting first, at most `limit`; of one `subject` alone
/// where it is named.
///
/// # Errors
/// Whatever the database says.
pub async fn list(
    pool: &PgPool,
    reason: Option<&str>,
    subject: Option<&str>,
    limit: i64,
) -> Result<Vec<Waiting>, sqlx::Error> {
    sqlx::query_as(
        "select subject, reason, detail, parked_at from (
             select subject, reason, detail, parked_at from ingest.parked
             union all
             select a.lead_id::text, 'ambiguous_campaign',
                    'campaigns that its UTM fields name: ' || (
                        select string_agg(m.slug, ', ' order by m.slug) from public.marketing_campaigns m
                        where m.id = any (a.campaigns)),
                    a.since
             from ingest.ambiguous_leads a
         ) waiting
         where ($1::text is null or reason = $1) and ($2::text is null or subject = $2)
         order by parked_at, subject, reason limit $3",
    )
    .bind(reason)
    .bind(subject)
    .bind(limit)
    .fetch_all(pool)
    .await
}
