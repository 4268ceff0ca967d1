//! A decoded batch: its events, grouped by what they report.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use uuid::Uuid;

use super::StoreSettings;
use super::events::DecodedEvent;
use super::resolve::emails::AddressReport;
use super::resolve::facts;
use super::resolve::facts::{Reported, Resolvable as _};
use super::resolve::identity_claims::ClaimReport;
use crate::envelope::Envelope;
use crate::project::decode_states;
use crate::project::identity::{self, Address};
use crate::project::internal::{
    self, ImportedLogin, ImportedLogins, ImportedPayments, ImportedRow, ImportedRows, ImportedSubscription,
    ImportedUsers, Internal,
};
use crate::project::payload::{Login, Payload, UserReport};
use crate::project::stripe::{ImportedPayment, Item, Price, StripeObject, Subscription};
use crate::project::supabase::Row;
use crate::project::twilio::SmsReport;

/// The prefix of the stand-in customer of a user whose payments the application recorded before memberflow.
pub(super) const PREEXISTING_CUSTOMER_PREFIX: &str = "found/user/";

/// The events of a batch, each decoded.
pub(super) struct Decoded<'a> {
    pub events: Vec<DecodedEvent<'a>>,
    /// Events that can never be decoded, with the reason.
    pub dead: Vec<(&'a Envelope, String)>,
}

/// Decodes each event of `batch`.
pub(super) fn decode_all<'a>(
    batch: impl IntoIterator<Item = &'a Envelope>,
    settings: &StoreSettings,
) -> Decoded<'a> {
    let mut decoded = Decoded { events: Vec::new(), dead: Vec::new() };
    for envelope in batch {
        // Without whole objects: events whose order within a second must be decided are read again from the
        // table.
        match decode_states(envelope, &settings.decoding) {
            Ok(payload) => decoded.events.push(DecodedEvent { envelope, payload }),
            Err(error) => decoded.dead.push((envelope, error.to_string())),
        }
    }
    decoded
}

/// The new events of a batch, by what they report.
#[derive(Debug, Default)]
pub(super) struct DecodedBatch {
    pub(super) stripe: Vec<Reported<StripeObject>>,
    pub(super) rows: Vec<Reported<Row>>,
    pub(super) logins: Vec<Login>,
    pub(super) users: Vec<UserReport>,
    pub(super) identity_claims: Vec<ClaimReport>,
    pub(super) emails: Vec<AddressReport>,
    pub(super) sms: Vec<SmsReport>,
    /// Objects that thin events named: they changed, without their state.
    pub(super) thin_event_objects: BTreeSet<String>,
}

impl DecodedBatch {
    /// Groups `events` by what they report.
    pub(super) fn group(events: Vec<DecodedEvent<'_>>) -> Self {
        let mut batch = Self::default();
        for DecodedEvent { envelope, payload } in events {
            let event_id = &envelope.event_id;
            match payload {
                Payload::Stripe(report) => {
                    let addresses =
                        identity::addresses(&report.state, report.occurred_at, report.change_kind);
                    batch.add_addresses(addresses, event_id);
                    // Claims of objects with a history are taken in `facts::resolve_stripe`, where the last of each
                    // second is known.
                    if !report.state.has_history() {
                        batch.identity_claims.extend(identity::claims(&report.state).into_iter().map(
                            |claim| ClaimReport {
                                claim,
                                reported_at: report.occurred_at,
                                event_id: event_id.clone(),
                                is_last: false,
                            },
                        ));
                    }
                    batch.stripe.push(Reported { event_id: event_id.clone(), report: *report });
                }
                Payload::Row(report) => batch.rows.push(Reported { event_id: event_id.clone(), report }),
                Payload::Login(login) => batch.logins.push(login),
                Payload::User(user) => batch.users.push(user),
                Payload::Sms(report) => batch.sms.push(*report),
                Payload::Internal(Internal::Matched(matched)) => {
                    batch.add_addresses(identity::of_match(&matched, envelope.occurred_at), event_id);
                }
                Payload::Internal(Internal::ImportedSubscription(imported)) => {
                    batch.import_subscription(imported, event_id.clone());
                }
                Payload::Internal(Internal::ImportedRows(imported)) => batch.import_rows(imported, event_id),
                Payload::Internal(Internal::ImportedLogins(imported)) => batch.import_logins(imported),
                Payload::Internal(Internal::ImportedUsers(imported)) => batch.import_users(imported),
                Payload::Internal(Internal::ImportedPayments(imported)) => {
                    batch.import_payments(imported, event_id, envelope.occurred_at);
                }
                Payload::Thin { object_id } => drop(batch.thin_event_objects.insert(object_id)),
                // `project::decode` turns snapshots and corrections into reports.
                Payload::Internal(Internal::Snapshot(_) | Internal::Corrected(_))
                | Payload::Ignored
                | Payload::NotCounted(_) => {}
            }
        }
        batch
    }

    fn add_addresses(&mut self, addresses: Vec<Address>, event_id: &str) {
        let reports =
            addresses.into_iter().map(|address| AddressReport { address, event_id: event_id.to_owned() });
        self.emails.extend(reports);
    }

