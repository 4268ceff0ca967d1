//! The present values of customers' subscriptions, and when the clock changes them.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;

use crate::project::movements;
use crate::project::mrr::{self, Catalogue, Explanation, Mrr};
use crate::project::stripe::overdue::DueChange;
use crate::project::stripe::{Customer, Discount, StripeObject, Subscription};
use crate::store::from_unix_seconds;
use crate::store::resolve::catalogue;
use crate::store::resolve::versions::{self, LedgerFrom};

/// A subscription and its value.
#[derive(Clone, Debug)]
pub struct Valuation {
    /// Its present state.
    pub subscription: Subscription,
    /// Its value.
    pub mrr: Mrr,
    /// A change that Stripe announced and has not reported. Not Stripe's `past_due`.
    pub overdue: Option<DueChange>,
    /// Its customer was deleted, which ends it at Stripe, but no event has reported that.
    pub customer_deleted: bool,
    /// Whether it is parked for any reason.
    pub is_parked: bool,
}

/// The values of some customers' subscriptions, and the catalogue that they were valued with.
#[derive(Default)]
pub struct Valuations {
    /// Each subscription with its value.
    pub subscriptions: Vec<Valuation>,
    /// Prices, coupons and discounts.
    pub catalogue: Catalogue,
}

/// Values the subscriptions of `customers`, and stores when the clock changes the values next.
/// `next_changes`: when it does according to the database.
pub async fn value(
    tx: &mut PgConnection,
    customers: &BTreeSet<String>,
    next_changes: &HashMap<String, OffsetDateTime>,
    now: OffsetDateTime,
) -> Result<Valuations, sqlx::Error> {
    if customers.is_empty() {
        return Ok(Valuations::default());
    }
    let Inputs { subscriptions, discounts, reported_until, deleted, parked, catalogue } =
        load(tx, customers).await?;
    let subscriptions: Vec<Valuation> = subscriptions
        .into_iter()
        .map(|subscription| {
            let discounts = discounts.get(&subscription.customer).map_or(&[][..], Vec::as_slice);
            let is_parked = parked.contains(&subscription.id);
            let customer_deleted = deleted.contains(&subscription.customer) && !subscription.is_over();
            // Its items are not known: it has no value until Stripe reports it.
            if subscription.is_unreported_import {
                let mrr = Mrr::default();
                return Valuation { subscription, mrr, overdue: None, customer_deleted, is_parked };
            }
            let now = valuation_time(&reported_until, &subscription, now);
            let mrr = mrr::of_subscription(&with_effective_status(&subscription), discounts, &catalogue, now);
            let overdue = subscription.next_due_change().filter(|change| change.overdue_from() <= now);
            Valuation { subscription, mrr, overdue, customer_deleted, is_parked }
        })
        .collect();
    store_next_changes(tx, customers, next_changes, &subscriptions).await?;
    Ok(Valuations { subscriptions, catalogue })
}

/// Explains the present value of each of the customers' subscriptions.
pub async fn explain(
    tx: &mut PgConnection,
    customers: &BTreeSet<String>,
    now: OffsetDateTime,
) -> Result<Vec<Explanation>, sqlx::Error> {
    let Inputs { subscriptions, discounts, reported_until, catalogue, .. } = load(tx, customers).await?;
    let explained = subscriptions.iter().map(|subscription| {
        let discounts = discounts.get(&subscription.customer).map_or(&[][..], Vec::as_slice);
        mrr::explain(subscription, discounts, &catalogue, valuation_time(&reported_until, subscription, now))
    });
    Ok(explained.collect())
}

/// Explains the value that each of the customers' subscriptions had at `at`, by the versions of then, as they are known now.
/// Prices and coupons have the terms of today, as in the ledger.
pub async fn explain_at(
    tx: &mut PgConnection,
    customers: &BTreeSet<String>,
    at: OffsetDateTime,
) -> Result<Vec<Explanation>, sqlx::Error> {
    let at = at.unix_timestamp();
    let later: LedgerFrom = customers.iter().map(|customer| (customer.clone(), at + 1)).collect();
    let (histories, mut catalogue) = versions::load(tx, &later, Catalogue::default()).await?;
    let histories = histories.into_values();
    Ok(histories.flat_map(|history| movements::explain(history, &mut catalogue, at)).collect())
}

/// The input of the valuation of some customers.
#[derive(Default)]
struct Inputs {
    subscriptions: Vec<Subscription>,
    /// By customer: customer-level discounts.
    discounts: HashMap<String, Vec<Discount>>,
    /// By customer: the latest second that is reported.
    reported_until: HashMap<String, i64>,
    /// Customers that are deleted.
    deleted: HashSet<String>,
    /// Subscriptions that are parked for any reason.
    parked: HashSet<String>,
    catalogue: Catalogue,
}

/// Now, or the latest second reported if a provider's clock is ahead of ours.
fn valuation_time(
    reported_until: &HashMap<String, i64>,
    subscription: &Subscription,
    now: OffsetDateTime,
) -> i64 {
    let reported = reported_until.get(&subscription.customer).copied().unwrap_or_default();
    now.unix_timestamp().max(reported)
}

