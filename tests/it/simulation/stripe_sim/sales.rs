//! What Checkout sells in one payment, with an invoice that is made of it afterwards.

use super::super::state::Simulation;
use super::objects::{Charge, Invoice, Metadata};

impl Simulation {
    /// The charge, the invoice and the session are emitted apart; only the session names both others.
    pub fn sell_with_invoice(&mut self, customer: &str, email: Option<String>) {
        if self.era().lists_refunds() {
            // There were no such invoices yet.
            return;
        }
        let (id, intent, charge) = (self.id("in"), self.id("pi"), self.id("ch"));
        let amount = self.rng.i64(100..50_000);
        let currency = self.pick(&["usd", "usd", "eur"]);
        self.stripe.invoiced.insert(intent.clone(), id.clone());
        self.emit_charge(Charge {
            id: charge,
            customer: Some(customer.to_owned()),
            created: self.now,
            currency: currency.to_owned(),
            status: "succeeded",
            captured: true,
            amount,
            amount_captured: amount,
            intent: Some(intent.clone()),
            invoice: None,
            refunds: Vec::new(),
            remainder: None,
            metadata: Metadata::new(),
        });
        let invoice = Invoice {
            id: id.clone(),
            customer: customer.to_owned(),
            subscription: None,
            created: self.now,
            currency: currency.to_owned(),
            status: "paid",
            amount_due: amount,
            amount_paid: amount,
            attempts: 0,
            debit: None,
            failed: false,
            out_of_band: false,
            finalized_at: Some(self.now),
            paid_at: Some(self.now),
            voided_at: None,
            given_up_at: None,
            intent: None,
            charge: None,
            paid_by: Some(intent.clone()),
            lines: Vec::new(),
            discounted: Vec::new(),
            metadata: Metadata::new(),
            emitted_in: self.era(),
        };
        let value = self.pen().invoice(&invoice);
        self.stripe.invoices.insert(id.clone(), invoice);
        self.emit(&id, None, &value, &["invoice.paid"]);
        self.check_out(Some(customer), None, Some(&intent), email);
    }
}
