//! The MRR at a moment.

use serde::Serialize;
use sqlx::{PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{DEFINITION, sums};

/// Which MRR to read.
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
    /// What MRR means here.
    pub definition: &'static str,
    /// The moment.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What was known until then; none: all that is known now.
    #[serde(with = "time::serde::rfc3339::option")]
    pub known_at: Option<OffsetDateTime>,
    /// By currency.
    pub totals: Vec<Total>,
}

/// The MRR in one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, sqlx::FromRow, utoipa::ToSchema)]
#[schema(as = MrrTotal)]
pub struct Total {
    /// Lower case.
    pub currency: String,
    /// Minor units.
    pub mrr: i64,
    /// Stripe customers who bring any of it.
    pub customers: i64,
}

/// Reads the MRR that `question` describes, in each currency.
pub async fn mrr_at(pool: &PgPool, question: &Question, now: OffsetDateTime) -> Result<MrrAt, sqlx::Error> {
    let &Question { at, known_at, user_id } = question;
    let at = at.unwrap_or(now);
    let mut query = match user_id {
        Some(user_id) => of_member(user_id, at, known_at),
        None => of_everybody(at, known_at),
    };
    let totals = query.build_query_as().fetch_all(pool).await?;
    Ok(MrrAt { definition: DEFINITION, at, known_at, totals })
}

/// From the sums. A customer brings something from a movement that begins at 0 until one that ends there.
fn of_everybody(at: OffsetDateTime, known_at: Option<OffsetDateTime>) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "select currency, sum(amount)::bigint as mrr,
                coalesce(sum(case when kind in ('new', 'reactivation') then movements
                                  when kind = 'churn' then -movements end), 0)::bigint as customers
         from (select currency, kind, movements, amount from (",
    );
    sums::push(&mut query, known_at);
    query.push(") sums where day <= ").push_bind(sums::day(at)).push(" union all ");
    sums::push_less_later_that_day(&mut query, at, known_at);
    query.push(") moved group by currency having sum(amount) <> 0 order by currency");
    query
}

/// From the member's movements.
fn of_member(user_id: Uuid, at: OffsetDateTime, known_at: Option<OffsetDateTime>) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(
        "select currency, sum(mrr)::bigint as mrr, count(*) as customers
         from (select customer_id, currency, sum(delta) as mrr from public.mrr_movements where user_id = ",
    );
    query.push_bind(user_id).push(" and effective_at <= ").push_bind(at);
    sums::push_current(&mut query, known_at);
    query.push(
        " group by customer_id, currency) of_customer where mrr <> 0 group by currency order by currency",
    );
    query
}
