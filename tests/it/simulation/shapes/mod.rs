//! The objects in events, in the shape of the endpoint's API version.

mod old;
mod recent;

use serde_json::{Value, json};

use super::stripe_sim::objects::{
    Charge, Checkout, Coupon, Customer, Discount, Dispute, Invoice, InvoicePayment, Off, Price, Refund,
    Subscription, TaxRate, Tier,
};

/// API versions that differ in where they say things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Era {
    /// Plans, charges without payment intents, invoices without a status, one discount without an id.
    Y2018,
    /// Prices, payment intents, embedded refunds.
    Y2020,
    Y2022,
    /// Refunds of a charge only as the sum of them; single ones where they change.
    Y2023,
    /// Refunds in events of their own.
    Y2024,
    /// Periods on items, discounts by id, invoice payments.
    Y2025,
    /// Trials of items.
    Y2026,
}

impl Era {
    pub const ALL: [Self; 7] =
        [Self::Y2018, Self::Y2020, Self::Y2022, Self::Y2023, Self::Y2024, Self::Y2025, Self::Y2026];

    pub const fn version(self) -> &'static str {
        match self {
            Self::Y2018 => "2018-05-21",
            Self::Y2020 => "2020-08-27",
            Self::Y2022 => "2022-08-01",
            Self::Y2023 => "2023-10-16",
            Self::Y2024 => "2024-11-20.acacia",
            Self::Y2025 => "2025-09-30.clover",
            Self::Y2026 => "2026-10-28.endive",
        }
    }

    pub fn is_old(self) -> bool {
        self < Self::Y2025
    }

    /// Charges come with the list of their refunds.
    pub fn lists_refunds(self) -> bool {
        self < Self::Y2023
    }

    /// Refunds of charges have events of their own, from the first on.
    pub fn emits_refunds(self) -> bool {
        self >= Self::Y2024
    }
}

/// How one event is written.
#[derive(Clone, Copy)]
pub struct Pen {
    pub era: Era,
    pub expands: bool,
}

impl Pen {
    fn customer_id(self, id: Option<&str>) -> Value {
        match id {
            Some(id) if self.expands => json!({ "id": id, "object": "customer", "livemode": false }),
            id => json!(id),
        }
    }

    pub fn customer(self, it: &Customer) -> Value {
        let mut value = json!({ "id": it.id, "object": "customer", "created": it.created, "currency": null,
            "email": it.email, "metadata": it.metadata, "livemode": false, "delinquent": false,
            "discount": it.discount.as_ref().map(|discount| self.discount(discount)) });
        let key = if self.era == Era::Y2018 { "account_balance" } else { "balance" };
        value[key] = json!(0);
        value
    }

    pub fn subscription(self, it: &Subscription) -> Value {
        if self.era.is_old() { old::subscription(self, it) } else { recent::subscription(self, it) }
    }

    pub fn invoice(self, it: &Invoice) -> Value {
        if self.era.is_old() { old::invoice(self, it) } else { recent::invoice(self, it) }
    }

    pub fn discount(self, it: &Discount) -> Value {
        if self.era.is_old() { old::discount(self, it) } else { recent::discount(self, it) }
    }

    pub fn price(self, it: &Price, shows_tiers: bool) -> Value {
        let tiers = (shows_tiers && !it.tiers.is_empty()).then_some(&it.tiers);
        if self.era == Era::Y2018 { old::plan(it, tiers) } else { recent::price(it, tiers) }
    }

    pub fn charge(self, it: &Charge) -> Value {
        // What was never captured shows as refunded.
        let shown = || it.remainder.iter().chain(&it.refunds);
        let refunded: i64 = shown().filter(|it| !is_off(it.status)).map(|refund| refund.amount).sum();
        let mut value = json!({ "id": it.id, "object": "charge", "amount": it.amount, "amount_refunded": refunded,
            "captured": it.captured, "created": it.created, "currency": it.currency, "status": it.status,
            "customer": self.customer_id(it.customer.as_deref()), "description": "A payment", "livemode": false,
            "metadata": it.metadata, "paid": it.status == "succeeded",
            "refunded": refunded > 0 && refunded == it.amount });
        if self.era != Era::Y2018 {
            value["amount_captured"] = json!(it.amount_captured);
            value["payment_intent"] = json!(it.intent);
        }
        if self.era.is_old() {
            value["invoice"] = json!(it.invoice);
        }
        if self.era.lists_refunds() {
            let refunds: Vec<Value> =
                shown().collect::<Vec<_>>().into_iter().rev().map(|refund| self.refund(refund)).collect();
            value["refunds"] = json!({ "object": "list", "total_count": refunds.len(), "data": refunds,
                "has_more": false, "url": format!("/v1/charges/{}/refunds", it.id) });
        }
        value
    }

    pub fn refund(self, it: &Refund) -> Value {
        let mut value = json!({ "id": it.id, "object": "refund", "amount": it.amount, "charge": it.charge,
            "created": it.created, "currency": it.currency, "metadata": {}, "reason": null, "status": it.status });
        if self.era != Era::Y2018 {
            value["payment_intent"] = json!(it.intent);
        }
        value
    }

