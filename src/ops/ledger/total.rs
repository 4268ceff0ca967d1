//! The MRR at a moment.

use serde::Serialize;
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{DEFINITION, believed};

/// Which MRR is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Question {
    /// The moment; none: now.
    pub at: Option<OffsetDateTime>,
    /// As it was known then; none: as it is known now.
    pub known_at: Option<OffsetDateTime>,
    /// One member's; none: everybody's.
    pub user_id: Option<Uuid>,
}

/// The MRR at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct MrrAt {
    pub definition: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    pub known_at: Option<OffsetDateTime>,
    pub totals: Vec<Total>,
}

/// The MRR in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = MrrTotal)]
pub struct Total {
    pub currency: String,
    /// Minor units.
    pub mrr: i64,
    /// Stripe customers who bring any of it.
    pub customers: i64,
}

/// Reads the MRR that `question` asks for, in each currency.
///
/// # Errors
/// The database does not answer.
pub async fn mrr_at(pool: &PgPool, question: &Question, now: OffsetDateTime) -> Result<MrrAt, sqlx::Error> {
    let at = question.at.unwrap_or(now);
    let totals = sqlx::query_as(TOTALS)
        .bind(question.known_at)
        .bind(at)
        .bind(question.user_id)
        .fetch_all(pool)
        .await?;
    Ok(MrrAt { definition: DEFINITION, at, known_at: question.known_at, totals })
}

const TOTALS: &str = concat!(
    "select currency, sum(mrr)::bigint as mrr, count(*) as customers
     from (
         select customer_id, currency, sum(delta) as mrr from public.mrr_movements
         where effective_at <= $2 and ($3::uuid is null or user_id = $3) and ",
    believed!(),
    " group by customer_id, currency
     ) of_customer
     where mrr <> 0 group by currency order by currency"
);
