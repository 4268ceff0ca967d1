//! The ledger as it truly was: the customer's worth at every second at which anything could change it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::state::{NOW, Simulation};
use super::super::stripe_sim::objects::{Discount, Subscription};
use super::mrr::{self, Scene, Worth};

/// What `it` is worth at `now`, where that is how it was then.
pub fn worth_at(simulation: &Simulation, it: &Subscription, now: i64) -> Worth {
    let discounts = simulation.stripe.past_discounts.get(&it.customer).map_or(&[][..], Vec::as_slice);
    let discount = discounts.iter().rfind(|(at, _)| *at <= now).and_then(|(_, discount)| discount.as_ref());
    let invoices = simulation.stripe.invoices.values();
    let of_subscription = |one: &&super::super::stripe_sim::objects::Invoice| {
        one.subscription.as_ref() == Some(&it.id) && one.created <= now
    };
    let prices = &simulation.stripe.prices;
    mrr::worth(it, &Scene { now, discount, invoices: invoices.filter(of_subscription).collect(), prices })
}

/// The movements of one customer, as lines.
pub fn all(simulation: &Simulation, customer: &str) -> Vec<String> {
    let subscriptions: Vec<&Vec<(i64, Subscription)>> = simulation
        .stripe
        .past
        .iter()
        .filter(|(id, _)| simulation.stripe.subscriptions[*id].customer == customer)
        .map(|(_, past)| past)
        .collect();
    let mut lines = Vec::new();
    let mut before: BTreeMap<String, i64> = BTreeMap::new();
    let mut ever: BTreeSet<String> = BTreeSet::new();
    for at in seconds(simulation, customer, &subscriptions) {
        let mut after: BTreeMap<String, i64> = before.keys().map(|currency| (currency.clone(), 0)).collect();
        for past in &subscriptions {
            if let Some((_, then)) = past.iter().rfind(|(since, _)| *since <= at) {
                *after.entry(then.currency.clone()).or_default() += worth_at(simulation, then, at).minor;
            }
        }
        for (currency, now) in &after {
            let was = before.get(currency).copied().unwrap_or_default();
            let kind = match (was, *now) {
                (was, now) if was == now => continue,
                (0, _) if ever.insert(currency.clone()) => "new",
                (0, _) => "reactivation",
                (_, 0) => "churn",
                (was, now) if now > was => "expansion",
                _ => "contraction",
            };
            lines.push(format!(
                "currency={currency} at={at} kind={kind} delta={} mrr={was}..{now}",
                now - was
            ));
        }
        before = after;
    }
    lines
}

/// Every second at which something happened, or ended by the clock.
fn seconds(
    simulation: &Simulation,
    customer: &str,
    subscriptions: &[&Vec<(i64, Subscription)>],
) -> BTreeSet<i64> {
    let mut seconds = BTreeSet::new();
    let ends = |discounts: &[Discount]| discounts.iter().filter_map(|it| it.end).collect::<Vec<_>>();
    for (at, it) in subscriptions.iter().copied().flatten() {
        seconds.insert(*at);
        seconds.extend(ends(&it.discounts));
        for item in &it.items {
            seconds.extend(item.trial_end);
            seconds.extend(ends(&item.discounts));
        }
    }
    for (at, discount) in simulation.stripe.past_discounts.get(customer).into_iter().flatten() {
        seconds.insert(*at);
        seconds.extend(discount.as_ref().and_then(|it| it.end));
    }
    let invoices = simulation.stripe.invoices.values().filter(|it| it.customer == customer);
    seconds.extend(invoices.map(|it| it.created));
    seconds.retain(|at| *at <= NOW);
    seconds
}
