//! The stored parts of Stripe's objects. These are the facts' `state`; fields are added, never renamed. Times
//! are Unix seconds, amounts minor units of the object's currency (lower case).

pub(super) mod charge;
pub(super) mod customer;
pub(super) mod discount;
pub(super) mod invoice;
pub(super) mod price;
pub(super) mod subscription;
pub(super) mod tax;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// One object that an event reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StripeObject {
    /// `customer`
    Customer(Customer),
    /// `checkout.session`
    Checkout(Checkout),
    /// `subscription`
    Subscription(Subscription),
    /// `invoice`
    Invoice(Invoice),
    /// `invoice_payment`
    InvoicePayment(InvoicePayment),
    /// `charge`
    Charge(Charge),
    /// `refund`
    Refund(Refund),
    /// `dispute`
    Dispute(Dispute),
    /// `price`
    Price(Price),
    /// `product`
    Product(Product),
    /// `coupon`
    Coupon(Coupon),
    /// `discount`, as reported by `customer.discount.*`
    Discount(Discount),
    /// A pre-existing row of `payment_history`: represents Stripe's objects until events report them
    #[serde(rename = "found_payment")]
    ImportedPayment(ImportedPayment),
}

/// A payment that the application recorded before memberflow. It belongs to the row's user, whoever the
/// Stripe customer was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportedPayment {
    /// `found/` and the row's id.
    pub id: String,
    /// Stand-in for the user's customers: `found/user/` and the user's id.
    pub customer: String,
    pub invoice: Option<String>,
    pub payment_intent: Option<String>,
    /// The row's status; only `succeeded` counts.
    pub status: String,
    pub currency: String,
    pub amount: i64,
    pub paid_at: Option<i64>,
    pub created: i64,
}

/// A customer. Deleted ones keep their history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Customer {
    pub id: String,
    pub created: i64,
    pub email: Option<String>,
    /// Values of the configured metadata keys, strongest key first; only those present.
    pub user_ids: Vec<String>,
    pub deleted: bool,
    /// The customer-level discount, if the object shows one.
    pub discount: Option<Discount>,
    /// The address before the event that reported this state, if the event has it. Not part of the state.
    #[serde(skip)]
    pub previous_email: Option<String>,
}

/// A checkout session: who paid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checkout {
    pub id: String,
    pub created: i64,
    /// Absent for a guest.
    pub customer: Option<String>,
    pub subscription: Option<String>,
    pub payment_intent: Option<String>,
    /// The invoice of the payment, if any event ever named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice: Option<String>,
    pub client_reference_id: Option<String>,
    /// `customer_details.email`, else `customer_email`.
    pub email: Option<String>,
    pub user_ids: Vec<String>,
    /// Complete, and paid or free. Before that it is not evidence of whose the payment is: anybody can open a
    /// session in anybody's name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_settled: bool,
}

/// A subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subscription {
    pub id: String,
    pub customer: String,
    pub created: i64,
    /// As Stripe reports it, known or not.
    pub status: String,
    /// If `status` is unknown: the last known one before it.
    pub known_status: Option<String>,
    /// Imported from the database, and no event has reported it yet: its items are unknown.
    pub needs_stripe: bool,
    pub currency: Option<String>,
    pub start_date: Option<i64>,
    pub ended_at: Option<i64>,
    pub canceled_at: Option<i64>,
    pub cancel_at_period_end: bool,
    /// When it is to end, if set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_at: Option<i64>,
    /// `cancellation_details.reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_reason: Option<String>,
    /// `cancellation_details.feedback`. The comment next to it is free text of a person, and is not stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_feedback: Option<String>,
    /// The earliest of the items' (or the old top-level) period starts, the latest of the ends.
    pub current_period_start: Option<i64>,
    pub current_period_end: Option<i64>,
    pub trial_start: Option<i64>,
    pub trial_end: Option<i64>,
    /// `pause_collection.behavior`; present if collection is paused, empty if the behavior is not shown.
    pub pause_behavior: Option<String>,
    /// In Stripe's order.
    pub items: Vec<Item>,
    /// The list of items has more than the event shows.
    pub items_truncated: bool,
    /// Subscription-level discounts, in list order.
    pub discounts: Vec<Discount>,
    /// Tax rates of items without their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_tax_rates: Vec<TaxRate>,
    /// Stripe computes the tax for each invoice: the rate is unknown here.
    #[serde(skip_serializing_if = "is_false")]
    pub automatic_tax: bool,
    pub user_ids: Vec<String>,
}

