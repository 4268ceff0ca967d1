//! A simulated Stripe account: objects that change as Stripe's do, each change emitted in the events that
//! Stripe would send. The objects hold the truth at the end.

mod billing;
mod catalogue;
mod debits;
mod invoices;
mod money;
pub mod objects;
mod people;
mod sales;

use std::collections::{BTreeMap, BTreeSet};

use objects::{
    Charge, Checkout, Coupon, Customer, Discount, Dispute, Invoice, InvoicePayment, Price, Refund,
    Subscription,
};

use super::state::Simulation;

/// Everything there is in the account.
#[derive(Default)]
pub struct Stripe {
    pub customers: BTreeMap<String, Customer>,
    pub subscriptions: BTreeMap<String, Subscription>,
    pub invoices: BTreeMap<String, Invoice>,
    pub invoice_payments: Vec<InvoicePayment>,
    pub charges: BTreeMap<String, Charge>,
    pub refunds: BTreeMap<String, Refund>,
    pub disputes: BTreeMap<String, Dispute>,
    pub checkouts: BTreeMap<String, Checkout>,
    /// By payment intent: the invoice that Checkout made of the payment.
    pub invoiced: BTreeMap<String, String>,
    pub prices: BTreeMap<String, Price>,
    pub coupons: BTreeMap<String, Coupon>,
    /// By object: the user ids that its metadata named when it last named any, strongest key first.
    pub named: BTreeMap<String, Named>,
    /// All that metadata ever named, also what was taken back.
    pub ever_named: BTreeSet<String>,
    /// By customer (for a guest: payment intent): every address, in the order in which they were given.
    pub addresses: BTreeMap<String, Vec<String>>,
    /// What each subscription was from a second on.
    pub past: BTreeMap<String, Vec<(i64, Subscription)>>,
    /// The discount on each customer's own level from a second on.
    pub past_discounts: BTreeMap<String, Vec<(i64, Option<Discount>)>>,
    /// Prices that no tier names until later: for subscriptions of one item.
    pub late_prices: Vec<String>,
}

/// The user ids that an object names.
#[derive(Clone, Debug)]
pub struct Named {
    pub customer: String,
    pub created: i64,
    pub ids: Vec<String>,
}

/// Changes an object and emits of it. A change that could not be emitted from none waits for the next second.
macro_rules! changes {
    ($name:ident, $all:ident, $kind:ty, $shape:ident) => {
        pub fn $name(&mut self, id: &str, types: &[&str], change: impl Fn(&mut $kind, i64)) {
            loop {
                let mut object = self.stripe.$all[id].clone();
                let before = self.pen().$shape(&object);
                change(&mut object, self.now);
                let after = self.pen().$shape(&object);
                if before != after && self.would_return(id, &after) {
                    self.now += 1;
                    continue;
                }
                self.stripe.$all.insert(id.to_owned(), object);
                self.emit(id, Some(&before), &after, types);
                return;
            }
        }
    };
}

impl Simulation {
    /// Lets a second pass, where something about the object was emitted in this one: for what is to be emitted of
    /// two objects at one and the same moment.
    pub fn stand_apart(&mut self, id: &str) {
        if self.second.get(id).is_some_and(|(second, _)| *second == self.now) {
            self.now += 1;
        }
    }

    changes!(change_customer_object, customers, Customer, customer);
    changes!(change_subscription_object, subscriptions, Subscription, subscription);
    changes!(change_invoice_object, invoices, Invoice, invoice);
    changes!(change_charge, charges, Charge, charge);
    changes!(change_refund, refunds, Refund, refund);
    changes!(change_dispute, disputes, Dispute, dispute);
    changes!(change_checkout, checkouts, Checkout, checkout);
    changes!(change_coupon, coupons, Coupon, coupon);
}
