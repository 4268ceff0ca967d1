//! `customer_revenue`: each customer's sums by currency.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{FromRow, PgConnection};

use crate::store::resolve::payments::Sums;

/// The sums by customer and currency.
pub type SumsByCustomer = BTreeMap<(String, String), Sums>;

#[derive(FromRow)]
struct CustomerRevenue {
    customer_id: String,
    currency: String,
    mrr: i64,
    collected: i64,
    refunded: i64,
    disputed: i64,
}

/// The sums of `customers`.
pub async fn load(
    tx: &mut PgConnection,
    customers: &BTreeSet<String>,
) -> Result<SumsByCustomer, sqlx::Error> {
    if customers.is_empty() {
        return Ok(SumsByCustomer::new());
    }
    let rows: Vec<CustomerRevenue> = sqlx::query_as(
        "select customer_id, currency, mrr, collected, refunded, disputed
         from customer_revenue where customer_id = any($1)",
    )
    .bind(customers.iter().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let revenue = rows.into_iter().map(|row| {
        let CustomerRevenue { customer_id, currency, mrr, collected, refunded, disputed } = row;
        ((customer_id, currency), Sums { mrr, collected, refunded, disputed })
    });
    Ok(revenue.collect())
}

/// The difference between what the sums were and what they are.
pub struct ChangedSums<'a> {
    /// Those that are new or differ.
    pub written: Vec<(&'a (String, String), &'a Sums)>,
    /// The customers and currencies without any sum now: one that only a superseded event named must leave no trace.
    pub ended: Vec<&'a (String, String)>,
}

impl<'a> ChangedSums<'a> {
    /// `after` holds no zeros.
    #[must_use]
    pub fn between(before: &'a SumsByCustomer, after: &'a SumsByCustomer) -> Self {
        Self {
            written: after.iter().filter(|(key, sums)| before.get(key) != Some(sums)).collect(),
            ended: before.keys().filter(|key| !after.contains_key(*key)).collect(),
        }
    }
}

/// Deletes the sums of these customers in these currencies.
pub async fn delete(tx: &mut PgConnection, ended: &[&(String, String)]) -> Result<(), sqlx::Error> {
    if ended.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "delete from customer_revenue r using unnest($1::text[], $2::text[]) as g (customer_id, currency)
         where r.customer_id = g.customer_id and r.currency = g.currency",
    )
    .bind(ended.iter().map(|key| key.0.as_str()).collect::<Vec<_>>())
    .bind(ended.iter().map(|key| key.1.as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Sums all payments by customer and currency, into an empty table.
pub async fn sum_payments(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into customer_revenue (customer_id, currency, collected, refunded, disputed)
         select customer_id, currency, sum(collected), sum(refunded), sum(disputed) from payments
         group by customer_id, currency
         having (sum(collected), sum(refunded), sum(disputed)) <> (0, 0, 0)",
    )
    .execute(tx)
    .await?;
    Ok(())
}
