//! Invoices and payments, and what comes back out of them.

use super::super::shapes::Era;
use super::super::state::Simulation;
use super::objects::{
    Charge, Dispute, Invoice, InvoicePayment, Item, Line, Metadata, Movement, Price, Refund, Subscription,
};

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

    pub(super) fn new_charge(
        &mut self,
        invoice: &Invoice,
        status: &'static str,
        intent: Option<String>,
    ) -> String {
        let id = self.id("ch");
        let charge = Charge {
            id: id.clone(),
            customer: Some(invoice.customer.clone()),
            created: self.now,
            currency: invoice.currency.clone(),
            status,
            captured: status != "failed",
            amount: invoice.amount_due - invoice.amount_paid,
            amount_captured: if status == "failed" { 0 } else { invoice.amount_due - invoice.amount_paid },
            intent,
            invoice: Some(invoice.id.clone()),
            refunds: Vec::new(),
            remainder: None,
            metadata: Metadata::new(),
        };
        self.emit_charge(charge);
        id
    }

    pub(super) fn emit_charge(&mut self, charge: Charge) {
        let id = charge.id.clone();
        let value = self.pen().charge(&charge);
        let kind = match charge.status {
            "pending" => "charge.pending",
            "failed" => "charge.failed",
            _ => "charge.succeeded",
        };
        self.stripe.charges.insert(id.clone(), charge);
        self.emit(&id, None, &value, &[kind]);
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

    /// A payment that no invoice asks for: of a customer, or of a guest.
    pub fn one_off(&mut self, customer: Option<&str>, email: Option<String>) {
        let intent = (self.era() != Era::Y2018).then(|| self.id("pi"));
        let amount = self.rng.i64(100..50_000);
        let how = self.pick(&["succeeded", "succeeded", "pending", "held", "failed"]);
        let status = match how {
            "pending" => "pending",
            "failed" => "failed",
            _ => "succeeded",
        };
        let captured = ["succeeded", "pending"].contains(&how);
        let id = self.id("ch");
        let currency = self.pick(&["usd", "usd", "eur", "jpy"]);
        self.emit_charge(Charge {
            id: id.clone(),
            customer: customer.map(str::to_owned),
            created: self.now,
            currency: currency.to_owned(),
            status,
            captured,
            amount,
            amount_captured: if captured { amount } else { 0 },
            intent: intent.clone(),
            invoice: None,
            refunds: Vec::new(),
            remainder: None,
            metadata: Metadata::new(),
        });
        if let Some(intent) = intent.as_deref().filter(|_| customer.is_none() || self.rng.bool()) {
            self.check_out(customer, None, Some(intent), email);
        }
        self.pause();
        match (how, self.rng.u32(0..100)) {
            ("pending", 0..65) => self.end_debit(&id, "succeeded"),
            ("pending", 65..90) => self.end_debit(&id, "failed"),
            ("held", 0..70) => self.capture(&id),
            ("held", 70..85) => self.release(&id),
            _ => {}
        }
    }

    /// Money goes back, whole or in part.
    pub fn refund(&mut self, charge: &str) {
        let it = self.stripe.charges[charge].clone();
        let gone: i64 =
            it.refunds.iter().filter(|it| !super::super::shapes::is_off(it.status)).map(|it| it.amount).sum();
        let left = it.amount_captured - gone;
        if it.status != "succeeded" || !it.captured || left <= 0 {
            return;
        }
        let has_events = self.era().emits_refunds();
        let amount = if self.chance(50) { left } else { self.rng.i64(1..=left) };
        // In the minute of the capture it could not be emitted from what was never captured.
        let is_alike = it.remainder.is_some_and(|it| it.amount == amount && it.created + 120 > self.now);
        let amount = if is_alike { amount - 1 } else { amount };
        if amount == 0 {
            return;
        }
        let refund = Refund {
            id: self.id("re"),
            charge: charge.to_owned(),
            intent: it.intent.clone(),
            created: self.now,
            currency: it.currency.clone(),
            amount,
            status: self.pick(&["succeeded", "succeeded", "pending"]),
        };
        let value = self.pen().refund(&refund);
        self.stripe.refunds.insert(refund.id.clone(), refund.clone());
        if has_events {
            self.emit(&refund.id.clone(), None, &value, &["refund.created"]);
        }
        self.change_charge(charge, &["charge.refunded"], |it, _| it.refunds.push(refund.clone()));
        if self.chance(60) {
            return;
        }
        self.pause();
        self.decide_refund(&refund);
    }

    fn decide_refund(&mut self, refund: &Refund) {
        let status = match refund.status {
            "pending" => self.pick(&["succeeded", "failed", "canceled"]),
            _ => "failed",
        };
        let types: &[&str] = match (self.era().emits_refunds(), status) {
            (false, _) => &["charge.refund.updated"],
            (true, "failed") => &["refund.updated", "charge.refund.updated", "refund.failed"],
            (true, _) => &["refund.updated", "charge.refund.updated"],
        };
        self.change_refund(&refund.id, types, |it, _| it.status = status);
        let charge = self.stripe.charges.get_mut(&refund.charge).unwrap();
        charge.refunds.iter_mut().filter(|it| it.id == refund.id).for_each(|it| it.status = status);
        if status != "succeeded" {
            // Two sums of one second, with a failure between them, do not emit which was the last.
            self.wait(1);
        }
    }

    /// A dispute, from its opening to its end or to somewhere between.
    pub fn dispute(&mut self, charge: &str) {
        let it = self.stripe.charges[charge].clone();
        if it.status != "succeeded"
            || !it.captured
            || self.stripe.disputes.values().any(|one| one.charge == charge)
        {
            return;
        }
        let is_warning = self.chance(20);
        let id = self.id("dp");
        let account_currency = if self.chance(80) { it.currency.clone() } else { "chf".to_owned() };
        let dispute = Dispute {
            id: id.clone(),
            charge: charge.to_owned(),
            intent: it.intent.clone(),
            created: self.now,
            currency: it.currency.clone(),
            amount: if self.chance(80) { it.amount_captured } else { self.rng.i64(1..=it.amount_captured) },
            status: if is_warning { "warning_needs_response" } else { "needs_response" },
            movements: Vec::new(),
            account_currency,
            evidence: 0,
        };
        let value = self.pen().dispute(&dispute);
        self.stripe.disputes.insert(id.clone(), dispute);
        self.emit(&id, None, &value, &["charge.dispute.created"]);
        if is_warning {
            self.pause();
            let next = self.pick(&["warning_under_review", "warning_closed", "needs_response"]);
            let kind =
                if next == "warning_closed" { "charge.dispute.closed" } else { "charge.dispute.updated" };
            self.change_dispute(&id, &[kind], |it, _| it.status = next);
            if next != "needs_response" {
                return;
            }
        }
        self.move_funds(&id, "charge.dispute.funds_withdrawn", -1);
        self.pause();
        if self.chance(70) {
            self.change_dispute(&id, &["charge.dispute.updated"], |it, _| {
                it.status = "under_review";
                it.evidence += 1;
            });
        }
        match self.rng.u32(0..4) {
            0 => self.change_dispute(&id, &["charge.dispute.closed"], |it, _| it.status = "lost"),
            1 => {
                self.change_dispute(&id, &["charge.dispute.closed"], |it, _| it.status = "won");
                self.move_funds(&id, "charge.dispute.funds_reinstated", 1);
            }
            2 => {
                self.move_funds(&id, "charge.dispute.funds_reinstated", 1);
                self.change_dispute(&id, &["charge.dispute.closed"], |it, _| it.status = "won");
            }
            _ => {}
        }
    }

    fn move_funds(&mut self, id: &str, kind: &str, sign: i64) {
        let movement = self.id("txn");
        self.change_dispute(id, &[kind], |it, _| {
            let currency = it.account_currency.clone();
            it.movements.push(Movement { id: movement.clone(), amount: sign * it.amount, currency });
        });
    }

    /// Adjusts an invoice; the cash, if any, moves by a refund.
    pub fn credit_note(&mut self) {
        let paid = self.stripe.invoices.values().filter(|it| it.status == "paid");
        let ids: Vec<String> = paid.map(|it| it.id.clone()).collect();
        let Some(invoice) = self.any(ids) else { return };
        let id = self.id("cn");
        let value = serde_json::json!({ "id": id, "object": "credit_note", "invoice": invoice, "amount": 500,
            "currency": "usd", "status": "issued", "created": self.now });
        self.emit(&id, None, &value, &["credit_note.created"]);
        if self.chance(50) {
            self.change_invoice(&invoice, &[INVOICE_UPDATED], |it, now| {
                it.metadata.insert("credit_note".to_owned(), now.to_string());
            });
        }
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
