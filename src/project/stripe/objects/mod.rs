//! What memberflow keeps of Stripe's objects. These are stored as the facts' `state`; fields are added,
//! never renamed. Times are Unix seconds, amounts minor units of the object's currency (lower case).

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
    /// `discount`, as `customer.discount.*` tells it
    Discount(Discount),
    /// A row that stood in `payment_history`: stands for Stripe's objects until events tell of those
    FoundPayment(FoundPayment),
}

/// A payment that the application had kept. It is the user's, whoever Stripe's customer was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FoundPayment {
    /// `found/` and the row's id.
    pub id: String,
    /// Stands for the user's customers: `found/user/` and the user's id.
    pub customer: String,
    pub invoice: Option<String>,
    pub payment_intent: Option<String>,
    /// As the row says it; the row is no payment that counts unless it is `succeeded`.
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
    /// The customer-level discount, where the object shows one.
    pub discount: Option<Discount>,
    /// The address before the event that reported this state, where the event says. No part of the state.
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
    /// The invoice of the payment; any event that ever named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice: Option<String>,
    pub client_reference_id: Option<String>,
    /// `customer_details.email`, else `customer_email`.
    pub email: Option<String>,
    pub user_ids: Vec<String>,
    /// Complete, and paid or free. Before that it says nothing of whose the payment is: anybody can open a
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
    /// As Stripe says it, known to us or not.
    pub status: String,
    /// Where `status` is none that we know: the last one before it that we do.
    pub known_status: Option<String>,
    /// Found in the database, and no event has reported it yet: its items are not known.
    pub needs_stripe: bool,
    pub currency: Option<String>,
    pub start_date: Option<i64>,
    pub ended_at: Option<i64>,
    pub canceled_at: Option<i64>,
    pub cancel_at_period_end: bool,
    /// The day on which it is to end, where one was set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancel_at: Option<i64>,
    /// `cancellation_details.reason`: one of Stripe's words for who or what ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_reason: Option<String>,
    /// `cancellation_details.feedback`: one of Stripe's words. The comment beside it is what a person wrote, and
    /// is not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cancellation_feedback: Option<String>,
    /// The earliest of the items' (or the old top-level) period starts, the latest of the ends.
    pub current_period_start: Option<i64>,
    pub current_period_end: Option<i64>,
    pub trial_start: Option<i64>,
    pub trial_end: Option<i64>,
    /// `pause_collection.behavior`; present wherever collection is paused, empty where the way is not shown.
    pub pause_behavior: Option<String>,
    /// In Stripe's order.
    pub items: Vec<Item>,
    /// The items' list has more than the event shows.
    pub items_truncated: bool,
    /// On the subscription's own level, in list order.
    pub discounts: Vec<Discount>,
    /// Tax rates of the items that have none of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_tax_rates: Vec<TaxRate>,
    /// Stripe works the tax out for each invoice: no rate is known here.
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
    /// Where there are any, the subscription's do not apply.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tax_rates: Vec<TaxRate>,
}

/// A tax rate as a subscription or an item shows it. Its terms never change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaxRate {
    pub id: String,
    /// The price includes it; otherwise it comes on top.
    pub inclusive: bool,
    /// Decimal text; absent where the rate is given by its id alone.
    pub percentage: Option<String>,
}

/// A price, or an old plan in the same words.
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
    /// Present only where the object shows them (events about prices do not always).
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

/// A product of our own catalogue.
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
    /// `amount_off` in other currencies, where the object shows them: the API on request, events do not.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub currency_options: BTreeMap<String, i64>,
    /// `forever`, `once` or `repeating`.
    pub duration: String,
    pub duration_in_months: Option<u32>,
}

/// A discount: a coupon at work. Where an event gives only an id, `coupon` and `coupon_id` are absent. Those
/// of old without an id are named after their owner, who can have but one: `discount:cus_…`.
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
    /// `draft`, `open`, `paid`, `void`, `uncollectible`, or what Stripe says next.
    pub status: String,
    pub subscription: Option<String>,
    pub amount_paid: i64,
    pub amount_due: i64,
    pub attempt_count: i64,
    /// The last failed attempt that any event reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<FailedAttempt>,
    /// Old versions only; any event that ever said so.
    pub paid_out_of_band: bool,
    pub paid_at: Option<i64>,
    /// Old versions only.
    pub payment_intent: Option<String>,
    /// Old versions only.
    pub charge: Option<String>,
    /// What paid it, or tried to, as any event about it ever said.
    pub payments: BTreeSet<Paid>,
    pub billing_reason: Option<String>,
    pub number: Option<String>,
    /// What it asks for each subscription item in its latest period, prorations left out: for prices whose
    /// tiers we don't know. Empty where an invoice holds prorations and one-off lines only.
    pub last_lines: Vec<InvoiceLine>,
    /// What each discount took off it, by the discount's id; not where it asks for prorations alone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub discount_amounts: BTreeMap<String, i64>,
}

/// A failed attempt to collect an invoice, as `invoice.payment_failed` shows it. The later one is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct FailedAttempt {
    /// When it had failed.
    pub at: i64,
    /// The attempts until then, this one included.
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
    /// The report that named it showed the invoice paid: the payment succeeded. Otherwise it may have been
    /// an attempt.
    pub succeeded: bool,
}

/// What an invoice line says of a subscription item's recurring amount.
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
    /// The whole of a captured charge where the event does not say.
    pub amount_captured: i64,
    /// The most that any event said was captured. Captures are only ever added to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stated_captured: Option<i64>,
    /// The earliest event that showed it captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<i64>,
    /// Cumulative, without failed refunds. Includes what was never captured, once the rest was.
    pub amount_refunded: i64,
    /// When the charge was as it stands here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<i64>,
    pub payment_intent: Option<String>,
    /// Old versions only: as any event about it ever said.
    pub invoice: Option<String>,
    pub description: Option<String>,
    /// Old versions carry the charge's refunds; newer ones tell of each in an event of its own. All that any
    /// event about it ever showed.
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
    /// The money that was collected: only what was captured of it.
    #[must_use]
    pub fn collected(&self) -> i64 {
        self.stated_captured.unwrap_or(self.amount_captured).max(0)
    }
}

impl Refund {
    /// Whether nothing was given back after all. Money on its way back counts.
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
    /// Funds taken (negative) and given back (positive), fees left out.
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
