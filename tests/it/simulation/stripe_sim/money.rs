//! Charges, one-off payments, refunds, disputes and credit notes.

use super::super::shapes::Era;
use super::super::state::Simulation;
use super::invoices::INVOICE_UPDATED;
use super::objects::{Charge, Dispute, Invoice, Metadata, Movement, Refund};

impl Simulation {
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
