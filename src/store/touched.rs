//! What a batch, the clock or an operation affects: the input of [`derive`](super::derive).

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::parked::Parked;
use super::resolve::facts::Changed;
use super::resolve::payments::ChangedPayments;
use super::resolve::versions::RecomputeFrom;
use super::resolve::{claims, payments};
use super::sms::TouchedSms;
use crate::project::stripe::StripeObject;

/// What must be rederived.
#[derive(Debug, Default)]
pub struct Touched {
    /// Customers whose user may have changed, and with it everything about them.
    pub customers: BTreeSet<String>,
    /// Customers that events were about.
    pub involved: BTreeSet<String>,
    /// Those of them whose subscriptions may have changed in value.
    pub valued: BTreeSet<String>,
    /// Users whose revenue and activity may have changed.
    pub users: BTreeSet<Uuid>,
    /// Users named as members or customers; each gets rows.
    pub named: BTreeSet<Uuid>,
    /// Users of whom only the activity may have changed.
    pub active: BTreeSet<Uuid>,
    pub payments: ChangedPayments,
    /// Objects whose state was reported.
    pub objects: BTreeSet<String>,
    pub parked: Vec<Parked>,
    /// Customers whose payment rows are written even if they did not change.
    pub force_rewrite: BTreeSet<String>,
    /// The second from which each customer's ledger is recomputed.
    pub since: RecomputeFrom,
    /// Text messages that events were about.
    pub(super) sms: TouchedSms,
}

impl Touched {
    /// Adds the customers whose `evidence` changed.
    pub(super) fn add_evidence(&mut self, evidence: claims::ChangedEvidence) {
        self.customers.extend(evidence.new);
        self.involved.extend(evidence.repeated);
    }

    /// Adds what the `changed` facts affect.
    pub(super) fn add_changed(&mut self, changed: &BTreeMap<String, Changed<StripeObject>>) {
        self.valued.extend(self.since.keys().cloned());
        for fact in changed.values() {
            let customers = fact.before.iter().chain([&fact.after]).filter_map(StripeObject::customer_id);
            let customers: Vec<String> = customers.map(ToOwned::to_owned).collect();
            if !payments::is_payment(&fact.after) {
                self.valued.extend(customers.iter().cloned());
            }
            self.involved.extend(customers);
        }
        self.involved.extend(self.valued.iter().cloned());
        self.involved.extend(self.payments.customers().map(ToOwned::to_owned));
    }

    /// Whether anything besides activity can have changed.
    pub(super) fn reaches_revenue(&self) -> bool {
        !(self.customers.is_empty()
            && self.involved.is_empty()
            && self.users.is_empty()
            && self.named.is_empty()
            && self.objects.is_empty()
            && self.payments.written.is_empty()
            && self.payments.removed.is_empty())
    }
}
