//! The monthly waterfall: how the MRR of one month became that of the next.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::PgPool;
use time::OffsetDateTime;

use super::{DEFINITION, Month, believed};

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
    pub definition: &'static str,
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
    pub currency: String,
    #[schema(value_type = String, example = "2026-03")]
    pub month: Month,
    pub opening: i64,
    pub new: i64,
    pub expansion: i64,
    pub contraction: i64,
    pub churn: i64,
    pub reactivation: i64,
    pub closing: i64,
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
///
/// # Errors
/// The database does not answer.
pub async fn waterfall(
    pool: &PgPool,
    months: &[Month],
    known_at: Option<OffsetDateTime>,
) -> Result<Waterfall, sqlx::Error> {
    let mut waterfall = Waterfall { definition: DEFINITION, known_at, rows: Vec::new() };
    let (Some(first), Some(last)) = (months.first(), months.last()) else { return Ok(waterfall) };
    let sums: Vec<Sum> = sqlx::query_as(SUMS)
        .bind(known_at)
        .bind(first.begin())
        .bind(last.plus(1).map(Month::begin))
        .fetch_all(pool)
        .await?;
    let mut currencies = BTreeMap::<String, Vec<Sum>>::new();
    for sum in sums {
        currencies.entry(sum.currency.clone()).or_default().push(sum);
    }
    for (currency, sums) in currencies {
        let before = sums.iter().filter(|sum| sum.month.is_none());
        let mut opening = before.map(|sum| sum.delta).sum();
        for month in months {
            let row = row(&currency, *month, opening, &sums);
            opening = row.closing;
            waterfall.rows.push(row);
        }
    }
    Ok(waterfall)
}

fn row(currency: &str, month: Month, opening: i64, sums: &[Sum]) -> Row {
    let of_month = || sums.iter().filter(|sum| sum.month.is_some_and(|begin| begin == month.begin()));
    let of = |kind| of_month().filter(|sum| sum.kind == kind).map(|sum| sum.delta).sum();
    Row {
        currency: currency.to_owned(),
        month,
        opening,
        new: of("new"),
        expansion: of("expansion"),
        contraction: of("contraction"),
        churn: of("churn"),
        reactivation: of("reactivation"),
        closing: opening + of_month().map(|sum| sum.delta).sum::<i64>(),
    }
}

/// The movements of one kind in one month, or in all time before the first.
#[derive(sqlx::FromRow)]
struct Sum {
    currency: String,
    month: Option<OffsetDateTime>,
    kind: String,
    delta: i64,
}

const SUMS: &str = concat!(
    "select currency,
            case when effective_at >= $2 then date_trunc('month', effective_at, 'UTC') end as month,
            kind, sum(delta)::bigint as delta
     from public.mrr_movements
     where ($3::timestamptz is null or effective_at < $3) and ",
    believed!(),
    " group by 1, 2, 3"
);

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