async fn load(tx: &mut PgConnection, customers: &BTreeSet<String>) -> Result<Inputs, sqlx::Error> {
    let mut inputs = load_facts(tx, customers).await?;
    let subscriptions: Vec<&Subscription> = inputs.subscriptions.iter().collect();
    let discounts: Vec<&Discount> = inputs.discounts.values().flatten().collect();
    inputs.catalogue = catalogue::load(tx, Catalogue::default(), &subscriptions, &discounts).await?;
    Ok(inputs)
}

/// The subscription with its effective status: the last known one if Stripe's is unknown.
fn with_effective_status(subscription: &Subscription) -> Subscription {
    let mut subscription = subscription.clone();
    if let Some(known) = &subscription.known_status {
        subscription.status.clone_from(known);
    }
    subscription
}

#[derive(FromRow)]
struct LoadedFact {
    state: Json<StripeObject>,
    customer_id: String,
    occurred_at: OffsetDateTime,
    is_parked: bool,
}

/// What was reported of a customer's discounts: by the customer, and as discounts.
#[derive(Default)]
struct ReportedDiscounts {
    customer: Option<Customer>,
    discounts: Vec<Discount>,
}

/// Loads all inputs but the catalogue.
async fn load_facts(tx: &mut PgConnection, customers: &BTreeSet<String>) -> Result<Inputs, sqlx::Error> {
    let facts: Vec<LoadedFact> = sqlx::query_as(
        "select f.state, f.customer_id, f.occurred_at,
                (select true from parked p where p.subject = f.id limit 1) is not null as is_parked
         from unnest($1::text[]) as c (id)
         cross join lateral (
             select * from stripe_facts f
             where f.customer_id = c.id and f.kind in ('subscription', 'customer', 'discount')
             offset 0
         ) f
         order by f.id",
    )
    .bind(customers.iter().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let mut inputs = Inputs::default();
    let mut reported = HashMap::<String, ReportedDiscounts>::new();
    for LoadedFact { state: Json(state), customer_id, occurred_at, is_parked } in facts {
        let until = inputs.reported_until.entry(customer_id).or_default();
        *until = occurred_at.unix_timestamp().max(*until);
        match state {
            StripeObject::Subscription(subscription) => {
                if is_parked {
                    inputs.parked.insert(subscription.id.clone());
                }
                inputs.subscriptions.push(subscription);
            }
            StripeObject::Discount(discount) => {
                if let Some(customer) = discount.customer.clone() {
                    reported.entry(customer).or_default().discounts.push(discount);
                }
            }
            StripeObject::Customer(customer) => {
                let id = customer.id.clone();
                if customer.deleted {
                    inputs.deleted.insert(id.clone());
                }
                reported.entry(id).or_default().customer = Some(customer);
            }
            _ => {}
        }
    }
    let discounts = reported.into_iter().map(|(id, it)| {
        let discounts = mrr::customer_discounts(it.customer.as_ref(), &it.discounts);
        (id, discounts)
    });
    inputs.discounts = discounts.collect();
    Ok(inputs)
}

/// When the clock next changes the values of `customers`.
pub(in crate::store) async fn load_next_changes(
    tx: &mut PgConnection,
    customers: &BTreeSet<String>,
) -> Result<HashMap<String, OffsetDateTime>, sqlx::Error> {
    if customers.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, OffsetDateTime)> = sqlx::query_as(
        "select id, recompute_at from customers where id = any($1) and recompute_at is not null",
    )
    .bind(customers.iter().map(String::as_str).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Stores when the clock next changes the values of `customers`, where that differs from `next_changes`.
async fn store_next_changes(
    tx: &mut PgConnection,
    customers: &BTreeSet<String>,
    next_changes: &HashMap<String, OffsetDateTime>,
    valuations: &[Valuation],
) -> Result<(), sqlx::Error> {
    let mut next = HashMap::<&str, i64>::new();
    for one in valuations {
        let overdue_from = match one.overdue {
            None if !one.subscription.is_unreported_import => {
                one.subscription.next_due_change().map(DueChange::overdue_from)
            }
            _ => None,
        };
        for at in one.mrr.changes_at.into_iter().chain(overdue_from) {
            next.entry(&one.subscription.customer)
                .and_modify(|earliest| *earliest = at.min(*earliest))
                .or_insert(at);
        }
    }
    let at = |id: &String| next.get(id.as_str()).map(|at| from_unix_seconds(*at));
    let changed: Vec<&String> =
        customers.iter().filter(|id| at(id) != next_changes.get(id.as_str()).copied()).collect();
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update customers c set recompute_at = n.at
         from unnest($1::text[], $2::timestamptz[]) as n (id, at)
         where c.id = n.id and c.recompute_at is distinct from n.at",
    )
    .bind(changed.iter().map(|id| id.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|id| at(id)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