/// One line of a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Item {
    pub id: String,
    pub price: Price,
    /// Absent counts as 1.
    pub quantity: Option<u64>,
    /// `current_trial.end_date` (2026 on).
    pub trial_end: Option<i64>,
    pub discounts: Vec<Discount>,
    /// If there are any, the subscription's do not apply.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tax_rates: Vec<TaxRate>,
}

/// A tax rate of a subscription or an item. Its terms never change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaxRate {
    pub id: String,
    /// Included in the price; otherwise added on top.
    pub inclusive: bool,
    /// Decimal text; absent if only the rate's id is given.
    pub percentage: Option<String>,
}

/// A price, or an old plan in the same fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Price {
    pub id: String,
    pub product: Option<String>,
    pub currency: Option<String>,
    /// `unit_amount_decimal`, else `unit_amount`, as decimal text in minor units; absent for tiered prices.
    pub unit_amount: Option<String>,
    /// `day`, `week`, `month` or `year`; absent for one-off prices.
    pub interval: Option<String>,
    pub interval_count: Option<u32>,
    /// `usage_type` is `metered`.
    pub metered: bool,
    pub transform_quantity: Option<TransformQuantity>,
    /// `graduated` or `volume`; absent unless `billing_scheme` is `tiered`.
    pub tiers_mode: Option<String>,
    /// Present only if the object shows them (events about prices do not always).
    pub tiers: Vec<Tier>,
    /// `inclusive` or `exclusive`; absent while unspecified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_behavior: Option<String>,
    pub nickname: Option<String>,
}

/// `transform_quantity`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TransformQuantity {
    pub divide_by: u64,
    pub round_up: bool,
}

/// One tier of a tiered price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tier {
    /// Absent: to infinity.
    pub up_to: Option<u64>,
    /// Decimal text, minor units.
    pub unit_amount: Option<String>,
    /// Decimal text, minor units.
    pub flat_amount: Option<String>,
}

/// A product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Product {
    pub id: String,
    pub name: Option<String>,
    pub active: bool,
}

/// A coupon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Coupon {
    pub id: String,
    /// Decimal text, exactly as the JSON writes it.
    pub percent_off: Option<String>,
    pub amount_off: Option<i64>,
    pub currency: Option<String>,
    /// `amount_off` in other currencies, if shown: by the API on request, never by events.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub currency_options: BTreeMap<String, i64>,
    /// `forever`, `once` or `repeating`.
    pub duration: String,
    pub duration_in_months: Option<u32>,
}

/// A discount: an applied coupon. If an event gives only an id, `coupon` and `coupon_id` are absent. Old ones
/// without an id are named after their owner, which can have only one: `discount:cus_…`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Discount {
    pub id: String,
    pub customer: Option<String>,
    pub subscription: Option<String>,
    pub subscription_item: Option<String>,
    pub coupon_id: Option<String>,
    pub coupon: Option<Coupon>,
    pub start: Option<i64>,
    pub end: Option<i64>,
    /// `customer.discount.deleted` has reported its end.
    pub deleted: bool,
}

