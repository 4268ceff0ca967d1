//! The state of a customer at one moment of its history, and its value.

use std::collections::BTreeMap;

use super::ledger::MrrByCurrency;
use super::version::Version;
use crate::project::mrr::{self, Catalogue, Explanation, Mrr};
use crate::project::stripe::{Customer, Discount, StripeObject, Subscription};

/// The effective versions, each subscription with its value.
pub struct EffectiveState<'a> {
    catalogue: &'a mut Catalogue,
    customer: Option<Customer>,
    /// The customer's discounts as reported, including deleted ones.
    discounts: BTreeMap<String, Discount>,
    subscriptions: BTreeMap<String, (Subscription, Mrr)>,
}

/// The events that caused a step.
#[derive(Default)]
pub struct Causes {
    /// By currency, the event of a subscription whose own value changed.
    subscriptions: BTreeMap<String, String>,
    /// The event of something that subscriptions depend on.
    other: Option<String>,
}

impl Causes {
    /// The cause of a step in `currency`.
    pub fn of(&self, currency: &str) -> Option<String> {
        self.subscriptions.get(currency).or(self.other.as_ref()).cloned()
    }
}

impl<'a> EffectiveState<'a> {
    /// Starts empty. Discount terms from any of `versions` (the oldest first) are known from
    /// the beginning, but not their ends; invoices count from their own second on.
    pub fn new<'b>(catalogue: &'a mut Catalogue, versions: impl Iterator<Item = &'b Version>) -> Self {
        catalogue.newest_invoice_lines.clear();
        catalogue.discount_amounts.clear();
        let mut reported = BTreeMap::new();
        for version in versions {
            if let StripeObject::Discount(discount) = &version.state {
                reported
                    .entry(discount.id.clone())
                    .or_insert_with(|| Discount { deleted: false, ..discount.clone() });
            }
        }
        catalogue.discounts.extend(reported);
        Self { catalogue, customer: None, discounts: BTreeMap::new(), subscriptions: BTreeMap::new() }
    }

    /// Applies `version`, without valuing anything. Returns whether it can change the value of other
    /// objects.
    pub fn apply(&mut self, version: Version) -> bool {
        match version.state {
            StripeObject::Subscription(mut subscription) => {
                let former = self.subscriptions.remove(&subscription.id);
                let (former, mrr) = former.map_or_else(Default::default, |(it, mrr)| (Some(it), mrr));
                inherit_status(&mut subscription, former.as_ref());
                self.subscriptions.insert(subscription.id.clone(), (subscription, mrr));
                false
            }
            StripeObject::Discount(discount) => {
                self.catalogue.discounts.insert(discount.id.clone(), discount.clone());
                self.discounts.insert(discount.id.clone(), discount);
                true
            }
            StripeObject::Customer(customer) => {
                let shown = |customer: Option<&Customer>| customer.and_then(|it| it.discount.clone());
                let has_changed = shown(self.customer.as_ref()) != shown(Some(&customer));
                self.customer = Some(customer);
                has_changed
            }
            StripeObject::Invoice(invoice) => {
                if let Some(subscription) = invoice.subscription {
                    let amounts = &mut self.catalogue.discount_amounts;
                    amounts.entry(subscription.clone()).or_default().extend(invoice.discount_amounts);
                    if !invoice.recurring_lines.is_empty() {
                        self.catalogue.newest_invoice_lines.insert(subscription, invoice.recurring_lines);
                    }
                }
                true
            }
            _ => false,
        }
    }

    /// Applies the versions of one second and values what they change.
    pub fn apply_second(&mut self, versions: Vec<Version>, at: i64) -> Causes {
        let mut causes = Causes::default();
        let mut changed = BTreeMap::new();
        for version in versions {
            let (id, event_id) = (version.state.id().to_owned(), version.event_id.clone());
            let is_subscription = matches!(version.state, StripeObject::Subscription(_));
            if self.apply(version) {
                causes.other.get_or_insert(event_id);
            } else if is_subscription {
                changed.insert(id, event_id);
            }
        }
        let all_change = causes.other.is_some();
        let before: BTreeMap<_, _> = changed.keys().map(|id| (id.clone(), self.value_of(id))).collect();
        self.value_where(at, |id, mrr| {
            all_change || changed.contains_key(id) || mrr.changes_at.is_some_and(|moment| moment <= at)
        });
        for (id, event_id) in changed {
            let (before, after) = (&before[&id], self.value_of(&id));
            if *before != after {
                for (currency, _) in [before, &after].into_iter().flatten() {
                    causes.subscriptions.entry(currency.clone()).or_insert_with(|| event_id.clone());
                }
            }
        }
        causes
    }

    /// Values everything.
    pub fn value(&mut self, now: i64) {
        self.value_where(now, |_, _| true);
    }

    /// Explains the value of each subscription at `now`.
    pub fn explain(&self, now: i64) -> Vec<Explanation> {
        let discounts = self.customer_discounts();
        let subscriptions = self.subscriptions.values();
        subscriptions.map(|(it, _)| mrr::explain(it, &discounts, self.catalogue, now)).collect()
    }

    /// Values what the clock changes at `moment`.
    pub fn advance_to(&mut self, moment: i64) {
        self.value_where(moment, |_, mrr| mrr.changes_at.is_some_and(|change| change <= moment));
    }

    /// When the clock changes a value next.
    pub fn next_change(&self) -> Option<i64> {
        self.subscriptions.values().filter_map(|(_, mrr)| mrr.changes_at).min()
    }

    /// The total value by currency.
    pub fn sums(&self) -> MrrByCurrency {
        let mut sums = MrrByCurrency::new();
        for (_, mrr) in self.subscriptions.values().filter(|(_, mrr)| mrr.minor != 0) {
            let sum = sums.entry(mrr.currency.clone()).or_default();
            *sum = sum.saturating_add(mrr.minor);
        }
        sums
    }

    fn value_where(&mut self, now: i64, is_due: impl Fn(&str, &Mrr) -> bool) {
        let discounts = self.customer_discounts();
        for (id, (subscription, mrr)) in &mut self.subscriptions {
            if is_due(id, mrr) {
                *mrr = mrr::of_subscription(subscription, &discounts, self.catalogue, now);
            }
        }
    }

    /// The customer's effective discounts.
    fn customer_discounts(&self) -> Vec<Discount> {
        let reported: Vec<Discount> = self.discounts.values().cloned().collect();
        mrr::customer_discounts(self.customer.as_ref(), &reported)
    }

    /// The currency and the amount of a subscription, unless zero.
    fn value_of(&self, id: &str) -> Option<(String, i64)> {
        let (_, mrr) = self.subscriptions.get(id)?;
        (mrr.minor != 0).then(|| (mrr.currency.clone(), mrr.minor))
    }
}

/// An unknown status leaves the previous one effective.
fn inherit_status(subscription: &mut Subscription, former: Option<&Subscription>) {
    let Some(former) = former else { return };
    if subscription.effective_status().is_none() {
        subscription.known_status = former.effective_status().map(ToOwned::to_owned);
    }
}
