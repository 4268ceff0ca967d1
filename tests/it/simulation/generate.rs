//! Generates a history: random actions in a plausible order.

use super::shapes::Era;
use super::state::{Act, NOW, PreexistingRow, Simulation};

const RUNNING: [&str; 5] = ["active", "trialing", "past_due", "unpaid", "dormant"];

/// A complete history: hundreds of events of one account's few members. Deterministic for a `seed`.
pub fn history(number: u16, seed: u64) -> Simulation {
    let mut simulation = Simulation::new(number, seed);
    simulation.choose_eras();
    simulation.expands = simulation.chance(30);
    simulation.populate();
    simulation.stock();
    simulation.add_preexisting();
    let customers = simulation.rng.usize(1..4);
    for _ in 0..customers {
        let email = simulation.some_address();
        let customer = simulation.new_customer(email);
        simulation.pause();
        simulation.subscribe(&customer);
    }
    let steps = simulation.rng.usize(60..140);
    for step in 0..steps {
        simulation.pause();
        // What is left of the year is spread over the remaining steps.
        if simulation.chance(25) {
            let share = (NOW - simulation.now) / i64::try_from(steps - step).unwrap();
            simulation.wait(share * 3);
        }
        simulation.step();
    }
    simulation.text_and_ask();
    simulation
}

impl Simulation {
    fn choose_eras(&mut self) {
        let first = self.pick(&[
            Era::Y2018,
            Era::Y2020,
            Era::Y2022,
            Era::Y2022,
            Era::Y2023,
            Era::Y2024,
            Era::Y2025,
            Era::Y2025,
            Era::Y2026,
        ]);
        self.eras.push((self.now, first));
        let later: Vec<Era> = Era::ALL.into_iter().filter(|era| *era > first).collect();
        if !later.is_empty() && self.chance(50) {
            let era = self.pick(&later);
            let at = self.now + self.rng.i64(5..300) * 86_400;
            self.eras.push((at, era));
        }
    }

    /// Rows that stood there when memberflow was switched on, and statuses set by hand.
    fn add_preexisting(&mut self) {
        let acts = self.acts.clone();
        let early = acts.iter().filter_map(|(phase, act)| match act {
            super::state::Act::SignUp { id, .. } if *phase == 0 => Some(*id),
            _ => None,
        });
        let Some(user) = self.any(early.collect::<Vec<_>>()) else { return };
        if self.chance(15) {
            let status = self.pick(&["active", "at_risk", "champion", "inactive"]);
            self.by_hand.insert(user, status);
        }
        let named: Vec<String> = self.tiers.iter().filter_map(|tier| tier.price.clone()).collect();
        let named: Vec<String> =
            named.into_iter().filter(|price| !self.stripe.late_prices.contains(price)).collect();
        let Some(price) = self.any(named) else { return };
        if self.chance(25) {
            let created = self.now - self.rng.i64(1..500) * 86_400;
            let (id, customer, subscription) = (self.uuid(), self.new_customer(None), self.id("sub"));
            let status = self.pick(&["active", "past_due", "canceled"]);
            self.preexisting.push(PreexistingRow {
                id,
                user,
                customer,
                subscription,
                price,
                status,
                created,
            });
        }
    }

    fn step(&mut self) {
        let customers: Vec<String> = self.stripe.customers.keys().cloned().collect();
        let customer = self.pick(&customers);
        let is_there = !self.stripe.customers[&customer].deleted;
        match self.rng.u32(0..100) {
            0..4 if is_there => drop(self.subscribe(&customer)),
            4..18 => self.on_running(&["active", "trialing"], Self::renew),
            18..26 => self.on_running(&RUNNING, Self::change_items),
            26..30 => self.on_running(&RUNNING, Self::toggle_cancellation),
            30..33 => self.on_running(&RUNNING, Self::pause_collection),
            33..40 => self.on_running(&RUNNING, Self::change_discounts),
            40..42 => self.on_running(&RUNNING, Self::end_with_refund),
            42..45 => self.on_running(&RUNNING, Self::odd_status),
            45..49 if is_there => self.change_evidence(&customer),
            49..52 if is_there => self.discount_customer(&customer),
            52..54 if is_there => self.undiscount_customer(&customer),
            54..59 if is_there => {
                let email = self.some_address();
                if self.chance(25) {
                    self.sell_with_invoice(&customer, email);
                } else {
                    self.one_off(Some(&customer), email);
                }
            }
            59..61 => {
                let email = self.some_address();
                self.one_off(None, email);
            }
            61..67 => self.on_charge(Self::refund),
            67..70 => self.on_charge(Self::dispute),
            70..72 => self.settle_an_old_invoice(),
            72..75 => self.note_on_invoice(),
            75..77 => self.credit_note(),
            77 if self.chance(50) => self.specify_tax(),
            77 => self.rename_coupon(),
            78 if is_there && self.chance(20) => self.delete_customer(&customer),
            79 => self.something_else(&customer),
            80..90 => self.log_in(),
            _ => self.change_row(),
        }
    }