    /// The users named otherwise than as owners of rows: as members, or as owners of customers. Even those of a report that
    /// is superseded at once: the result must not depend on the order and batches of events.
    pub(super) fn users_except_row_owners(&self) -> BTreeSet<Uuid> {
        let reported = self.stripe.iter().flat_map(|reported| identity::claims(&reported.report.state));
        let claims = self.identity_claims.iter().map(|made| made.claim.clone()).chain(reported);
        let claimed = claims.flat_map(|claim| claim.claimed_users).filter_map(|id| id.parse().ok());
        let users = self.users.iter().map(|user| user.user_id);
        let matched = self.emails.iter().filter_map(|it| it.address.user_id);
        claimed.chain(users).chain(matched).collect()
    }

    /// The users named as owners of rows.
    pub(super) fn row_owners(&self) -> impl Iterator<Item = Uuid> {
        self.rows.iter().filter_map(|reported| reported.report.state.user_id)
    }

    /// A pre-existing row of `customer_subscriptions` says whose the customer is, and represents the
    /// subscription until the first event about it, which is always later.
    fn import_subscription(&mut self, imported: ImportedSubscription, event_id: String) {
        let epoch = OffsetDateTime::UNIX_EPOCH;
        self.identity_claims.push(ClaimReport {
            claim: identity::Claim {
                object_id: format!("found/{}", imported.id),
                customer: imported.customer.clone(),
                strength: identity::Strength::KnownCustomer,
                claimed_users: vec![imported.user_id.to_string()],
                object_created: imported.created,
            },
            reported_at: epoch,
            event_id: event_id.clone(),
            is_last: false,
        });
        let Some(id) = imported.subscription else { return };
        let price = |id| Item { price: Price { id, ..Price::default() }, ..Item::default() };
        let subscription = Subscription {
            id: id.clone(),
            customer: imported.customer,
            created: imported.created,
            status: imported.status,
            is_unreported_import: true,
            start_date: Some(imported.created),
            canceled_at: imported.canceled_at,
            ended_at: imported.canceled_at,
            items: imported.price.map(price).into_iter().collect(),
            ..Subscription::default()
        };
        let report = facts::imported(id, StripeObject::Subscription(subscription), epoch, false);
        self.stripe.push(Reported { event_id, report });
    }

    /// Rows imported from a table, or deleted from it.
    fn import_rows(&mut self, imported: ImportedRows, event_id: &str) {
        let ImportedRows { relation, rows, deleted } = imported;
        let all = rows.into_iter().map(|row| (row, false)).chain(deleted.into_iter().map(|row| (row, true)));
        self.rows.extend(all.map(|(ImportedRow(row_id, user_id, counted, amount, at), is_deleted)| {
            let subject = format!("{relation}/{row_id}");
            let counted = counted && !is_deleted;
            let row = Row { relation: relation.clone(), row_id, user_id, counted, amount };
            let report = facts::imported(subject, row, internal::from_unix_micros(at), is_deleted);
            Reported { event_id: event_id.to_owned(), report }
        }));
    }

    fn import_logins(&mut self, ImportedLogins { evidence, logins }: ImportedLogins) {
        self.logins.extend(logins.into_iter().map(|ImportedLogin(session_id, user_id, at)| Login {
            session_id,
            evidence,
            user_id,
            logged_in_at: internal::from_unix_micros(at),
        }));
    }

    fn import_users(&mut self, ImportedUsers { there, deleted }: ImportedUsers) {
        let all = there.into_iter().map(|id| (id, false)).chain(deleted.into_iter().map(|id| (id, true)));
        self.users.extend(all.map(|(user_id, is_deleted)| UserReport {
            user_id,
            emails: Vec::new(),
            is_deleted,
        }));
    }

    /// Imported payments: each represents the payment until Stripe reports it, and says whose it is. A later
    /// import supersedes an earlier one.
    fn import_payments(&mut self, imported: ImportedPayments, event_id: &str, at: OffsetDateTime) {
        let ImportedPayments { rows, deleted } = imported;
        let all = rows.into_iter().map(|row| (row, false)).chain(deleted.into_iter().map(|row| (row, true)));
        for (mut payment, is_deleted) in all {
            if is_deleted {
                // Any status but `succeeded`, which alone is counted.
                "gone".clone_into(&mut payment.status);
            }
            self.identity_claims.extend(claim_of(&payment).map(|claim| ClaimReport {
                claim,
                reported_at: OffsetDateTime::UNIX_EPOCH,
                event_id: event_id.to_owned(),
                is_last: false,
            }));
            let state = StripeObject::ImportedPayment(payment);
            let report = facts::imported(state.id().to_owned(), state, at, is_deleted);
            self.stripe.push(Reported { event_id: event_id.to_owned(), report });
        }
    }
}

/// The claim of an imported payment: its row says whose it is.
fn claim_of(payment: &ImportedPayment) -> Option<identity::Claim> {
    let user = payment.customer.strip_prefix(PREEXISTING_CUSTOMER_PREFIX)?;
    Some(identity::Claim {
        object_id: payment.customer.clone(),
        customer: payment.customer.clone(),
        strength: identity::Strength::KnownCustomer,
        claimed_users: vec![user.to_owned()],
        object_created: 0,
    })
}
