//! Payments that the application recorded before memberflow.

use serde::{Deserialize, Serialize};

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
