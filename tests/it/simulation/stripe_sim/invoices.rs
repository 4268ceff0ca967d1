//! Invoices: made, finalised, paid in one of many ways, or given up.

use super::super::shapes::Era;
use super::super::state::Simulation;
use super::objects::{Charge, Invoice, InvoicePayment, Item, Line, Metadata, Price, Subscription};

pub(super) const INVOICE_UPDATED: &str = "invoice.updated";

impl Simulation {
    pub(super) fn change_invoice(&mut self, id: &str, types: &[&str], change: impl Fn(&mut Invoice, i64)) {
        let count = self.emitted.len();
        self.change_invoice_object(id, types, change);
        if self.emitted.len() > count {
            let era = self.era();
            self.stripe.invoices.get_mut(id).unwrap().emitted_in = era;
        }
    }

    /// Types of events about an invoice's change, with an `invoice.updated` among them at times.
    pub(super) fn with_update<'a>(&mut self, types: &[&'a str]) -> Vec<&'a str> {
        let mut types = types.to_vec();
        if self.era() != Era::Y2018 && self.chance(40) {
            let at = self.rng.usize(..=types.len());
            types.insert(at, INVOICE_UPDATED);
        }
        types
    }

    /// A subscription's invoice for its present period.
    pub fn new_invoice(&mut self, subscription: &str, is_free: bool) -> String {
        let it = self.stripe.subscriptions[subscription].clone();
        let lines: Vec<Line> = it
            .items
            .iter()
            .take(10)
            .map(|item| Line {
                amount: if is_free { 0 } else { asks(item) },
                item: item.clone(),
                proration: false,
                period: it.period,
            })
            .collect();
        let id = self.make_invoice(&it.customer, Some(subscription), &it.currency, lines);
        self.discount_invoice(&id, &it);
        id
    }

    /// What the discounts of a subscription took off its invoice, which a version of 2018 does not say.
    fn discount_invoice(&mut self, id: &str, subscription: &Subscription) {
        if self.eras.iter().any(|(_, era)| *era == Era::Y2018) || self.chance(30) {
            return;
        }
        let of_items = subscription.items.iter().flat_map(|item| &item.discounts);
        let of_customer = self.stripe.customers[&subscription.customer].discount.iter();
        let all: Vec<String> =
            of_items.chain(&subscription.discounts).chain(of_customer).map(|it| it.id.clone()).collect();
        let taken: Vec<(String, i64)> = all.into_iter().map(|id| (id, self.rng.i64(0..900))).collect();
        if !taken.is_empty() {
            self.change_invoice(id, &[INVOICE_UPDATED], |it, _| it.discounted.clone_from(&taken));
        }
    }

    /// The invoice of a change in mid-period.
    pub fn new_proration(&mut self, subscription: &str) -> String {
        let it = self.stripe.subscriptions[subscription].clone();
        let item = it.items[0].clone();
        let amount = self.rng.i64(50..5_000);
        let line = |amount| Line { item: item.clone(), amount, proration: true, period: it.period };
        self.make_invoice(
            &it.customer,
            Some(subscription),
            &it.currency,
            vec![line(-amount), line(2 * amount)],
        )
    }

    fn make_invoice(
        &mut self,
        customer: &str,
        subscription: Option<&str>,
        currency: &str,
        lines: Vec<Line>,
    ) -> String {
        let id = self.id("in");
        let total: i64 = lines.iter().map(|line| line.amount).sum();
        let invoice = Invoice {
            id: id.clone(),
            customer: customer.to_owned(),
            subscription: subscription.map(str::to_owned),
            created: self.now,
            currency: currency.to_owned(),
            status: "draft",
            amount_due: total.max(0),
            amount_paid: 0,
            attempts: 0,
            debit: None,
            failed: false,
            out_of_band: false,
            finalized_at: None,
            paid_at: None,
            voided_at: None,
            given_up_at: None,
            intent: None,
            charge: None,
            paid_by: None,
            lines,
            discounted: Vec::new(),
            metadata: Metadata::new(),
            emitted_in: self.era(),
        };
        let value = self.pen().invoice(&invoice);
        self.stripe.invoices.insert(id.clone(), invoice);
        self.emit(&id, None, &value, &["invoice.created"]);
        id
    }

    pub fn finalize(&mut self, id: &str) {
        let intent = (self.era() != Era::Y2018).then(|| self.id("pi"));
        if self.era() == Era::Y2018 {
            // There was no such step: an invoice was open once an attempt was made.
            return;
        }
        let types = self.with_update(&["invoice.finalized"]);
        self.change_invoice(id, &types, |it, now| {
            it.status = "open";
            it.finalized_at = Some(now);
            it.intent = intent.clone().filter(|_| it.amount_due > 0);
        });
    }

    /// Nothing to pay: a trial's invoice, or one that the balance covers.
    pub fn settle_without_money(&mut self, id: &str) {
        if self.era() != Era::Y2018 {
            self.change_invoice(id, &["invoice.finalized"], |it, now| {
                it.status = "open";
                it.finalized_at = Some(now);
            });
        }
        let types = self.with_update(&["invoice.paid", "invoice.payment_succeeded"]);
        let types = self.of_the_time(types);
        self.change_invoice(id, &types, |it, now| {
            it.status = "paid";
            it.amount_due = 0;
            it.paid_at = Some(now);
        });
    }

    /// `invoice.paid` is younger than 2018.
    pub(super) fn of_the_time<'a>(&self, mut types: Vec<&'a str>) -> Vec<&'a str> {
        if self.era() == Era::Y2018 {
            types.retain(|kind| *kind != "invoice.paid");
        }
        types
    }

    /// An attempt to collect that fails.
    pub fn fail(&mut self, id: &str) {
        let invoice = self.stripe.invoices[id].clone();
        if invoice.amount_due == 0 || !["draft", "open"].contains(&invoice.status) {
            return;
        }
        if invoice.debit.is_some() {
            return self.fail_debit(id);
        }
        let charge = self.new_charge(&invoice, "failed", invoice.intent.clone());
        let types = self.with_update(&["invoice.payment_failed"]);
        self.change_invoice(id, &types, |it, _| {
            it.status = "open";
            it.attempts += 1;
            it.failed = true;
            it.charge = Some(charge.clone());
        });
    }

    /// The invoice is paid: by charge, in two parts, by bank debit, by hand, or by nothing. Not all of that ends well.
    pub fn pay(&mut self, id: &str) {
        let invoice = self.stripe.invoices[id].clone();
        if invoice.amount_due == 0 {
            return self.settle_without_money(id);
        }
        if invoice.debit.is_some() {
            return self.succeed_debit(id);
        }
        match self.rng.u32(0..12) {
            0 if invoice.amount_paid == 0 => return self.pay_by_hand(id),
            1 if invoice.amount_due > invoice.amount_paid + 1 && !self.era().is_old() => {
                self.pay_part(id);
                if self.chance(40) {
                    return;
                }
            }
            2 | 3 if ["draft", "open"].contains(&invoice.status) => return self.debit(id),
            _ => {}
        }
        let invoice = self.stripe.invoices[id].clone();
        // An invoice that was finalised by an older version has no payment intent yet.
        let needs_intent = self.era() != Era::Y2018 && (invoice.intent.is_none() || invoice.amount_paid > 0);
        let intent = if needs_intent { Some(self.id("pi")) } else { invoice.intent.clone() };
        if self.chance(10) {
            self.new_charge(&invoice, "failed", intent.clone());
        }
        let charge = self.new_charge(&invoice, "succeeded", intent.clone());
        let rest = invoice.amount_due - invoice.amount_paid;
        self.link(id, intent.as_deref(), &invoice.currency, rest);
        let types = self.with_update(&["invoice.paid", "invoice.payment_succeeded"]);
        let types = self.of_the_time(types);
        self.change_invoice(id, &types, |it, now| {
            it.status = "paid";
            it.amount_paid = it.amount_due;
            it.attempts += 1;
            it.failed = false;
            it.paid_at = Some(now);
            it.intent.clone_from(&intent);
            it.charge = Some(charge.clone());
            it.paid_by.clone_from(&intent);
        });
    }

    /// `invoice_payment.paid`, which only newer versions emit.
    pub(super) fn link(&mut self, invoice: &str, intent: Option<&str>, currency: &str, amount: i64) {
        let (Some(intent), false) = (intent, self.era().is_old()) else { return };
        let payment = InvoicePayment {
            id: self.id("inpay"),
            invoice: invoice.to_owned(),
            intent: intent.to_owned(),
            currency: currency.to_owned(),
            amount,
            created: self.now,
        };
        let value = self.pen().invoice_payment(&payment);
        self.emit(&payment.id.clone(), None, &value, &["invoice_payment.paid"]);
        self.stripe.invoice_payments.push(payment);
    }

    /// A first part of what is due; the rest is paid later than in the same second, so that it is the last.
    fn pay_part(&mut self, id: &str) {
        let invoice = self.stripe.invoices[id].clone();
        let part = self.rng.i64(1..invoice.amount_due - invoice.amount_paid);
        let intent = self.id("pi");
        let charge = self.id("ch");
        self.emit_charge(Charge {
            id: charge,
            customer: Some(invoice.customer.clone()),
            created: self.now,
            currency: invoice.currency.clone(),
            status: "succeeded",
            captured: true,
            amount: part,
            amount_captured: part,
            intent: Some(intent.clone()),
            invoice: Some(id.to_owned()),
            refunds: Vec::new(),
            remainder: None,
            metadata: Metadata::new(),
        });
        self.link(id, Some(&intent), &invoice.currency, part);
        self.change_invoice(id, &[INVOICE_UPDATED], |it, _| {
            it.amount_paid += part;
            it.failed = false;
            it.paid_by = Some(intent.clone());
        });
        self.wait(1);
        self.pause();
    }

    fn pay_by_hand(&mut self, id: &str) {
        if self.era() == Era::Y2018 {
            return;
        }
        self.change_invoice(id, &["invoice.paid"], |it, now| {
            it.status = "paid";
            it.out_of_band = true;
            it.failed = false;
            it.paid_at = Some(now);
            it.paid_by = None;
        });
    }

    pub fn void(&mut self, id: &str) {
        let status = self.stripe.invoices[id].status;
        if self.era() == Era::Y2018 || !["open", "uncollectible"].contains(&status) {
            return;
        }
        self.change_invoice(id, &["invoice.voided"], |it, now| {
            it.status = "void";
            it.voided_at = Some(now);
        });
    }

    pub fn give_up(&mut self, id: &str) {
        if self.stripe.invoices[id].status != "open" {
            return;
        }
        let types = self.with_update(&["invoice.marked_uncollectible"]);
        self.change_invoice(id, &types, |it, now| {
            it.status = "uncollectible";
            it.given_up_at = Some(now);
        });
    }

    /// What an open invoice can still come to.
    pub fn settle_an_old_invoice(&mut self) {
        let open = self.stripe.invoices.values().filter(|it| ["open", "uncollectible"].contains(&it.status));
        let ids: Vec<String> = open.map(|it| it.id.clone()).collect();
        let Some(id) = self.any(ids) else { return };
        match self.rng.u32(0..4) {
            0 => self.void(&id),
            1 => self.give_up(&id),
            2 => self.fail(&id),
            _ => self.pay(&id),
        }
    }

    pub fn note_on_invoice(&mut self) {
        let Some(id) = self.any(self.stripe.invoices.keys().cloned().collect::<Vec<_>>()) else { return };
        let note = self.rng.u32(..1000).to_string();
        self.change_invoice(&id, &[INVOICE_UPDATED], |it, _| {
            it.metadata.insert("note".to_owned(), note.clone());
        });
    }
}

/// What an item asks for in one period, in whole minor units.
fn asks(item: &Item) -> i64 {
    let Price { unit_tenths, package, tiers, graduated, metered, .. } = &item.price;
    if *metered {
        return 0;
    }
    let quantity = item.quantity.unwrap_or(1);
    let units = match package {
        Some((size, true)) => quantity.div_ceil(*size),
        Some((size, false)) => quantity / size,
        None => quantity,
    };
    if let Some(tenths) = unit_tenths {
        return tenths * i64::try_from(units).unwrap() / 10;
    }
    super::super::model::mrr::of_tiers(tiers, *graduated, quantity)
}
