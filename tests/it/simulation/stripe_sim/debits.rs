//! Payments that take their time: bank debits, which succeed or fail days after the attempt, and authorisations,
//! which are captured, in part perhaps, or released.

use super::super::shapes::Era;
use super::super::state::Simulation;
use super::invoices::INVOICE_UPDATED;
use super::objects::Refund;

impl Simulation {
    /// An attempt to collect an invoice by bank debit, and what comes of it; often nothing for a while.
    pub fn debit(&mut self, id: &str) {
        let invoice = self.stripe.invoices[id].clone();
        if invoice.amount_due == 0 {
            return self.settle_without_money(id);
        }
        let needs_intent = self.era() != Era::Y2018 && (invoice.intent.is_none() || invoice.amount_paid > 0);
        let intent = if needs_intent { Some(self.id("pi")) } else { invoice.intent.clone() };
        let charge = self.new_charge(&invoice, "pending", intent.clone());
        self.change_invoice(id, &[INVOICE_UPDATED], |it, _| {
            it.status = "open";
            it.attempts += 1;
            it.failed = false;
            it.intent.clone_from(&intent);
            it.charge = Some(charge.clone());
            it.debit = Some(charge.clone());
        });
        self.pause();
        match self.rng.u32(0..100) {
            0..50 => self.succeed_debit(id),
            50..80 => self.fail_debit(id),
            _ => {}
        }
    }

    pub fn succeed_debit(&mut self, id: &str) {
        let invoice = self.stripe.invoices[id].clone();
        self.end_debit(invoice.debit.as_ref().unwrap(), "succeeded");
        self.link(id, invoice.intent.as_deref(), &invoice.currency, invoice.amount_due - invoice.amount_paid);
        let types = self.with_update(&["invoice.paid", "invoice.payment_succeeded"]);
        let types = self.of_the_time(types);
        self.change_invoice(id, &types, |it, now| {
            it.status = "paid";
            it.amount_paid = it.amount_due;
            it.debit = None;
            it.paid_at = Some(now);
            it.paid_by.clone_from(&it.intent);
        });
    }

    pub fn fail_debit(&mut self, id: &str) {
        let charge = self.stripe.invoices[id].debit.clone().unwrap();
        self.end_debit(&charge, "failed");
        let types = self.with_update(&["invoice.payment_failed"]);
        self.change_invoice(id, &types, |it, _| {
            it.failed = true;
            it.debit = None;
        });
    }

    pub fn end_debit(&mut self, charge: &str, status: &'static str) {
        let kind = if status == "failed" { "charge.failed" } else { "charge.succeeded" };
        self.change_charge(charge, &[kind], |it, _| it.status = status);
    }

    /// The whole of an authorisation is captured, or a part; what is left Stripe shows as a refund.
    pub fn capture(&mut self, charge: &str) {
        let it = self.stripe.charges[charge].clone();
        let part = if self.chance(30) { it.amount } else { self.rng.i64(1..=it.amount) };
        let remainder = (part < it.amount).then(|| self.unpaid(charge, it.amount - part));
        self.change_charge(charge, &["charge.captured"], |it, _| {
            it.captured = true;
            it.amount_captured = part;
            it.remainder.clone_from(&remainder);
        });
        let Some(remainder) = remainder else { return };
        let has_events = self.era().emits_refunds();
        if has_events || self.chance(50) {
            let value = self.pen().refund(&remainder);
            let kind = if has_events { "refund.created" } else { "charge.refund.updated" };
            self.emit(&remainder.id, None, &value, &[kind]);
        }
    }

    /// Nothing is captured: the authorisation ends, which looks like a refund of the whole.
    pub fn release(&mut self, charge: &str) {
        let whole = self.unpaid(charge, self.stripe.charges[charge].amount);
        let kind = self.pick(&["charge.refunded", "charge.expired"]);
        self.change_charge(charge, &[kind], |it, _| it.remainder = Some(whole.clone()));
        if self.era().emits_refunds() {
            let value = self.pen().refund(&whole);
            self.emit(&whole.id, None, &value, &["refund.created"]);
        }
    }

    /// Money that was never collected, as Stripe shows it.
    fn unpaid(&mut self, charge: &str, amount: i64) -> Refund {
        let it = self.stripe.charges[charge].clone();
        Refund {
            id: self.id("re"),
            charge: charge.to_owned(),
            intent: it.intent,
            created: self.now,
            currency: it.currency,
            amount,
            status: "succeeded",
        }
    }
}
