//! What only a rebuild asks of a decoded batch: which ids and users it names, and the part of it that is about a subset.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use crate::store::decoded_batch::DecodedBatch;

impl DecodedBatch {
    /// Keeps only what is about the objects, customers, users and rows with these `ids`.
    pub(super) fn retain(&mut self, ids: &HashSet<String>) {
        let is = |id: &str| ids.contains(id);
        let is_user = |id: Uuid| ids.contains(&id.to_string());
        self.stripe.retain(|reported| {
            is(&reported.report.subject) || reported.report.state.customer_id().is_some_and(is)
        });
        self.rows.retain(|reported| {
            is(&reported.report.subject) || reported.report.state.user_id.is_some_and(is_user)
        });
        self.logins.retain(|login| is(&login.session_id) || is_user(login.user_id));
        self.users.retain(|user| is_user(user.user_id));
        self.identity_claims.retain(|made| is(&made.claim.object_id) || is(&made.claim.customer));
        self.emails.retain(|it| is(&it.address.object_id) || is(&it.address.customer));
        self.sms.retain(|report| is(&report.sid));
        self.thin_event_objects.retain(|id| is(id));
    }

    /// The ids of the objects, customers, users and rows that the batch is about.
    pub(super) fn ids(&self) -> BTreeSet<String> {
        let stripe = self.stripe.iter().flat_map(|reported| {
            let customer = reported.report.state.customer_id().map(ToOwned::to_owned);
            [Some(reported.report.subject.clone()), customer].into_iter().flatten()
        });
        let claims = self.identity_claims.iter().map(|it| &it.claim);
        let claims = claims.flat_map(|it| [it.object_id.clone(), it.customer.clone()]);
        let emails = self.emails.iter().map(|it| &it.address);
        let emails = emails.flat_map(|it| [it.object_id.clone(), it.customer.clone()]);
        let rows = self.rows.iter().map(|reported| reported.report.subject.clone());
        let logins = self.logins.iter().map(|login| login.user_id);
        let users = self.named_users().into_iter().chain(logins).map(|id| id.to_string());
        let sms = self.sms.iter().map(|report| report.sid.clone());
        let thin = self.thin_event_objects.iter().cloned();
        stripe.chain(claims).chain(emails).chain(rows).chain(users).chain(sms).chain(thin).collect()
    }

    /// Whether nothing is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.stripe.is_empty()
            && self.rows.is_empty()
            && self.logins.is_empty()
            && self.users.is_empty()
            && self.identity_claims.is_empty()
            && self.emails.is_empty()
            && self.sms.is_empty()
            && self.thin_event_objects.is_empty()
    }

    /// Every user named: each gets a row.
    pub(super) fn named_users(&self) -> BTreeSet<Uuid> {
        self.users_except_row_owners().into_iter().chain(self.row_owners()).collect()
    }
}
