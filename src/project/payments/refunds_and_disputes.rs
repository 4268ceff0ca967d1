//! Refunds and disputes of payments.

use std::collections::BTreeMap;

use super::Payment;
use super::assignments::Assignments;
use super::refunds::charge_refunds;
use super::set::ObjectSet;
use crate::project::stripe::Dispute;

/// Adds refunds and disputes to the rows of their payments. Those of a payment without a row are kept until
/// it has one.
pub fn add_to<'a>(
    rows: &mut BTreeMap<&'a str, Payment>,
    set: &'a ObjectSet<'a>,
    assignments: &Assignments<'a>,
) {
    for refund in charge_refunds(set, assignments) {
        let row = refund.payment.and_then(|payment| rows.get_mut(assignments.row(payment)));
        if let Some(row) = row.filter(|row| row.currency == refund.currency) {
            row.refunded = row.refunded.saturating_add(refund.amount);
        }
    }
    for dispute in set.disputes.values() {
        let payment = assignments.payment(dispute.payment_intent.as_deref(), dispute.charge.as_deref());
        if let Some(row) = payment.and_then(|payment| rows.get_mut(assignments.row(payment))) {
            row.disputed = row.disputed.saturating_add(withdrawn(dispute, &row.currency));
        }
    }
}

/// The amount that `dispute` withholds in `currency` now: by its balance transactions, which show partial
/// withdrawals and reinstatements exactly; if those are in the account's currency (or not reported), the
/// disputed amount while the status says that the funds are withdrawn. A won dispute withholds nothing, even
/// if the reinstatement was not reported.
fn withdrawn(dispute: &Dispute, currency: &str) -> i64 {
    let status = dispute.status.as_str();
    if matches!(status, "won" | "prevented") || status.starts_with("warning_") {
        return 0;
    }
    let by_id: BTreeMap<_, _> = dispute.balance_transactions.iter().map(|it| (it.id.as_str(), it)).collect();
    let mut transactions = by_id.values().filter(|it| it.currency == currency).peekable();
    if transactions.peek().is_some() {
        let sum: i128 = transactions.map(|it| i128::from(it.amount)).sum();
        return i64::try_from((-sum).max(0)).unwrap_or(i64::MAX);
    }
    let funds_withdrawn = matches!(status, "needs_response" | "under_review" | "lost");
    if funds_withdrawn && dispute.currency == currency { dispute.amount.max(0) } else { 0 }
}
