//! Pre-existing rows of `customer_subscriptions`, as imported.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::subscriptions::SubscriptionWithTier;

/// Assigns the rows of subscriptions that no event has reported to their customers' users (`owners`). Returns
/// those whose row was deleted with a former user and must be inserted again.
pub(in crate::store) async fn reassign<'a>(
    tx: &mut PgConnection,
    preexisting: Vec<&'a SubscriptionWithTier>,
    owners: &HashMap<String, Uuid>,
) -> Result<Vec<&'a SubscriptionWithTier>, sqlx::Error> {
    let owner =
        |with_tier: &SubscriptionWithTier| owners.get(&with_tier.valuation.subscription.customer).copied();
    let owned: Vec<(&SubscriptionWithTier, Uuid)> =
        preexisting.into_iter().filter_map(|with_tier| Some((with_tier, owner(with_tier)?))).collect();
    if owned.is_empty() {
        return Ok(Vec::new());
    }
    let with_row: Vec<String> = sqlx::query_scalar(
        "with owned as (
             select s.id, s.stripe_subscription_id, n.user_id
             from unnest($1::text[], $2::uuid[]) as n (subscription, user_id)
             join customer_subscriptions s on s.stripe_subscription_id = n.subscription
         ), moved as (
             update customer_subscriptions s set user_id = o.user_id from owned o
             where s.id = o.id and s.user_id <> o.user_id
         )
         select stripe_subscription_id from owned",
    )
    .bind(owned.iter().map(|(with_tier, _)| with_tier.valuation.subscription.id.as_str()).collect::<Vec<_>>())
    .bind(owned.iter().map(|(_, user)| *user).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let is_missing =
        |with_tier: &&SubscriptionWithTier| !with_row.contains(&with_tier.valuation.subscription.id);
    Ok(owned.into_iter().map(|(with_tier, _)| with_tier).filter(is_missing).collect())
}
