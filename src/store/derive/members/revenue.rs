//! The rows of `user_revenue_metrics` and `user_revenue_by_currency`, and the customers' sums that they add up.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::{MemberInputs, MemberSummary};
use crate::project::member::{self, CurrencyRevenue};
use crate::store::derive::customer_revenue;

/// The revenue of each user with sums, by currency.
fn revenue(inputs: &MemberInputs<'_>) -> BTreeMap<Uuid, Vec<CurrencyRevenue>> {
    let mut by_user = BTreeMap::<Uuid, BTreeMap<&str, CurrencyRevenue>>::new();
    for ((customer, currency), sums) in inputs.sums {
        let Some(user) = inputs.owners.get(customer) else { continue };
        let revenue = by_user.entry(*user).or_default().entry(currency).or_default();
        revenue.currency.clone_from(currency);
        revenue.mrr = revenue.mrr.saturating_add(sums.mrr);
        revenue.total_spent = revenue.total_spent.saturating_add(sums.collected);
        let kept = sums.collected.saturating_sub(sums.refunded).saturating_sub(sums.disputed);
        revenue.ltv = revenue.ltv.saturating_add(kept);
    }
    by_user.into_iter().map(|(user, by_currency)| (user, by_currency.into_values().collect())).collect()
}

/// Writes the customers' sums and the revenue of those who have a customer, and deletes that of members who have none.
pub(super) async fn write(
    tx: &mut PgConnection,
    inputs: &MemberInputs<'_>,
    summaries: &BTreeMap<Uuid, MemberSummary>,
) -> Result<(), sqlx::Error> {
    let MemberInputs { complete, payment_only, changed_sums, .. } = inputs;
    customer_revenue::delete(tx, &changed_sums.ended).await?;
    let sums = &changed_sums.written;
    if complete.is_empty() && payment_only.is_empty() && sums.is_empty() {
        return Ok(());
    }
    let revenue = revenue(inputs);
    let with_customer: BTreeSet<Uuid> = inputs.owners.values().copied().collect();
    let without: Vec<Uuid> = complete.difference(&with_customer).copied().collect();
    let all: Vec<Uuid> = complete.union(payment_only).copied().collect();
    let users: Vec<Uuid> = all.iter().copied().filter(|user| with_customer.contains(user)).collect();
    let none = MemberSummary::default();
    let summary = || users.iter().map(|user| &summaries.get(user).unwrap_or(&none).summary);
    let main =
        || users.iter().map(|user| member::main_currency(revenue.get(user).map_or(&[][..], Vec::as_slice)));
    let currency = users.iter().zip(main()).map(|(user, main)| {
        main.map(|main| main.currency.clone())
            .or_else(|| summaries.get(user).and_then(|it| it.currency.clone()))
    });
    let by_currency: Vec<(Uuid, &CurrencyRevenue)> =
        revenue.iter().flat_map(|(user, all)| all.iter().map(|one| (*user, one))).collect();
    sqlx::query(WRITE_REVENUE)
        .bind(&users)
        .bind(summary().map(|s| s.subscription_tier.as_deref()).collect::<Vec<_>>())
        .bind(summary().map(|s| s.subscription_status.as_deref()).collect::<Vec<_>>())
        .bind(summary().map(|s| s.subscription_start_date).collect::<Vec<_>>())
        .bind(summary().map(|s| s.months_subscribed.unwrap_or(0)).collect::<Vec<_>>())
        .bind(main().map(|r| r.map_or(0, |r| r.mrr)).collect::<Vec<_>>())
        .bind(main().map(|r| r.map_or(0, |r| r.ltv)).collect::<Vec<_>>())
        .bind(main().map(|r| r.map_or(0, |r| r.total_spent)).collect::<Vec<_>>())
        .bind(currency.collect::<Vec<_>>())
        .bind(users.iter().map(|user| payment_only.contains(user)).collect::<Vec<_>>())
        .bind(inputs.context.now)
        .bind(&without)
        .bind(&all)
        .bind(by_currency.iter().map(|row| row.0).collect::<Vec<_>>())
        .bind(by_currency.iter().map(|row| row.1.currency.as_str()).collect::<Vec<_>>())
        .bind(by_currency.iter().map(|row| row.1.mrr).collect::<Vec<_>>())
        .bind(by_currency.iter().map(|row| row.1.ltv).collect::<Vec<_>>())
        .bind(by_currency.iter().map(|row| row.1.total_spent).collect::<Vec<_>>())
        .bind(sums.iter().map(|(key, _)| key.0.as_str()).collect::<Vec<_>>())
        .bind(sums.iter().map(|(key, _)| key.1.as_str()).collect::<Vec<_>>())
        .bind(sums.iter().map(|(_, sums)| sums.mrr).collect::<Vec<_>>())
        .bind(sums.iter().map(|(_, sums)| sums.collected).collect::<Vec<_>>())
        .bind(sums.iter().map(|(_, sums)| sums.refunded).collect::<Vec<_>>())
        .bind(sums.iter().map(|(_, sums)| sums.disputed).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// All three tables at once. If only payments of a member were reported (`payment_only`), the subscription columns stay; where
/// somebody has deleted the row since it was loaded, it stays deleted, and the next event derives it completely.
const WRITE_REVENUE: &str = "
    with sums as (
        insert into customer_revenue (customer_id, currency, mrr, collected, refunded, disputed)
        select * from unnest($19::text[], $20::text[], $21::bigint[], $22::bigint[], $23::bigint[], $24::bigint[])
        on conflict (customer_id, currency) do update set
            mrr = excluded.mrr, collected = excluded.collected, refunded = excluded.refunded,
            disputed = excluded.disputed
    ), gone as (
        delete from user_revenue_metrics where user_id = any($12)
    ), gone_currencies as (
        delete from user_revenue_by_currency m where m.user_id = any($13)
          and (m.user_id, m.currency) not in (select * from unnest($14::uuid[], $15::text[]))
    ), currencies as (
        insert into user_revenue_by_currency as m (user_id, currency, mrr, ltv, total_spent, updated_at)
        select n.*, $11 from unnest($14::uuid[], $15::text[], $16::bigint[], $17::bigint[], $18::bigint[]) as n
        on conflict (user_id, currency) do update set
            mrr = excluded.mrr, ltv = excluded.ltv, total_spent = excluded.total_spent,
            updated_at = excluded.updated_at
        where (m.mrr, m.ltv, m.total_spent) is distinct from (excluded.mrr, excluded.ltv, excluded.total_spent)
    )
    insert into user_revenue_metrics as m
        (user_id, subscription_tier, subscription_status, subscription_start_date, months_subscribed,
         mrr, ltv, total_spent, currency, last_calculated_at, updated_at)
    select n.user_id, case when n.payment_only then o.subscription_tier else n.tier end,
           case when n.payment_only then o.subscription_status else n.status end,
           case when n.payment_only then o.subscription_start_date else n.start_date end,
           case when n.payment_only then o.months_subscribed else n.months end,
           n.mrr, n.ltv, n.total_spent, n.currency, $11, $11
    from unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::int[], $6::bigint[], $7::bigint[],
                $8::bigint[], $9::text[], $10::bool[])
        as n (user_id, tier, status, start_date, months, mrr, ltv, total_spent, currency, payment_only)
    left join lateral (
        select * from user_revenue_metrics o where o.user_id = n.user_id and n.payment_only limit 1
    ) o on true
    where o.user_id is not null or not n.payment_only
    on conflict (user_id) do update set
        subscription_tier = excluded.subscription_tier, subscription_status = excluded.subscription_status,
        subscription_start_date = excluded.subscription_start_date,
        months_subscribed = excluded.months_subscribed, mrr = excluded.mrr, ltv = excluded.ltv,
        total_spent = excluded.total_spent, currency = excluded.currency,
        last_calculated_at = excluded.last_calculated_at, updated_at = excluded.updated_at
    where (m.subscription_tier, m.subscription_status, m.subscription_start_date, m.months_subscribed, m.mrr,
           m.ltv, m.total_spent, m.currency)
        is distinct from
          (excluded.subscription_tier, excluded.subscription_status, excluded.subscription_start_date,
           excluded.months_subscribed, excluded.mrr, excluded.ltv, excluded.total_spent, excluded.currency)";
