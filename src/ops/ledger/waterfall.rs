//! The monthly waterfall: how the MRR of one month became that of the next.

use serde::Serialize;
use sqlx::{PgPool, QueryBuilder};
use time::{Date, OffsetDateTime};

use super::{DEFINITION, Month, sums};

/// The most months in one waterfall.
pub const MAX_MONTHS: i32 = 120;

/// Months that make no waterfall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMonths {
    /// The last one comes before the first.
    #[error("the last month ({1}) comes before the first ({0})")]
    Backwards(Month, Month),
    /// More than [`MAX_MONTHS`].
    #[error("from {0} to {1} are more than {MAX_MONTHS} months: ask for fewer")]
    TooMany(Month, Month),
}

/// How the MRR moved, month by month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Waterfall {
    /// What MRR means here.
    pub definition: &'static str,
    /// What was known until then; none: all that is known now.
    #[serde(with = "time::serde::rfc3339::option")]
    pub known_at: Option<OffsetDateTime>,
    /// By currency, then month. A currency in which nobody ever paid has no rows.
    pub rows: Vec<Row>,
}

/// One month in one currency, in minor units: `opening` and the movements make `closing`, which is the next
/// month's `opening`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = WaterfallRow)]
pub struct Row {
    /// Lower case.
    pub currency: String,
    /// The month.
    #[schema(value_type = String, example = "2026-03")]
    pub month: Month,
    /// The MRR at its beginning.
    pub opening: i64,
    /// From customers without MRR before.
    pub new: i64,
    /// More from customers who had some.
    pub expansion: i64,
    /// Less from customers who still have some.
    pub contraction: i64,
    /// From customers who have none any more.
    pub churn: i64,
    /// From customers who had none for a while.
    pub reactivation: i64,
    /// The MRR at its end.
    pub closing: i64,
    /// How many movements made each of the amounts.
    pub movements: Counts,
    /// Stripe customers who bring any of `closing`.
    pub customers: i64,
}

/// Movements by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = WaterfallCounts)]
pub struct Counts {
    /// From customers without MRR before.
    pub new: i64,
    /// More from customers who had some.
    pub expansion: i64,
    /// Less from customers who still have some.
    pub contraction: i64,
    /// From customers who have none any more.
    pub churn: i64,
    /// From customers who had none for a while.
    pub reactivation: i64,
}

impl Counts {
    /// By how many more customers bring anything after the movements than before.
    const fn joined(self) -> i64 {
        self.new + self.reactivation - self.churn
    }
}

/// All months from `from` to `to`; by default the twelve that end with the present one.
///
/// # Errors
/// [`InvalidMonths`].
pub fn months(
    from: Option<Month>,
    to: Option<Month>,
    now: OffsetDateTime,
) -> Result<Vec<Month>, InvalidMonths> {
    let to = to.unwrap_or_else(|| Month::of(now));
    let from = from.or_else(|| to.plus(-11)).unwrap_or(to);
    if to < from {
        return Err(InvalidMonths::Backwards(from, to));
    }
    let months: Vec<Month> =
        (0..=MAX_MONTHS).map_while(|count| from.plus(count)).take_while(|it| *it <= to).collect();
    if months.last() == Some(&to) && months.len() <= MAX_MONTHS.unsigned_abs() as usize {
        Ok(months)
    } else {
        Err(InvalidMonths::TooMany(from, to))
    }
}

/// Reads the waterfall over `months`, which follow each other, as it was known at `known_at` (none: now).
pub async fn waterfall(
    pool: &PgPool,
    months: &[Month],
    known_at: Option<OffsetDateTime>,
) -> Result<Waterfall, sqlx::Error> {
    let mut waterfall = Waterfall { definition: DEFINITION, known_at, rows: Vec::new() };
    let (Some(first), Some(last)) = (months.first(), months.last()) else { return Ok(waterfall) };
    let sums = read(pool, *first, last.plus(1), known_at).await?;
    for sums in sums.chunk_by(|one, next| one.currency == next.currency) {
        let (mut opening, mut customers) = (amount_of(sums, None), counts_of(sums, None).joined());
        for month in months {
            let row = row(*month, sums, opening, customers);
            (opening, customers) = (row.closing, row.customers);
            waterfall.rows.push(row);
        }
    }
    Ok(waterfall)
}

