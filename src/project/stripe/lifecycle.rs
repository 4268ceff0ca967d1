//! How far along its life an object is: what it can never leave, and what came later within one second.

use super::{Charge, Dispute, Invoice, InvoicePayment, StripeObject, Subscription};
use crate::project::order::Stage;

/// Leaves room between two statuses for what counts up while a status lasts (attempts, refunds).
const STEP: i32 = 1000;

/// The subscription statuses that the tables can show.
pub const KNOWN_STATUSES: [&str; 8] =
    ["active", "trialing", "past_due", "unpaid", "paused", "incomplete", "canceled", "incomplete_expired"];

impl Subscription {
    /// Whether its status is one that we know.
    #[must_use]
    pub fn has_known_status(&self) -> bool {
        KNOWN_STATUSES.contains(&self.status.as_str())
    }

    /// Whether it has ended for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        is_over(&self.status)
    }

    /// The status in force: its own, or the last one that we know.
    #[must_use]
    pub fn status_in_force(&self) -> Option<&str> {
        if self.has_known_status() { Some(&self.status) } else { self.known_status.as_deref() }
    }
}

impl StripeObject {
    /// Whether the object can never leave this state. Deletion is final but for the place of a
    /// customer's one discount in old versions, which may be filled again.
    #[must_use]
    pub(super) fn is_final(&self, stage: Stage) -> bool {
        match self {
            Self::Subscription(it) if is_over(&it.status) => true,
            Self::Invoice(it) if matches!(it.status.as_str(), "void" | "paid") => true,
            Self::Discount(it) if it.has_stand_in_id() => false,
            _ => stage == Stage::Deleted,
        }
    }

    /// The same object after the news that it is gone.
    #[must_use]
    pub(super) fn deleted(mut self) -> Self {
        match &mut self {
            Self::Customer(it) => it.deleted = true,
            Self::Discount(it) => it.deleted = true,
            Self::Subscription(it) if !is_over(&it.status) => it.status = "canceled".to_owned(),
            _ => {}
        }
        self
    }

    /// How far along its life the object's status is; higher is later, unknown is 0. It decides between
    /// reports of one second only, where nothing else can.
    #[must_use]
    pub fn rank(&self) -> i32 {
        match self {
            Self::Subscription(it) => STEP * subscription(&it.status),
            Self::Invoice(it) => invoice(it),
            Self::InvoicePayment(it) => invoice_payment(it),
            Self::Charge(it) => charge(it),
            Self::Refund(it) => STEP * refund_rank(it.status.as_deref().unwrap_or_default()),
            Self::Dispute(it) => dispute(it),
            Self::Customer(_)
            | Self::Checkout(_)
            | Self::Price(_)
            | Self::Product(_)
            | Self::Coupon(_)
            | Self::Discount(_)
            | Self::FoundPayment(_) => 0,
        }
    }
}

/// Whether its status is one that has a place in the object's life.
pub(super) fn is_known(object: &StripeObject) -> bool {
    object.rank() >= STEP
}

pub(super) fn is_over(subscription_status: &str) -> bool {
    matches!(subscription_status, "canceled" | "incomplete_expired")
}

fn subscription(status: &str) -> i32 {
    match status {
        "incomplete" => 1,
        "trialing" => 2,
        "active" => 3,
        "past_due" => 4,
        "unpaid" => 5,
        "paused" => 6,
        "incomplete_expired" | "canceled" => 7,
        _ => 0,
    }
}

/// Attempts only ever grow in number, and failing follows trying.
fn invoice(it: &Invoice) -> i32 {
    let status = match it.status.as_str() {
        "draft" => 1,
        "open" => 2,
        "uncollectible" => 3,
        "void" | "paid" => 4,
        _ => 0,
    };
    let attempts = i32::try_from(it.attempt_count.clamp(0, 400)).unwrap_or_default();
    STEP * status + 2 * attempts + i32::from(it.last_failure.is_some())
}

fn invoice_payment(it: &InvoicePayment) -> i32 {
    match it.status.as_str() {
        "open" => STEP,
        "canceled" => 2 * STEP,
        "paid" => 3 * STEP,
        _ => 0,
    }
}

/// Embedded refunds are never taken off the list again; without a list the amount says that there are any.
fn charge(it: &Charge) -> i32 {
    let status = match it.status.as_str() {
        "pending" => 1,
        "failed" => 2,
        "succeeded" if it.captured => 4,
        "succeeded" => 3,
        _ => 0,
    };
    STEP * status + few(it.refunds.len().max(usize::from(it.amount_refunded > 0)))
}

pub(super) fn refund_rank(status: &str) -> i32 {
    match status {
        "requires_action" => 1,
        "pending" => 2,
        "succeeded" => 3,
        "failed" | "canceled" => 4,
        _ => 0,
    }
}

/// Funds withdrawn and reinstated are added to the list while the status stays.
fn dispute(it: &Dispute) -> i32 {
    let status = match it.status.as_str() {
        "warning_needs_response" => 1,
        "warning_under_review" => 2,
        "warning_closed" => 3,
        "needs_response" => 4,
        "under_review" => 5,
        "lost" => 6,
        "won" | "prevented" => 7,
        _ => 0,
    };
    STEP * status + few(it.balance_transactions.len())
}

fn few(count: usize) -> i32 {
    i32::try_from(count.min(999)).unwrap_or_default()
}
