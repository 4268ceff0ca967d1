//! Cohorts: of those who began in a month, how many are still there and what they bring, month by month.

use serde::Serialize;
use sqlx::PgPool;
use time::Date;

use super::{DEFINITION, Month, sums};

/// Cohorts by the month in which their MRR began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Cohorts {
    /// What MRR means here.
    pub definition: &'static str,
    /// By currency, then month. A month in which nobody began has none.
    pub cohorts: Vec<Cohort>,
}

/// The Stripe customers whose first MRR in a currency began in one month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Cohort {
    /// Lower case.
    pub currency: String,
    /// The month in which they began.
    #[schema(value_type = String, example = "2026-03")]
    pub month: Month,
    /// From that month on, each.
    pub months: Vec<Retained>,
}

/// What is left of a cohort at the end of a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = CohortMonth)]
pub struct Retained {
    /// The month.
    #[schema(value_type = String, example = "2026-04")]
    pub month: Month,
    /// Who brings anything.
    pub customers: i64,
    /// What they bring, in minor units.
    pub mrr: i64,
}

/// By how much a cohort changed in a month.
#[derive(sqlx::FromRow)]
struct Change {
    currency: String,
    cohort: Date,
    month: Date,
    customers: i64,
    amount: i64,
}

/// Reads the cohorts that began in `months`, which follow each other, up to the last of these.
pub async fn cohorts(pool: &PgPool, months: &[Month]) -> Result<Cohorts, sqlx::Error> {
    let mut answer = Cohorts { definition: DEFINITION, cohorts: Vec::new() };
    let (Some(first), Some(last)) = (months.first(), months.last()) else { return Ok(answer) };
    let changes: Vec<Change> = sqlx::query_as(
        "select currency, cohort, month, customers, amount from ingest.mrr_cohorts
         where cohort between $1 and $2 and month <= $2 and (customers, amount) <> (0, 0) order by 1, 2, 3",
    )
    .bind(sums::day(first.begin()))
    .bind(sums::day(last.begin()))
    .fetch_all(pool)
    .await?;
    let of_one = changes
        .chunk_by(|one, next| (&one.currency, one.cohort) == (&next.currency, next.cohort))
        .filter_map(|changes| cohort(changes, months));
    answer.cohorts.extend(of_one);
    Ok(answer)
}

/// The cohort of these `changes`, month by month.
fn cohort(changes: &[Change], months: &[Month]) -> Option<Cohort> {
    let began = changes.first()?;
    let (mut customers, mut mrr) = (0, 0);
    let months = months.iter().filter(|month| sums::day(month.begin()) >= began.cohort);
    let months: Vec<Retained> = months
        .map(|month| {
            let day = sums::day(month.begin());
            let of_month = || changes.iter().filter(|change| change.month == day);
            customers += of_month().map(|change| change.customers).sum::<i64>();
            mrr += of_month().map(|change| change.amount).sum::<i64>();
            Retained { month: *month, customers, mrr }
        })
        .collect();
    Some(Cohort { currency: began.currency.clone(), month: months.first()?.month, months })
}
