//! The objects of a Stripe account as they truly are, in no API version's shape. Times are Unix seconds,
//! amounts minor units.

use std::collections::BTreeMap;

use super::super::shapes::Era;

pub type Metadata = BTreeMap<String, String>;

#[derive(Clone, Debug, Default)]
pub struct Customer {
    pub id: String,
    pub created: i64,
    pub email: Option<String>,
    pub metadata: Metadata,
    pub discount: Option<Discount>,
    pub deleted: bool,
}

#[derive(Clone, Debug)]
pub struct Tier {
    pub up_to: Option<u64>,
    pub unit: i64,
    pub flat: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Price {
    pub id: String,
    pub product: String,
    pub currency: String,
    /// Tenths of minor units; none for tiered prices.
    pub unit_tenths: Option<i64>,
    pub interval: &'static str,
    pub count: u32,
    pub metered: bool,
    /// Units in a package, and whether a part of one is a whole one.
    pub package: Option<(u64, bool)>,
    pub tiers: Vec<Tier>,
    pub graduated: bool,
    /// An event has shown the tiers.
    pub tiers_emitted: bool,
    /// `inclusive` or `exclusive`, once somebody has said so.
    pub tax_behavior: Option<&'static str>,
    pub nickname: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// Hundredths of a percent.
    Percent(i64),
    Amount(i64, &'static str),
}

#[derive(Clone, Debug)]
pub struct Coupon {
    pub id: String,
    pub off: Off,
    /// `forever`, `once`, `repeating`
    pub duration: &'static str,
    pub months: Option<u32>,
    /// The amount off in other currencies, where the object shows it.
    pub options: Vec<(&'static str, i64)>,
    pub name: String,
    /// An event of its own has emitted of it.
    pub emitted: bool,
}

#[derive(Clone, Debug)]
pub struct Discount {
    pub id: String,
    pub coupon: Coupon,
    pub customer: String,
    pub subscription: Option<String>,
    pub item: Option<String>,
    pub start: i64,
    pub end: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct TaxRate {
    pub id: String,
    pub inclusive: bool,
    /// Thousandths of a percent.
    pub thousandths: i64,
}

#[derive(Clone, Debug)]
pub struct Item {
    pub id: String,
    pub price: Price,
    pub quantity: Option<u64>,
    pub trial_end: Option<i64>,
    pub discounts: Vec<Discount>,
    pub tax_rates: Vec<TaxRate>,
}

#[derive(Clone, Debug)]
pub struct Subscription {
    pub id: String,
    pub customer: String,
    pub created: i64,
    pub start_date: i64,
    pub status: String,
    /// The last status that the tables can show.
    pub known_status: Option<String>,
    pub currency: String,
    pub period: (i64, i64),
    pub cancel_at_period_end: bool,
    pub cancel_at: Option<i64>,
    pub canceled_at: Option<i64>,
    /// `cancellation_details.reason` and `.feedback`.
    pub reason: Option<&'static str>,
    pub feedback: Option<&'static str>,
    pub ended_at: Option<i64>,
    pub trial: Option<(i64, i64)>,
    pub pause: Option<&'static str>,
    pub items: Vec<Item>,
    pub discounts: Vec<Discount>,
    pub tax_rates: Vec<TaxRate>,
    pub automatic_tax: bool,
    pub metadata: Metadata,
}

#[derive(Clone, Debug)]
pub struct Line {
    pub item: Item,
    pub amount: i64,
    pub proration: bool,
    pub period: (i64, i64),
}

#[derive(Clone, Debug)]
pub struct Invoice {
    pub id: String,
    pub customer: String,
    pub subscription: Option<String>,
    pub created: i64,
    pub currency: String,
    /// `draft`, `open`, `paid`, `void`, `uncollectible`
    pub status: &'static str,
    pub amount_due: i64,
    /// Through Stripe.
    pub amount_paid: i64,
    pub attempts: i64,
    /// The charge of the bank debit that is under way.
    pub debit: Option<String>,
    /// The last attempt to collect has failed.
    pub failed: bool,
    pub out_of_band: bool,
    pub finalized_at: Option<i64>,
    pub paid_at: Option<i64>,
    pub voided_at: Option<i64>,
    pub given_up_at: Option<i64>,
    /// The payment intent, and the charge of its last attempt.
    pub intent: Option<String>,
    pub charge: Option<String>,
    /// The payment intent of the last payment that succeeded.
    pub paid_by: Option<String>,
    pub lines: Vec<Line>,
    /// What each discount took off, by its id.
    pub discounted: Vec<(String, i64)>,
    pub metadata: Metadata,
    /// The version of the last event about it.
    pub emitted_in: Era,
}

impl Invoice {
    /// By whatever means.
    pub fn collected(&self) -> i64 {
        if self.out_of_band { self.amount_due } else { self.amount_paid }
    }
}

#[derive(Clone, Debug)]
pub struct InvoicePayment {
    pub id: String,
    pub invoice: String,
    pub intent: String,
    pub currency: String,
    pub amount: i64,
    pub created: i64,
}

#[derive(Clone, Debug)]
pub struct Charge {
    pub id: String,
    pub customer: Option<String>,
    pub created: i64,
    pub currency: String,
    /// `succeeded`, `pending`, `failed`
    pub status: &'static str,
    pub captured: bool,
    pub amount: i64,
    pub amount_captured: i64,
    pub intent: Option<String>,
    pub invoice: Option<String>,
    pub refunds: Vec<Refund>,
    /// What was never captured, as Stripe shows it.
    pub remainder: Option<Refund>,
    pub metadata: Metadata,
}

#[derive(Clone, Debug)]
pub struct Refund {
    pub id: String,
    pub charge: String,
    pub intent: Option<String>,
    pub created: i64,
    pub currency: String,
    pub amount: i64,
    /// `pending`, `requires_action`, `succeeded`, `failed`, `canceled`
    pub status: &'static str,
}

#[derive(Clone, Debug)]
pub struct Movement {
    pub id: String,
    pub amount: i64,
    pub currency: String,
}

#[derive(Clone, Debug)]
pub struct Dispute {
    pub id: String,
    pub charge: String,
    pub intent: Option<String>,
    pub created: i64,
    pub currency: String,
    pub amount: i64,
    pub status: &'static str,
    pub movements: Vec<Movement>,
    /// In which the account's funds move; another than the charge's where that is converted.
    pub account_currency: String,
    pub evidence: u32,
}

#[derive(Clone, Debug)]
pub struct Checkout {
    pub id: String,
    pub created: i64,
    pub customer: Option<String>,
    pub subscription: Option<String>,
    pub intent: Option<String>,
    /// Made after the payment.
    pub invoice: Option<String>,
    pub reference: Option<String>,
    pub email: Option<String>,
    pub metadata: Metadata,
    pub paid: bool,
    /// It expired without a payment.
    pub abandoned: bool,
}
