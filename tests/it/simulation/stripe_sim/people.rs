//! Customers, the discounts on them, and checkout sessions.

use super::super::shapes::Era;
use super::super::state::Simulation;
use super::Named;
use super::objects::{Checkout, Customer, Metadata};

/// The metadata keys that name a user, the stronger one first.
const KEYS: [&str; 2] = ["user_id", "supabase_user_id"];

impl Simulation {
    /// What metadata says who it is: nothing, a user, two, nobody we know, or nonsense.
    pub fn some_metadata(&mut self) -> Metadata {
        let mut metadata = Metadata::from([("plan_choice".to_owned(), "gold".to_owned())]);
        let users: Vec<String> = self.supabase.users.keys().map(ToString::to_string).collect();
        let user = self.pick(&users);
        let other = match self.rng.u32(0..10) {
            0..6 => user.clone(),
            6..8 => self.pick(&users),
            8 => self.uuid().to_string(),
            _ => "order 66".to_owned(),
        };
        match self.rng.u32(0..20) {
            0..13 => {}
            13..16 => drop(metadata.insert(KEYS[0].to_owned(), other)),
            16..19 => drop(metadata.insert(KEYS[1].to_owned(), other)),
            _ => {
                metadata.insert(KEYS[0].to_owned(), other);
                metadata.insert(KEYS[1].to_owned(), user);
            }
        }
        metadata
    }

    pub fn note_metadata(&mut self, object: &str, customer: &str, created: i64, metadata: &Metadata) {
        let ids: Vec<String> = KEYS.iter().filter_map(|key| metadata.get(*key).cloned()).collect();
        self.stripe.ever_named.extend(ids.iter().cloned());
        if !ids.is_empty() {
            self.stripe
                .named
                .insert(object.to_owned(), Named { customer: customer.to_owned(), created, ids });
        }
    }

    pub fn new_customer(&mut self, email: Option<String>) -> String {
        let metadata = if self.chance(50) { self.some_metadata() } else { Metadata::new() };
        let id = self.id("cus");
        let customer = Customer { id: id.clone(), created: self.now, email, metadata, ..Customer::default() };
        let value = self.pen().customer(&customer);
        self.stripe.customers.insert(id.clone(), customer);
        self.emit(&id, None, &value, &["customer.created"]);
        self.note_customer(&id);
        id
    }

    fn note_customer(&mut self, id: &str) {
        let customer = self.stripe.customers[id].clone();
        self.note_metadata(id, id, customer.created, &customer.metadata);
        if let Some(email) = customer.email {
            self.give_address(id, &email);
        }
    }

    fn give_address(&mut self, customer: &str, email: &str) {
        let (email, given) =
            (email.to_lowercase(), self.stripe.addresses.entry(customer.to_owned()).or_default());
        if !given.contains(&email) {
            given.push(email);
        }
    }

    pub fn change_customer(&mut self, id: &str, change: impl Fn(&mut Customer, i64)) {
        if self.stripe.customers[id].deleted {
            return;
        }
        self.change_customer_object(id, &["customer.updated"], change);
        self.note_customer(id);
    }

    pub fn delete_customer(&mut self, id: &str) {
        // That it ends its subscriptions is not always emitted.
        let running: Vec<String> = if self.chance(60) { self.subscriptions_of(id) } else { Vec::new() };
        for subscription in running {
            self.end_subscription(&subscription);
        }
        let value = self.pen().customer(&self.stripe.customers[id]);
        self.emit(id, Some(&value), &value, &["customer.deleted"]);
        self.stripe.customers.get_mut(id).unwrap().deleted = true;
    }

    /// Puts a discount on the customer, in the place of the one that is there.
    pub fn discount_customer(&mut self, id: &str) {
        if self.stripe.customers[id].deleted {
            return;
        }
        self.stand_apart(id);
        let replaced = self.stripe.customers[id].discount.clone();
        let discount = self.new_discount(id, None, None);
        let is_2018 = self.era() == Era::Y2018;
        match replaced {
            Some(_) if is_2018 => self.emit_discount(&discount, "updated"),
            Some(replaced) => {
                self.emit_discount(&replaced, "deleted");
                self.emit_discount(&discount, "created");
            }
            None => self.emit_discount(&discount, "created"),
        }
        self.change_customer(id, |it, _| it.discount = Some(discount.clone()));
        self.note_discount(id);
    }

    fn note_discount(&mut self, id: &str) {
        let discount = self.stripe.customers[id].discount.clone();
        self.stripe.past_discounts.entry(id.to_owned()).or_default().push((self.now, discount));
    }

    pub fn undiscount_customer(&mut self, id: &str) {
        self.stand_apart(id);
        let Some(discount) = self.stripe.customers[id].discount.clone() else { return };
        self.emit_discount(&discount, "deleted");
        self.change_customer(id, |it, _| it.discount = None);
        self.note_discount(id);
        // The place of an old discount without an id may be filled again, but not in the same second.
        self.wait(1);
    }

    /// A completed checkout of a subscription or of a payment intent.
    pub fn check_out(
        &mut self,
        customer: Option<&str>,
        subscription: Option<&str>,
        intent: Option<&str>,
        email: Option<String>,
    ) {
        // An invoice that was made of the payment.
        let invoice = intent.and_then(|intent| self.stripe.invoiced.get(intent).cloned());
        let users: Vec<String> = self.supabase.users.keys().map(ToString::to_string).collect();
        let reference = match self.rng.u32(0..10) {
            0..4 => Some(self.pick(&users)),
            4 => Some("cart 17".to_owned()),
            _ => None,
        };
        let metadata = if self.chance(30) { self.some_metadata() } else { Metadata::new() };
        let id = self.id("cs");
        // The oldest version does not say whether a session was paid.
        let abandoned = self.era() != Era::Y2018 && self.chance(15);
        let checkout = Checkout {
            id: id.clone(),
            created: self.now,
            customer: customer.map(str::to_owned),
            subscription: subscription.map(str::to_owned),
            intent: intent.map(str::to_owned),
            invoice,
            reference,
            email: email.clone(),
            metadata,
            paid: !abandoned && self.chance(80),
            abandoned,
        };
        let whose = customer.or(intent).unwrap_or_default();
        if abandoned {
            return self.abandon(checkout);
        }
        self.note_metadata(&id, whose, checkout.created, &checkout.metadata);
        if let (None, Some(email)) = (customer, email) {
            self.give_address(whose, &email);
        }
        let value = self.pen().checkout(&checkout);
        self.stripe.checkouts.insert(id.clone(), checkout);
        self.emit(&id, None, &value, &["checkout.session.completed"]);
        if !self.stripe.checkouts[&id].paid {
            self.pause();
            // A session of the oldest version does not say when it was made: its last event's second stands for it.
            let made = (self.era() == Era::Y2018).then_some(self.now);
            self.change_checkout(&id, &["checkout.session.async_payment_succeeded"], |it, _| {
                it.paid = true;
                it.created = made.unwrap_or(it.created);
            });
            let Checkout { created, metadata, .. } = self.stripe.checkouts[&id].clone();
            self.note_metadata(&id, whose, created, &metadata);
        }
    }

    /// A session that nobody paid names a user and an address, and is no evidence of either.
    fn abandon(&mut self, checkout: Checkout) {
        let (id, value) = (checkout.id.clone(), self.pen().checkout(&checkout));
        self.stripe.checkouts.insert(id.clone(), checkout);
        self.emit(&id, None, &value, &["checkout.session.expired"]);
    }
}
