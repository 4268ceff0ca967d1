//! The tier of a subscription: `membership_tiers` belongs to the application and is only read.

use std::collections::{BTreeSet, HashMap};

use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::valuation::Valuation;
use crate::project::stripe::Subscription;

/// A tier of the application.
#[derive(Clone, Debug, FromRow)]
pub struct MembershipTier {
    pub id: Uuid,
    pub name: String,
    stripe_price_id: Option<String>,
    stripe_product_id: Option<String>,
}

#[derive(FromRow)]
struct PreexistingTier {
    subject: String,
    #[sqlx(flatten)]
    tier: MembershipTier,
}

/// The price of a subscription that decides its tier, and the tier.
pub(in crate::store) struct Choice {
    pub price: Option<String>,
    pub tier: Option<MembershipTier>,
}

/// Chooses the first item whose price a tier names, else whose product a tier names, else the first item.
pub(in crate::store) fn choose(subscription: &Subscription, tiers: &[MembershipTier]) -> Choice {
    let prices = || subscription.items.iter().map(|item| &item.price);
    let by_price = prices().find_map(|price| {
        Some((price, tiers.iter().find(|tier| tier.stripe_price_id.as_ref() == Some(&price.id))?))
    });
    let by_product = || {
        prices().find_map(|price| {
            let product = price.product.as_ref()?;
            Some((price, tiers.iter().find(|tier| tier.stripe_product_id.as_ref() == Some(product))?))
        })
    };
    match by_price.or_else(by_product) {
        Some((price, tier)) => Choice { price: Some(price.id.clone()), tier: Some(tier.clone()) },
        None => Choice { price: prices().next().map(|price| price.id.clone()), tier: None },
    }
}

/// The tiers that name a price or product of these subscriptions.
pub(in crate::store) async fn named(
    tx: &mut PgConnection,
    valuations: &[Valuation],
) -> Result<Vec<MembershipTier>, sqlx::Error> {
    let prices = || valuations.iter().flat_map(|one| &one.subscription.items).map(|item| &item.price);
    let ids: BTreeSet<&str> = prices().map(|price| price.id.as_str()).collect();
    let products: BTreeSet<&str> = prices().filter_map(|price| price.product.as_deref()).collect();
    sqlx::query_as(
        "select id, name, stripe_price_id, stripe_product_id from public.membership_tiers
         where stripe_price_id = any($1) or stripe_product_id = any($2) order by id",
    )
    .bind(ids.into_iter().collect::<Vec<_>>())
    .bind(products.into_iter().collect::<Vec<_>>())
    .fetch_all(tx)
    .await
}

/// The tiers of subscriptions in pre-existing rows: used if no tier names the price, which may no longer be
/// sold.
pub(in crate::store) async fn of_preexisting(
    tx: &mut PgConnection,
    subscriptions: impl Iterator<Item = &str>,
) -> Result<HashMap<String, MembershipTier>, sqlx::Error> {
    let subscriptions: Vec<&str> = subscriptions.collect();
    if subscriptions.is_empty() {
        return Ok(HashMap::new());
    }
    // `found`: an imported row (`Internal::ImportedSubscription`).
    let tiers: Vec<PreexistingTier> = sqlx::query_as(
        "select i.subject, t.id, t.name, t.stripe_price_id, t.stripe_product_id
         from ingest.events i
         join public.membership_tiers t on t.id::text = convert_from(i.body, 'UTF8')::jsonb ->> 'tier'
         where i.subject = any($1) and i.source = 'internal' and i.event_type = 'found'",
    )
    .bind(subscriptions)
    .fetch_all(tx)
    .await?;
    Ok(tiers.into_iter().map(|it| (it.subject, it.tier)).collect())
}
