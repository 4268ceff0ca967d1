//! The lifecycle of objects: final states, and which of two statuses is later.

use super::{Charge, Dispute, Invoice, InvoicePayment, StripeObject, Subscription};
use crate::project::order::ChangeKind;

/// The gap between two statuses, for counters within a status (attempts, refunds).
const STEP: i32 = 1000;

/// The subscription statuses that the tables can show.
pub const KNOWN_STATUSES: [&str; 8] =
    ["active", "trialing", "past_due", "unpaid", "paused", "incomplete", "canceled", "incomplete_expired"];

impl Subscription {
    /// Whether its status is known.
    #[must_use]
    pub fn has_known_status(&self) -> bool {
        KNOWN_STATUSES.contains(&self.status.as_str())
    }

    /// Whether it has ended for good.
    #[must_use]
    pub fn is_over(&self) -> bool {
        is_over(&self.status)
    }

    /// The effective status: its own, or the last known one.
    #[must_use]
    pub fn effective_status(&self) -> Option<&str> {
        if self.has_known_status() { Some(&self.status) } else { self.known_status.as_deref() }
    }
}

impl StripeObject {
    /// Whether the object can never leave this state. Deletion is final, except for discounts with a stand-in
    /// id (old versions), which may be set again.
    #[must_use]
    pub(super) fn is_final(&self, change_kind: ChangeKind) -> bool {
        match self {
            Self::Subscription(it) if is_over(&it.status) => true,
            Self::Invoice(it) if matches!(it.status.as_str(), "void" | "paid") => true,
            Self::Discount(it) if it.has_stand_in_id() => false,
            _ => change_kind == ChangeKind::Deleted,
        }
    }

    /// The same object, deleted.
    #[must_use]
    pub(super) fn deleted(mut self) -> Self {
        match &mut self {
            Self::Customer(it) => it.deleted = true,
            Self::Discount(it) => it.deleted = true,
            Self::Subscription(it) if !is_over(&it.status) => "canceled".clone_into(&mut it.status),
            _ => {}
        }
        self
    }

    /// How far the object's status is in its lifecycle; higher is later, unknown is 0. Only a tie-break
    /// between reports of one second.
    #[must_use]
    pub fn rank(&self) -> i32 {
        match self {
            Self::Subscription(it) => subscription_rank(&it.status),
            Self::Invoice(it) => invoice_rank(it),
            Self::InvoicePayment(it) => invoice_payment_rank(it),
            Self::Charge(it) => charge_rank(it),
            Self::Refund(it) => refund_rank(it.status.as_deref().unwrap_or_default()),
            Self::Dispute(it) => dispute_rank(it),
            Self::Customer(_)
            | Self::Checkout(_)
            | Self::Price(_)
            | Self::Product(_)
            | Self::Coupon(_)
            | Self::Discount(_)
            | Self::ImportedPayment(_) => 0,
        }
    }
}

/// Whether its status has a rank.
pub(super) fn has_rank(object: &StripeObject) -> bool {
    object.rank() >= STEP
}

pub(super) fn is_over(subscription_status: &str) -> bool {
    matches!(subscription_status, "canceled" | "incomplete_expired")
}

fn subscription_rank(status: &str) -> i32 {
    let step = match status {
        "incomplete" => 1,
        "trialing" => 2,
        "active" => 3,
        "past_due" => 4,
        "unpaid" => 5,
        "paused" => 6,
        "incomplete_expired" | "canceled" => 7,
        _ => 0,
    };
    STEP * step
}

/// The number of attempts only grows, and a failure follows an attempt.
fn invoice_rank(it: &Invoice) -> i32 {
    let step = match it.status.as_str() {
        "draft" => 1,
        "open" => 2,
        "uncollectible" => 3,
        "void" | "paid" => 4,
        _ => 0,
    };
    let attempts = i32::try_from(it.attempt_count.clamp(0, 400)).unwrap_or_default();
    STEP * step + 2 * attempts + i32::from(it.last_failure.is_some())
}

fn invoice_payment_rank(it: &InvoicePayment) -> i32 {
    let step = match it.status.as_str() {
        "open" => 1,
        "canceled" => 2,
        "paid" => 3,
        _ => 0,
    };
    STEP * step
}

/// Embedded refunds are never removed from the list; without a list the amount shows whether there are any.
fn charge_rank(it: &Charge) -> i32 {
    let step = match it.status.as_str() {
        "pending" => 1,
        "failed" => 2,
        "succeeded" if it.captured => 4,
        "succeeded" => 3,
        _ => 0,
    };
    STEP * step + capped(it.refunds.len().max(usize::from(it.amount_refunded > 0)))
}

pub(super) fn refund_rank(status: &str) -> i32 {
    let step = match status {
        "requires_action" => 1,
        "pending" => 2,
        "succeeded" => 3,
        "failed" | "canceled" => 4,
        _ => 0,
    };
    STEP * step
}

/// Balance transactions are added while the status stays the same.
fn dispute_rank(it: &Dispute) -> i32 {
    let step = match it.status.as_str() {
        "warning_needs_response" => 1,
        "warning_under_review" => 2,
        "warning_closed" => 3,
        "needs_response" => 4,
        "under_review" => 5,
        "lost" => 6,
        "won" | "prevented" => 7,
        _ => 0,
    };
    STEP * step + capped(it.balance_transactions.len())
}

/// A counter within a status: less than a step.
fn capped(count: usize) -> i32 {
    i32::try_from(count.min(999)).unwrap_or_default()
}
