//! Subscriptions, from the first attempt to the end.

use super::super::shapes::Era;
use super::super::state::Simulation;
use super::objects::{Item, Price, Subscription};

const UPDATED: &[&str] = &["customer.subscription.updated"];
const DAY: i64 = 86_400;

impl Simulation {
    pub fn subscriptions_of(&self, customer: &str) -> Vec<String> {
        let all = self.stripe.subscriptions.values();
        all.filter(|it| it.customer == customer && it.ended_at.is_none()).map(|it| it.id.clone()).collect()
    }

    /// A subscription that has not ended, of a customer who is there.
    pub fn running(&mut self, statuses: &[&str]) -> Option<String> {
        let all: Vec<String> = self
            .stripe
            .subscriptions
            .values()
            .filter(|it| it.ended_at.is_none() && statuses.contains(&it.status.as_str()))
            .map(|it| it.id.clone())
            .collect();
        self.any(all)
    }

    pub fn change_subscription(&mut self, id: &str, types: &[&str], change: impl Fn(&mut Subscription, i64)) {
        self.change_subscription_object(id, types, |it, now| {
            change(it, now);
            if it.status != "dormant" {
                it.known_status = Some(it.status.clone());
            }
        });
        let it = self.stripe.subscriptions[id].clone();
        self.note_metadata(id, &it.customer, it.created, &it.metadata);
        self.stripe.past.entry(id.to_owned()).or_default().push((self.now, it));
    }

    pub fn set_status(&mut self, id: &str, status: &str) {
        let status = status.to_owned();
        self.change_subscription(id, UPDATED, |it, _| it.status.clone_from(&status));
    }

    fn new_item(&mut self, price: Price) -> Item {
        let quantity = if self.chance(10) { None } else { Some(self.rng.u64(0..9)) };
        let quantity = if price.metered { None } else { quantity };
        let item_trial = self.era() == Era::Y2026 && self.chance(10);
        let trial_end = item_trial.then(|| self.now + self.rng.i64(-40..300) * DAY);
        let is_taxed = self.era() != Era::Y2018 && self.chance(20);
        let tax_rates = if is_taxed { self.some_tax_rates() } else { Vec::new() };
        Item { id: self.id("si"), price, quantity, trial_end, discounts: Vec::new(), tax_rates }
    }

    /// Prices for one subscription: of one currency and interval unless `anyhow`.
    fn choose_prices(&mut self) -> Vec<Price> {
        let all: Vec<Price> = self.stripe.prices.values().cloned().collect();
        let first = self.pick(&all);
        if self.stripe.late_prices.contains(&first.id) || self.chance(65) {
            return vec![first];
        }
        let is_fit = |it: &&Price| it.currency == first.currency && !self.stripe.late_prices.contains(&it.id);
        let fit: Vec<Price> = all.iter().filter(is_fit).cloned().collect();
        let count = if self.chance(6) { 11 } else { self.rng.usize(1..4) };
        (0..count).map(|_| self.pick(&fit)).collect()
    }

    pub fn subscribe(&mut self, customer: &str) -> String {
        let prices = self.choose_prices();
        let era = self.era();
        let currency = prices[0].currency.clone();
        let is_foreign = era != Era::Y2018 && prices.len() == 1 && self.chance(4);
        let items: Vec<Item> = prices.into_iter().map(|price| self.new_item(price)).collect();
        let status = self.pick(&["active", "active", "incomplete", "trialing"]);
        let id = self.next_subscription(customer);
        if let Some(status) = self.preexisting_status(&id)
            && self.rng.bool()
        {
            return self.preexisting_subscription(id, customer, items, status);
        }
        let is_plain = self.eras.iter().all(|(_, era)| *era != Era::Y2018);
        let start_date =
            if is_plain && self.chance(20) { self.now - self.rng.i64(1..400) * DAY } else { self.now };
        let has_taxes = era != Era::Y2018;
        let tax_rates = if has_taxes { self.some_tax_rates() } else { Vec::new() };
        let subscription = Subscription {
            id: id.clone(),
            customer: customer.to_owned(),
            created: self.now,
            start_date,
            status: status.to_owned(),
            known_status: Some(status.to_owned()),
            currency: if is_foreign { "gbp".to_owned() } else { currency },
            period: (self.now, self.now + 30 * DAY),
            cancel_at_period_end: false,
            cancel_at: None,
            canceled_at: None,
            reason: None,
            feedback: None,
            ended_at: None,
            trial: (status == "trialing").then_some((self.now, self.now + 14 * DAY)),
            pause: None,
            items,
            discounts: Vec::new(),
            automatic_tax: has_taxes && tax_rates.is_empty() && self.chance(15),
            tax_rates,
            metadata: self.some_metadata(),
        };
        let value = self.pen().subscription(&subscription);
        self.note_metadata(&id, customer, self.now, &subscription.metadata);
        self.stripe.past.insert(id.clone(), vec![(self.now, subscription.clone())]);
        self.stripe.subscriptions.insert(id.clone(), subscription);
        self.emit(&id, None, &value, &["customer.subscription.created"]);
        if self.chance(50) {
            let email = self.stripe.customers[customer].email.clone();
            self.check_out(Some(customer), Some(&id), None, email);
        }
        self.begin(&id, status);
        id
    }