/// The row of `month`, from the `sums` of one currency.
fn row(month: Month, sums: &[Sum], opening: i64, customers: i64) -> Row {
    let begin = Some(sums::day(month.begin()));
    let amount = |kind| of(sums, begin, kind).map(|sum| sum.amount).sum();
    let movements = counts_of(sums, begin);
    Row {
        currency: sums.first().map(|sum| sum.currency.clone()).unwrap_or_default(),
        month,
        opening,
        new: amount("new"),
        expansion: amount("expansion"),
        contraction: amount("contraction"),
        churn: amount("churn"),
        reactivation: amount("reactivation"),
        closing: opening + amount_of(sums, begin),
        movements,
        customers: customers + movements.joined(),
    }
}

fn of<'a>(sums: &'a [Sum], month: Option<Date>, kind: &'a str) -> impl Iterator<Item = &'a Sum> {
    sums.iter().filter(move |sum| sum.month == month && sum.kind == kind)
}

fn amount_of(sums: &[Sum], month: Option<Date>) -> i64 {
    sums.iter().filter(|sum| sum.month == month).map(|sum| sum.amount).sum()
}

fn counts_of(sums: &[Sum], month: Option<Date>) -> Counts {
    let count = |kind| of(sums, month, kind).map(|sum| sum.movements).sum();
    Counts {
        new: count("new"),
        expansion: count("expansion"),
        contraction: count("contraction"),
        churn: count("churn"),
        reactivation: count("reactivation"),
    }
}

/// The movements of one kind in one month, or in all time before the first.
#[derive(sqlx::FromRow)]
struct Sum {
    currency: String,
    /// Its first day.
    month: Option<Date>,
    kind: String,
    movements: i64,
    amount: i64,
}

/// By currency: from `first` on by month, and before it in one. `end`: the month after the last.
async fn read(
    pool: &PgPool,
    first: Month,
    end: Option<Month>,
    known_at: Option<OffsetDateTime>,
) -> Result<Vec<Sum>, sqlx::Error> {
    let mut query = QueryBuilder::new("select currency, case when day >= ");
    query.push_bind(sums::day(first.begin()));
    query.push(
        " then date_trunc('month', day::timestamp)::date end as month, kind, sum(movements)::bigint as movements,
                sum(amount)::bigint as amount
         from (",
    );
    sums::push(&mut query, known_at);
    query.push(") sums");
    if let Some(end) = end {
        query.push(" where day < ").push_bind(sums::day(end.begin()));
    }
    query.push(" group by 1, 2, 3 having (sum(movements), sum(amount)) <> (0, 0) order by 1");
    query.build_query_as().fetch_all(pool).await
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn months_are_twelve_unless_said_otherwise() {
        let now = datetime!(2026-03-15 12:00 UTC);
        let month = |text: &str| Some(text.parse().unwrap());
        let ends = |from, to| {
            months(from, to, now).map(|it| (it.len(), it[0].to_string(), it[it.len() - 1].to_string()))
        };
        let expected = |count, from: &str, to: &str| Ok((count, from.to_owned(), to.to_owned()));
        assert_eq!(ends(None, None), expected(12, "2025-04", "2026-03"));
        assert_eq!(ends(month("2026-03"), None), expected(1, "2026-03", "2026-03"));
        assert_eq!(ends(None, month("2024-01")), expected(12, "2023-02", "2024-01"));
        assert_eq!(ends(month("2016-04"), None), expected(120, "2016-04", "2026-03"));
        assert!(matches!(ends(month("2016-03"), None), Err(InvalidMonths::TooMany(..))));
        assert!(matches!(ends(month("2026-04"), None), Err(InvalidMonths::Backwards(..))));
    }
}
