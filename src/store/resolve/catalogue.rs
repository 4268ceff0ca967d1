//! What the values of subscriptions depend on: prices, coupons, discounts, invoice lines.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::PgConnection;
use sqlx::types::Json;

use super::facts::ChangedObject;
use crate::project::mrr::{self, Catalogue};
use crate::project::stripe::{Discount, InvoiceLine, Price, StripeObject, Subscription};

/// Loads what `subscriptions` and customer-level `discounts` depend on. Terms that are `loaded` are not read
/// again.
pub async fn load(
    tx: &mut PgConnection,
    loaded: Catalogue,
    subscriptions: &[&Subscription],
    discounts: &[&Discount],
) -> Result<Catalogue, sqlx::Error> {
    let mut catalogue =
        Catalogue { newest_invoice_lines: HashMap::new(), discount_amounts: HashMap::new(), ..loaded };
    let wanted: BTreeSet<String> = subscriptions
        .iter()
        .flat_map(|subscription| mrr::dependencies(subscription))
        .chain(
            discounts
                .iter()
                .filter_map(|discount| mrr::coupon_without_terms(discount))
                .map(ToOwned::to_owned),
        )
        .collect();
    fetch(tx, &mut catalogue, wanted).await?;
    let coupons =
        catalogue.discounts.values().filter_map(mrr::coupon_without_terms).map(ToOwned::to_owned).collect();
    fetch(tx, &mut catalogue, coupons).await?;
    let without_amounts =
        subscriptions.iter().filter(|subscription| mrr::needs_lines(subscription, &catalogue));
    let customers: BTreeSet<&str> =
        without_amounts.map(|subscription| subscription.customer.as_str()).collect();
    newest_invoice_lines(tx, &mut catalogue, customers).await?;
    let customers = customers_needing_discount_amounts(subscriptions, discounts, &catalogue);
    discount_amounts(tx, &mut catalogue, customers).await?;
    Ok(catalogue)
}

/// The customers of those `subscriptions` for which only invoices show the amount of a discount: their own,
/// or one of the customer-level `discounts`.
#[must_use]
pub fn customers_needing_discount_amounts<'a>(
    subscriptions: &[&'a Subscription],
    discounts: &[&Discount],
    catalogue: &Catalogue,
) -> BTreeSet<&'a str> {
    let mut by_customer = HashMap::<&str, Vec<&Discount>>::new();
    for discount in discounts {
        let customer = discount.customer.as_deref().unwrap_or_default();
        by_customer.entry(customer).or_default().push(discount);
    }
    let needs = |subscription: &&&Subscription| {
        let of_customer = by_customer.get(subscription.customer.as_str()).map_or(&[][..], Vec::as_slice);
        mrr::needs_discount_amounts(subscription, of_customer, catalogue)
    };
    subscriptions.iter().filter(needs).map(|subscription| subscription.customer.as_str()).collect()
}

