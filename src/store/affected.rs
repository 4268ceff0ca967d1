//! What a batch, the clock or an operation affects: the input of [`derive`](super::derive).

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::parked::Parked;
use super::resolve::facts::ChangedObject;
use super::resolve::payments::ChangedPayments;
use super::resolve::versions::LedgerFrom;
use super::resolve::{identity_claims, payments};
use super::sms::AffectedSms;
use crate::project::stripe::StripeObject;

/// What must be rederived.
#[derive(Debug, Default)]
pub struct Affected {
    pub revenue: AffectedRevenue,
    /// Users of whom only the activity may have changed.
    pub activity_only: BTreeSet<Uuid>,
    /// Text messages that events were about.
    pub(super) sms: AffectedSms,
}

/// What must be rederived besides activity.
#[derive(Debug, Default)]
pub struct AffectedRevenue {
    /// Customers whose owner is decided again; all about them is derived with it.
    pub owners_to_decide: BTreeSet<String>,
    /// Customers about whom a fact, a payment or a ledger changed, or of whom one more object says what is known already. Their
    /// owner, once decided, is kept.
    pub touched_customers: BTreeSet<String>,
    /// Those of them whose subscriptions may have changed in value.
    pub customers_to_value: BTreeSet<String>,
    /// Users whose revenue and activity may have changed.
    pub users: BTreeSet<Uuid>,
    /// Users whom events name as members or as owners of customers; each gets rows.
    pub named: BTreeSet<Uuid>,
    pub payments: ChangedPayments,
    /// Objects whose parking as `thin_event` must be checked.
    pub thin_event_objects: BTreeSet<String>,
    pub parked: Vec<Parked>,
    /// Customers whose payment rows are written even if they did not change.
    pub force_rewrite: BTreeSet<String>,
    /// The second from which each customer's ledger is recomputed.
    pub ledger_from: LedgerFrom,
}

impl From<AffectedRevenue> for Affected {
    fn from(revenue: AffectedRevenue) -> Self {
        Self { revenue, ..Self::default() }
    }
}

impl AffectedRevenue {
    /// Adds the customers whose `evidence` changed.
    pub(super) fn add_evidence(&mut self, evidence: identity_claims::ChangedEvidence) {
        self.owners_to_decide.extend(evidence.new);
        self.touched_customers.extend(evidence.repeated);
    }

    /// Adds the customers of the `changed` facts, of the ledgers to recompute and of the payments.
    pub(super) fn add_customers(&mut self, changed: &BTreeMap<String, ChangedObject>) {
        self.customers_to_value.extend(self.ledger_from.keys().cloned());
        for fact in changed.values() {
            let customers = fact.before.iter().chain([&fact.after]).filter_map(StripeObject::customer_id);
            let customers: Vec<String> = customers.map(ToOwned::to_owned).collect();
            if !payments::belongs_to_payment(&fact.after) {
                self.customers_to_value.extend(customers.iter().cloned());
            }
            self.touched_customers.extend(customers);
        }
        self.touched_customers.extend(self.customers_to_value.iter().cloned());
        self.touched_customers.extend(self.payments.customers().map(ToOwned::to_owned));
    }
}