/// An invoice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Invoice {
    pub id: String,
    pub customer: Option<String>,
    pub created: i64,
    pub currency: String,
    /// `draft`, `open`, `paid`, `void`, `uncollectible`, or a future status.
    pub status: String,
    pub subscription: Option<String>,
    pub amount_paid: i64,
    pub amount_due: i64,
    pub attempt_count: i64,
    /// The last failed attempt in any event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailedAttempt>,
    /// Old versions only; whether any event ever reported it.
    pub paid_out_of_band: bool,
    pub paid_at: Option<i64>,
    /// Old versions only.
    pub payment_intent: Option<String>,
    /// Old versions only.
    pub charge: Option<String>,
    /// The payments that paid it, or tried to, from all events about it.
    pub payments: BTreeSet<Paid>,
    pub billing_reason: Option<String>,
    pub number: Option<String>,
    /// The amount of each subscription item in its latest period, without prorations: for prices with unknown
    /// tiers. Empty if the invoice has only prorations and one-off lines.
    pub last_lines: Vec<InvoiceLine>,
    /// What each discount took off it, by the discount's id; empty if it has only prorations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub discount_amounts: BTreeMap<String, i64>,
}

/// A failed attempt to collect an invoice, as `invoice.payment_failed` shows it. The later one is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct FailedAttempt {
    /// When it had failed.
    pub at: i64,
    /// The attempts until then, including this one.
    pub attempt_count: i64,
    /// What had been paid until then.
    pub amount_paid: i64,
}

impl Paid {
    /// Whether it names a payment at all.
    #[must_use]
    pub const fn names_any(&self) -> bool {
        self.intent.is_some() || self.charge.is_some()
    }
}

/// The payment that an invoice names: in old versions only.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Paid {
    pub intent: Option<String>,
    pub charge: Option<String>,
    /// The event that named it showed the invoice as paid: the payment succeeded. Otherwise it may have been
    /// a failed attempt.
    pub succeeded: bool,
}

/// A subscription item's recurring amount on an invoice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InvoiceLine {
    pub price: Option<String>,
    pub subscription_item: Option<String>,
    pub amount: i64,
}

/// `invoice_payment`: which payment paid which invoice (2025 on).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InvoicePayment {
    pub id: String,
    pub invoice: String,
    pub payment_intent: Option<String>,
    pub charge: Option<String>,
    pub status: String,
    pub amount_paid: Option<i64>,
    pub paid_at: Option<i64>,
}

/// A charge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Charge {
    pub id: String,
    pub customer: Option<String>,
    pub created: i64,
    pub currency: String,
    /// `succeeded`, `pending`, `failed`.
    pub status: String,
    pub captured: bool,
    pub amount: i64,
    /// The whole amount of a captured charge if the event has no captured amount.
    pub amount_captured: i64,
    /// The largest captured amount in any event: it only grows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stated_captured: Option<i64>,
    /// The earliest event that showed it captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<i64>,
    /// Cumulative, without failed refunds. Includes what was never captured, once the rest was.
    pub amount_refunded: i64,
    /// When this state of the charge was reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<i64>,
    pub payment_intent: Option<String>,
    /// Old versions only, from any event about it.
    pub invoice: Option<String>,
    pub description: Option<String>,
    /// Old versions embed the charge's refunds; newer ones report each in its own event. The union of all
    /// events.
    pub refunds: Vec<Refund>,
}

/// A refund.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refund {
    pub id: String,
    pub created: i64,
    pub currency: String,
    pub amount: i64,
    /// `pending`, `requires_action`, `succeeded`, `failed`, `canceled`; absent in very old versions.
    pub status: Option<String>,
    pub charge: Option<String>,
    pub payment_intent: Option<String>,
    /// The earliest event that showed it failed or canceled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<i64>,
}

impl Charge {
    /// The collected amount: what was captured.
    #[must_use]
    pub fn collected(&self) -> i64 {
        self.stated_captured.unwrap_or(self.amount_captured).max(0)
    }
}

impl Refund {
    /// Whether it failed or was canceled; a pending refund counts.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.status.as_deref(), Some("failed" | "canceled"))
    }
}

/// A dispute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dispute {
    pub id: String,
    pub created: i64,
    pub currency: String,
    pub amount: i64,
    pub status: String,
    pub charge: Option<String>,
    pub payment_intent: Option<String>,
    /// Funds withdrawn (negative) and reinstated (positive), without fees.
    pub balance_transactions: Vec<BalanceTransaction>,
}

/// One movement of a dispute's funds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BalanceTransaction {
    pub id: String,
    pub amount: i64,
    pub currency: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
