//! The customers of a cohort, a page at a time, and what each brings at the end of a month.

use serde::Serialize;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Month;
use crate::ops::page::{self, Count, Neighbours, PageError};

/// One month of a cohort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CohortMonth {
    /// Its code, in lower case.
    pub currency: String,
    /// The month in which its customers began.
    pub began: Month,
    /// The month at whose end it is counted.
    pub month: Month,
}

/// A customer of a cohort. Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
pub struct CohortCustomer {
    #[serde(skip)]
    id: i64,
    /// The Stripe customer.
    pub customer_id: String,
    /// None while the user is unknown, and after the user was deleted.
    pub user_id: Option<Uuid>,
    /// The user's address.
    pub email: Option<String>,
    /// When the MRR began.
    #[serde(with = "time::serde::rfc3339")]
    pub began_at: OffsetDateTime,
    /// The MRR at the beginning.
    pub first_mrr: i64,
    /// The MRR at the end of the month; 0: has left.
    pub mrr: i64,
    /// When the MRR last changed until then.
    #[serde(with = "time::serde::rfc3339")]
    pub changed_at: OffsetDateTime,
}

/// Some customers of a cohort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = CohortCustomerPage)]
pub struct CohortPage {
    /// Those who began last first.
    pub customers: Vec<CohortCustomer>,
    /// Asks for the next page; none on the last.
    pub next_cursor: Option<String>,
    /// Asks for the page before; none on the first.
    pub prev_cursor: Option<String>,
    /// How many match; only where that was asked for, and could be counted within a moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<Count>,
}

/// One page of the customers of a cohort, after `cursor`, at most `limit`. Each page is read by index, however large the
/// cohort is.
///
/// # Errors
/// If the cursor or the limit is invalid, or the database does not answer.
pub async fn cohort_customers(
    pool: &PgPool,
    cohort: &CohortMonth,
    cursor: Option<&str>,
    limit: u32,
) -> Result<CohortPage, PageError> {
    let limit = page::checked(limit)?;
    let mut query = QueryBuilder::new(
        "select b.id, b.customer_id, b.user_id,
                (select u.email::text from auth.users u where u.id = b.user_id) as email,
                b.effective_at as began_at, b.mrr_after as first_mrr, l.mrr_after as mrr, l.effective_at as changed_at
         from (",
    );
    cohort.push(&mut query);
    let seek = page::push_seek_by_moment(&mut query, "effective_at", cursor, limit)?;
    let (_, order) = seek.unwrap_or_default().descending();
    query.push(
        ") b cross join lateral (
             select m.mrr_after, m.effective_at from public.mrr_movements m
             where m.customer_id = b.customer_id and m.currency = b.currency and m.superseded_at is null",
    );
    if let Some(end) = cohort.month.plus(1) {
        query.push(" and m.effective_at < ").push_bind(end.begin());
    }
    query.push(" order by m.effective_at desc limit 1) l order by b.effective_at").push(order);
    query.push(", b.id").push(order);
    let mut customers: Vec<CohortCustomer> = query.build_query_as().fetch_all(pool).await?;
    let place = |it: &CohortCustomer| [page::from_moment(it.began_at), it.id.to_string()];
    let Neighbours { next, prev } = page::paginate(&mut customers, limit, seek, place);
    Ok(CohortPage { customers, next_cursor: next, prev_cursor: prev, count: None })
}

/// How many customers began with the cohort; `None` if counting takes too long.
///
/// # Errors
/// Whatever the database says.
pub async fn count_cohort(pool: &PgPool, cohort: &CohortMonth) -> Result<Option<Count>, sqlx::Error> {
    let mut query = page::counting();
    cohort.push(&mut query);
    page::count(pool, query).await
}

impl CohortMonth {
    /// Where each customer's MRR began.
    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        query.push("select * from public.mrr_movements where currency = ").push_bind(self.currency.clone());
        query.push(" and kind = 'new' and superseded_at is null and effective_at >= ");
        query.push_bind(self.began.begin());
        if let Some(next) = self.began.plus(1) {
            query.push(" and effective_at < ").push_bind(next.begin());
        }
    }
}