    /// The status in which the tables held this subscription, where it continues from there.
    fn preexisting_status(&self, id: &str) -> Option<&'static str> {
        let found = self.preexisting.iter().find(|it| it.subscription == id)?;
        Some(found.status).filter(|status| *status != "canceled")
    }

    /// A subscription that was made before anybody emitted: the first that is emitted of it is a change, perhaps to a
    /// status that nobody knows.
    fn preexisting_subscription(
        &mut self,
        id: String,
        customer: &str,
        items: Vec<Item>,
        known_status: &'static str,
    ) -> String {
        let subscription = Subscription {
            id: id.clone(),
            customer: customer.to_owned(),
            created: self.now,
            start_date: self.now,
            status: self.pick(&["dormant", "dormant", "past_due"]).to_owned(),
            known_status: Some(known_status.to_owned()),
            currency: items[0].price.currency.clone(),
            period: (self.now, self.now + 30 * DAY),
            cancel_at_period_end: false,
            cancel_at: None,
            canceled_at: None,
            reason: None,
            feedback: None,
            ended_at: None,
            trial: None,
            pause: None,
            items,
            discounts: Vec::new(),
            tax_rates: Vec::new(),
            automatic_tax: false,
            metadata: self.some_metadata(),
        };
        let mut subscription = subscription;
        if subscription.status != "dormant" {
            subscription.known_status = Some(subscription.status.clone());
        }
        let value = self.pen().subscription(&subscription);
        self.note_metadata(&id, customer, self.now, &subscription.metadata);
        self.stripe.past.insert(id.clone(), vec![(self.now, subscription.clone())]);
        self.stripe.subscriptions.insert(id.clone(), subscription);
        self.emit(&id, None, &value, UPDATED);
        // No birth was seen in this second.
        self.second.insert(id.clone(), (self.now, Some(value)));
        id
    }

    /// A new id, or that of a subscription which the tables held before anybody emitted of it.
    fn next_subscription(&mut self, customer: &str) -> String {
        let found =
            self.preexisting.iter().find(|it| it.customer == customer).map(|it| it.subscription.clone());
        let unreported = found.filter(|id| !self.stripe.subscriptions.contains_key(id));
        let new = self.id("sub");
        unreported.filter(|_| self.rng.bool()).unwrap_or(new)
    }

    /// The first invoice, and what comes of it.
    fn begin(&mut self, id: &str, status: &str) {
        if status == "trialing" {
            let invoice = self.new_invoice(id, true);
            self.settle_without_money(&invoice);
            return;
        }
        let invoice = self.new_invoice(id, false);
        self.finalize(&invoice);
        if status == "active" {
            self.pay(&invoice);
        } else if self.chance(70) {
            if self.chance(30) {
                self.fail(&invoice);
                self.pause();
            }
            self.pay(&invoice);
            self.set_status(id, "active");
        } else {
            self.fail(&invoice);
            self.wait(23 * 3_600);
            self.change_subscription(id, UPDATED, |it, now| {
                "incomplete_expired".clone_into(&mut it.status);
                it.ended_at = Some(now);
            });
            self.void(&invoice);
        }
    }

    /// The next period: as paid, or the first step of dunning.
    pub fn renew(&mut self, id: &str) {
        let pause = self.rng.i64(1..40) * DAY;
        if self.chance(30) {
            self.wait(pause);
        }
        self.change_subscription(id, UPDATED, |it, _| {
            it.period = (it.period.1, it.period.1 + 30 * DAY);
            if it.status == "trialing" {
                "active".clone_into(&mut it.status);
            }
        });
        let invoice = self.new_invoice(id, false);
        self.pause();
        self.finalize(&invoice);
        if self.chance(70) {
            return self.pay(&invoice);
        }
        self.fail(&invoice);
        self.set_status(id, "past_due");
        self.dun(id, &invoice);
    }

    fn dun(&mut self, id: &str, invoice: &str) {
        for _ in 0..self.rng.usize(0..3) {
            self.pause();
            self.fail(invoice);
        }
        match self.rng.u32(0..6) {
            0 | 1 => {
                self.pay(invoice);
                self.set_status(id, "active");
            }
            2 => self.set_status(id, "unpaid"),
            3 => {
                self.give_up(invoice);
                self.end_subscription(id);
            }
            4 => self.end_subscription(id),
            _ => {}
        }
    }

    pub fn end_subscription(&mut self, id: &str) {
        let (reason, feedback) = self.some_reason();
        self.change_subscription(id, &["customer.subscription.deleted"], |it, now| {
            "canceled".clone_into(&mut it.status);
            it.ended_at = Some(now);
            it.canceled_at = it.canceled_at.or(Some(now));
            (it.reason, it.feedback) = (it.reason.or(reason), it.feedback.or(feedback));
            it.known_status = Some(it.status.clone());
        });
    }

    /// Why something is canceled, and what the member says of it.
    fn some_reason(&mut self) -> (Option<&'static str>, Option<&'static str>) {
        let reason = self.pick(&["cancellation_requested", "payment_failed", "payment_disputed"]);
        let feedback = self.pick(&[None, None, Some("too_expensive"), Some("unused")]);
        if self.era() == Era::Y2018 { (None, None) } else { (Some(reason), feedback) }
    }

    /// A cancellation at the period's end, or in flexible billing on that day; or it is taken back.
    pub fn toggle_cancellation(&mut self, id: &str) {
        let is_flexible = !self.era().is_old() && self.chance(50);
        let (reason, feedback) = self.some_reason();
        self.change_subscription(id, UPDATED, |it, now| {
            let cancels = !it.cancel_at_period_end && it.cancel_at.is_none();
            it.cancel_at_period_end = cancels && !is_flexible;
            it.cancel_at = (cancels && is_flexible).then_some(it.period.1);
            it.canceled_at = cancels.then_some(now);
            (it.reason, it.feedback) = if cancels { (reason, feedback) } else { (None, None) };
        });
    }

    /// Another price, another quantity, one item more or less; with an invoice of the difference at times.
    pub fn change_items(&mut self, id: &str) {
        let subscription = self.stripe.subscriptions[id].clone();
        let mut items = subscription.items.clone();
        let prices: Vec<Price> = self
            .stripe
            .prices
            .values()
            .filter(|it| it.currency == items[0].price.currency)
            .cloned()
            .collect();
        let has_late = |price: &Price| self.stripe.late_prices.contains(&price.id);
        let plain: Vec<Price> = prices.iter().filter(|it| !has_late(it)).cloned().collect();
        let at = self.rng.usize(..items.len());
        match self.rng.u32(0..4) {
            0 if items.len() == 1 => items[0].price = self.pick(&prices),
            1 if !plain.is_empty() && !has_late(&items[0].price) && items.len() < 9 => {
                let price = self.pick(&plain);
                let item = self.new_item(price);
                items.push(item);
            }
            2 if items.len() > 1 => drop(items.remove(at)),
            _ => items[at].quantity = items[at].quantity.map(|quantity| quantity + self.rng.u64(1..4)),
        }
        if items[at.min(items.len() - 1)].price.metered {
            let at = at.min(items.len() - 1);
            items[at].quantity = None;
        }
        self.change_subscription(id, UPDATED, |it, _| it.items.clone_from(&items));
        if self.chance(40) {
            let invoice = self.new_proration(id);
            self.finalize(&invoice);
            self.pay(&invoice);
        }
    }

    pub fn pause_collection(&mut self, id: &str) {
        if self.era() == Era::Y2018 {
            return;
        }
        let how = self.pick(&[None, Some("void"), Some("keep_as_draft"), Some("mark_uncollectible")]);
        self.change_subscription(id, UPDATED, |it, _| it.pause = how);
    }

    /// A discount on the subscription or on one of its items, or none any more.
    pub fn change_discounts(&mut self, id: &str) {
        let it = self.stripe.subscriptions[id].clone();
        let mixes = self.eras.iter().any(|(_, era)| *era == Era::Y2018) && self.eras.len() > 1;
        if mixes {
            return;
        }
        self.stand_apart(id);
        let is_old = self.era().is_old();
        let at = self.rng.usize(..it.items.len());
        if is_old && !it.discounts.is_empty() || self.chance(30) {
            for discount in &it.discounts {
                self.emit_discount(discount, "deleted");
            }
            self.change_subscription(id, UPDATED, |it, _| it.discounts.clear());
            self.wait(1);
        } else if is_old || self.chance(60) {
            let discount = self.new_discount(&it.customer, Some(id), None);
            self.emit_discount(&discount, "created");
            self.change_subscription(id, UPDATED, |it, _| it.discounts.push(discount.clone()));
        } else {
            let discount = self.new_discount(&it.customer, Some(id), Some(&it.items[at].id));
            self.emit_discount(&discount, "created");
            self.change_subscription(id, UPDATED, |it, _| it.items[at].discounts.push(discount.clone()));
        }
    }
}