    pub fn dispute(self, it: &Dispute) -> Value {
        let movements: Vec<Value> = it
            .movements
            .iter()
            .map(|one| {
                let fee = if one.amount < 0 { 1500 } else { 0 };
                json!({ "id": one.id, "object": "balance_transaction", "amount": one.amount,
                    "currency": one.currency, "fee": fee, "net": one.amount - fee, "type": "adjustment" })
            })
            .collect();
        let mut value = json!({ "id": it.id, "object": "dispute", "amount": it.amount, "charge": it.charge,
            "created": it.created, "currency": it.currency, "status": it.status, "reason": "fraudulent",
            "evidence_details": { "submission_count": it.evidence }, "metadata": {}, "livemode": false,
            "balance_transactions": movements });
        if self.era != Era::Y2018 {
            value["payment_intent"] = json!(it.intent);
        }
        value
    }

    pub fn invoice_payment(self, it: &InvoicePayment) -> Value {
        json!({ "id": it.id, "object": "invoice_payment", "amount_paid": it.amount, "amount_requested": it.amount,
            "created": it.created, "currency": it.currency, "invoice": it.invoice, "is_default": true,
            "livemode": false, "payment": { "payment_intent": it.intent, "type": "payment_intent" },
            "status": "paid", "status_transitions": { "canceled_at": null, "paid_at": it.created } })
    }

    pub fn checkout(self, it: &Checkout) -> Value {
        let mode = if it.subscription.is_some() { "subscription" } else { "payment" };
        let mut value = json!({ "id": it.id, "object": "checkout.session", "client_reference_id": it.reference,
            "customer": self.customer_id(it.customer.as_deref()), "customer_email": null, "livemode": false,
            "metadata": it.metadata, "mode": mode, "payment_intent": it.intent, "subscription": it.subscription });
        if it.invoice.is_some() {
            value["invoice"] = json!(it.invoice);
            value["invoice_creation"] = json!({ "enabled": true });
        }
        if self.era == Era::Y2018 {
            value["customer_email"] = json!(it.email);
        } else {
            value["created"] = json!(it.created);
            value["customer_details"] = json!({ "email": it.email, "name": null });
            value["payment_status"] = json!(if it.paid { "paid" } else { "unpaid" });
            if self.era > Era::Y2022 {
                value["status"] = json!(if it.abandoned { "expired" } else { "complete" });
            }
        }
        value
    }

    pub fn coupon(self, it: &Coupon) -> Value {
        let (percent, amount, currency) = match it.off {
            Off::Percent(hundredths) if hundredths % 100 == 0 => (json!(hundredths / 100), None, None),
            Off::Percent(hundredths) => (json!(hundredths as f64 / 100.0), None, None),
            Off::Amount(amount, currency) => (Value::Null, Some(amount), Some(currency)),
        };
        let mut value = json!({ "id": it.id, "object": "coupon", "amount_off": amount, "currency": currency,
            "duration": it.duration, "duration_in_months": it.months, "metadata": {}, "name": it.name,
            "percent_off": percent, "valid": true, "livemode": false });
        if !it.options.is_empty() {
            let option =
                |(currency, amount): &(&str, i64)| ((*currency).to_owned(), json!({ "amount_off": amount }));
            value["currency_options"] = Value::Object(it.options.iter().map(option).collect());
        }
        if let (Era::Y2018, Off::Percent(hundredths)) = (self.era, it.off) {
            value["percent_off"] = json!(hundredths / 100);
            value["percent_off_precise"] = percent;
        }
        value
    }
}

pub fn is_off(refund_status: &str) -> bool {
    matches!(refund_status, "failed" | "canceled")
}

/// Tenths of minor units as Stripe writes decimals.
pub fn decimal(tenths: i64) -> String {
    if tenths % 10 == 0 { (tenths / 10).to_string() } else { format!("{}.{}", tenths / 10, tenths % 10) }
}

fn tier(it: &Tier, amount_key: &str) -> Value {
    let mut value = json!({ "flat_amount": (it.flat > 0).then_some(it.flat), "up_to": it.up_to });
    value[amount_key] = json!(it.unit);
    value
}

/// What every version since 2020 says of a subscription in the same words.
fn write_cancellation_and_tax(value: &mut Value, it: &Subscription) {
    value["cancel_at"] = json!(it.cancel_at);
    value["cancellation_details"] = json!({ "comment": null, "feedback": it.feedback, "reason": it.reason });
    value["pause_collection"] = json!(it.pause.map(|how| json!({ "behavior": how, "resumes_at": null })));
    value["default_tax_rates"] = tax_rates(&it.tax_rates);
    value["automatic_tax"] = json!({ "enabled": it.automatic_tax, "liability": null });
}

fn tax_rates(rates: &[TaxRate]) -> Value {
    let rate = |it: &TaxRate| {
        json!({ "id": it.id, "object": "tax_rate", "inclusive": it.inclusive,
            "percentage": it.thousandths as f64 / 1000.0 })
    };
    rates.iter().map(rate).collect()
}

fn discount_amounts(it: &Invoice) -> Value {
    it.discounted.iter().map(|(id, amount)| json!({ "amount": amount, "discount": id })).collect()
}
