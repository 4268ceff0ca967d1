//! Whether the last attempt to collect an open invoice has failed.

use super::assignments::Assignments;
use super::set::ObjectSet;
use crate::project::stripe::{Charge, Invoice};

/// An attempt alone is not a failure: a bank debit takes days. A failure is reported by
/// `invoice.payment_failed` or by a failed charge, and holds until a newer attempt is in progress or has paid
/// a part. Newer API versions link a charge to its invoice only once it has paid, so the invoice's
/// `attempt_count` and `amount_paid` show newer attempts too.
pub fn has_failed(invoice: &Invoice, set: &ObjectSet<'_>, assignments: &Assignments<'_>) -> bool {
    let last = assignments.charges_of(invoice, set).max_by_key(|charge| started(charge));
    let is_failed = |charge: &Charge| charge.status == "failed";
    match (&invoice.last_failure, last) {
        // The failure event is never older than the failed charge.
        (Some(failure), Some(charge)) if charge.created > failure.at => is_failed(charge),
        (Some(failure), _) => {
            failure.attempt_count >= invoice.attempt_count && failure.amount_paid >= invoice.amount_paid
        }
        (None, last) => last.is_some_and(is_failed),
    }
}

/// When an attempt began; of several in one second one that is pending or succeeded is the last.
fn started(charge: &Charge) -> (i64, u8, &str) {
    let outcome = match charge.status.as_str() {
        "failed" => 0,
        "pending" => 1,
        _ => 2,
    };
    (charge.created, outcome, &charge.id)
}