async fn fetch(
    tx: &mut PgConnection,
    catalogue: &mut Catalogue,
    mut ids: BTreeSet<String>,
) -> Result<(), sqlx::Error> {
    let Catalogue { prices, coupons, discounts, .. } = &*catalogue;
    ids.retain(|id| !(prices.contains_key(id) || coupons.contains_key(id) || discounts.contains_key(id)));
    if ids.is_empty() {
        return Ok(());
    }
    let states: Vec<Json<StripeObject>> =
        sqlx::query_scalar("select state from stripe_facts where id = any($1)")
            .bind(ids.into_iter().collect::<Vec<_>>())
            .fetch_all(tx)
            .await?;
    for Json(state) in states {
        match state {
            StripeObject::Price(price) => drop(catalogue.prices.insert(price.id.clone(), price)),
            StripeObject::Coupon(coupon) => drop(catalogue.coupons.insert(coupon.id.clone(), coupon)),
            StripeObject::Discount(discount) => {
                drop(catalogue.discounts.insert(discount.id.clone(), discount));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The newest invoice's lines of each subscription of `customers`: read only if no price shows what an item
/// costs.
async fn newest_invoice_lines(
    tx: &mut PgConnection,
    catalogue: &mut Catalogue,
    customers: BTreeSet<&str>,
) -> Result<(), sqlx::Error> {
    if customers.is_empty() {
        return Ok(());
    }
    let lines: Vec<(String, Json<Vec<InvoiceLine>>)> = sqlx::query_as(
        "select distinct on (state ->> 'subscription') state ->> 'subscription', state -> 'last_lines'
         from stripe_facts
         where customer_id = any($1) and kind = 'invoice' and state ->> 'subscription' is not null
           and jsonb_array_length(state -> 'last_lines') > 0
         order by state ->> 'subscription', (state ->> 'created')::bigint desc, id desc",
    )
    .bind(customers.into_iter().collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    catalogue.newest_invoice_lines =
        lines.into_iter().map(|(subscription, Json(lines))| (subscription, lines)).collect();
    Ok(())
}

/// What each discount took off the newest invoice that shows it, of each subscription of `customers`.
async fn discount_amounts(
    tx: &mut PgConnection,
    catalogue: &mut Catalogue,
    customers: BTreeSet<&str>,
) -> Result<(), sqlx::Error> {
    if customers.is_empty() {
        return Ok(());
    }
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "select distinct on (f.state ->> 'subscription', taken.key)
                f.state ->> 'subscription', taken.key, taken.value::bigint
         from stripe_facts f cross join lateral jsonb_each_text(f.state -> 'discount_amounts') as taken
         where f.customer_id = any($1) and f.kind = 'invoice' and f.state ->> 'subscription' is not null
         order by f.state ->> 'subscription', taken.key, (f.state ->> 'created')::bigint desc, f.id desc",
    )
    .bind(customers.into_iter().collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    for (subscription, discount, amount) in rows {
        catalogue.discount_amounts.entry(subscription).or_default().insert(discount, amount);
    }
    Ok(())
}

/// The catalogue ids that `state` depends on, stored as links so that its dependents can be found.
#[must_use]
pub fn links(state: &StripeObject) -> Vec<(String, String)> {
    let dependencies = match state {
        StripeObject::Subscription(subscription) => mrr::dependencies(subscription),
        StripeObject::Discount(discount) => coupon_without_terms(Some(discount)),
        StripeObject::Customer(customer) => coupon_without_terms(customer.discount.as_ref()),
        _ => Vec::new(),
    };
    dependencies.into_iter().map(|dependency| (dependency, state.id().to_owned())).collect()
}

fn coupon_without_terms(discount: Option<&Discount>) -> Vec<String> {
    discount.and_then(mrr::coupon_without_terms).map(ToOwned::to_owned).into_iter().collect()
}

/// The customers whose subscriptions depend on `changed` prices, coupons or discounts.
pub async fn dependents(
    tx: &mut PgConnection,
    changed: &BTreeMap<String, ChangedObject>,
) -> Result<Vec<String>, sqlx::Error> {
    let entries: Vec<&str> = changed
        .iter()
        .filter(|(_, fact)| match &fact.after {
            StripeObject::Price(price) => has_other_terms(fact.before.as_ref(), price),
            StripeObject::Coupon(_) | StripeObject::Discount(_) => true,
            _ => false,
        })
        .map(|(id, _)| id.as_str())
        .collect();
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_scalar(
        "select distinct coalesce(f.customer_id, f.id) from stripe_links l
         join stripe_facts f on f.id = l.other
         where l.id = any($1) and f.kind in ('subscription', 'discount', 'customer')",
    )
    .bind(entries)
    .fetch_all(tx)
    .await
}

/// Whether the terms of a price changed: many subscriptions may depend on it, and a new name does not affect
/// them.
fn has_other_terms(before: Option<&StripeObject>, price: &Price) -> bool {
    let terms = |price: &Price| Price { nickname: None, product: None, ..price.clone() };
    !matches!(before, Some(StripeObject::Price(before)) if terms(before) == terms(price))
}