    fn on_running(&mut self, statuses: &[&str], what: fn(&mut Self, &str)) {
        if let Some(id) = self.running(statuses) {
            what(self, &id);
        }
    }

    fn on_charge(&mut self, what: fn(&mut Self, &str)) {
        if let Some(id) = self.any(self.stripe.charges.keys().cloned().collect::<Vec<_>>()) {
            what(self, &id);
        }
    }

    /// All in one second: the end, and the money back.
    pub fn end_with_refund(&mut self, id: &str) {
        self.end_subscription(id);
        let invoices = self.stripe.invoices.values().filter(|it| it.subscription.as_deref() == Some(id));
        let charge = invoices.filter(|it| it.status == "paid").filter_map(|it| it.charge.clone()).next_back();
        if let Some(charge) = charge {
            self.refund(&charge);
        }
        self.credit_note();
    }

    /// A status that Stripe has invented since, and back.
    fn odd_status(&mut self, id: &str) {
        let status = if self.stripe.subscriptions[id].status == "dormant" { "active" } else { "dormant" };
        self.set_status(id, status);
    }

    /// What a customer or a subscription says about whose it is changes, or is taken away.
    fn change_evidence(&mut self, customer: &str) {
        let metadata = self.some_metadata();
        let subscription = self.any(self.subscriptions_of(customer));
        match (self.rng.u32(0..3), subscription) {
            (0, Some(id)) => self.change_subscription(&id, &["customer.subscription.updated"], |it, _| {
                it.metadata.clone_from(&metadata);
            }),
            (1, _) => self.change_customer(customer, |it, _| it.metadata.clone_from(&metadata)),
            _ => {
                if let Some(address) = self.some_address().filter(|it| self.may_follow(customer, it)) {
                    // Which of several addresses of one second came first, the events alone do not always emit.
                    self.stand_apart(customer);
                    self.change_customer(customer, |it, _| it.email = Some(address.clone()));
                }
            }
        }
    }

    /// Whether a customer may have this address, too. A match stays: where the first address that is anybody's is not
    /// the same user's from beginning to end, another user's behind it would make it matter what was emitted when.
    fn may_follow(&self, customer: &str, address: &str) -> bool {
        let is_strangers = |email: &String| self.supabase.strangers.contains(email);
        let given = self.stripe.addresses.get(customer);
        let first = given.into_iter().flatten().find(|email| !is_strangers(email));
        is_strangers(&address.to_lowercase()) || first.is_none_or(|email| self.is_steady(email))
    }

    /// One user has the address, from the beginning to the end.
    fn is_steady(&self, email: &str) -> bool {
        let mut having = self.supabase.users.values().filter(|user| user.email.to_lowercase() == email);
        let (Some(user), None) = (having.next(), having.next()) else { return false };
        let acts: Vec<_> = self.acts.iter().filter(|(_, act)| act.is_about(user.id)).collect();
        matches!(acts[..], [(0, Act::SignUp { confirmed: true, .. })])
    }

    /// Events that no table depends on, and thin ones that emit of something new.
    fn something_else(&mut self, customer: &str) {
        let value = serde_json::json!({ "id": "x", "object": "payment_method", "customer": customer });
        self.stripe_event("payment_method.attached", &value, None);
        let unknown = self.id("in");
        self.emit_thin("invoice.paid", &unknown);
        self.emit_thin("customer.updated", customer);
    }
}
