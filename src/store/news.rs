//! What a batch says, sorted by what it means: the beginning of every derivation.

use std::collections::BTreeSet;

use time::OffsetDateTime;
use uuid::Uuid;

use super::claims::Made;
use super::facts::{Contender as _, Told};
use super::{Rules, customers, facts, inbox};
use crate::envelope::Envelope;
use crate::project::internal::{FoundActivity, FoundSubscription, Internal};
use crate::project::meaning::{Login, Meaning, UserSeen};
use crate::project::stripe::{Item, Price, StripeObject, Subscription};
use crate::project::supabase::Row;
use crate::project::{identity, read};

/// What the names of events begin with that tell what was counted when memberflow was switched on.
const FOUND_ACTIVITY: &str = "found/activity/";

/// What each event of `batch` means; those that mean nothing, now and ever, with the reason.
pub(super) fn read_all(batch: Vec<Envelope>, rules: &Rules) -> (Vec<inbox::Read>, Vec<(Envelope, String)>) {
    let mut events = Vec::with_capacity(batch.len());
    let mut dead = Vec::new();
    for envelope in batch {
        match read(&envelope, &rules.reading) {
            // Events that are chained are read again from the inbox, with those that came before.
            Ok(meaning) => events.push(inbox::Read { envelope, meaning: meaning.without_objects() }),
            Err(unreadable) => dead.push((envelope, unreadable.to_string())),
        }
    }
    (events, dead)
}

/// The new events of a batch, by what they mean.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) stripe: Vec<Told<StripeObject>>,
    pub(super) rows: Vec<Told<Row>>,
    pub(super) logins: Vec<Login>,
    pub(super) users: Vec<UserSeen>,
    pub(super) claims: Vec<Made>,
    /// Objects that something happened to, without their state.
    pub(super) thin: BTreeSet<String>,
}

impl News {
    /// Sorts `events`.
    pub(super) fn sort(events: Vec<inbox::Read>) -> Self {
        let mut news = Self::default();
        for inbox::Read { envelope, meaning } in events {
            let event_id = envelope.event_id;
            match meaning {
                Meaning::Stripe(report) => {
                    if !report.state.has_history() {
                        news.claims.extend(identity::claims(&report.state).into_iter().map(|claim| Made {
                            claim,
                            reported_at: report.occurred_at,
                            event_id: event_id.clone(),
                            is_last: false,
                        }));
                    }
                    news.stripe.push(Told { event_id, report: *report });
                }
                Meaning::Row(report) => news.rows.push(Told { event_id, report }),
                Meaning::Login(login) => news.logins.push(login),
                Meaning::User(user) => news.users.push(user),
                Meaning::Internal(Internal::Matched(matched)) => news.claims.push(Made {
                    claim: customers::match_claim(&matched),
                    reported_at: envelope.occurred_at,
                    event_id,
                    is_last: false,
                }),
                Meaning::Internal(Internal::Found(found)) => news.found(found, event_id),
                Meaning::Internal(Internal::FoundActivity(found)) => news.found_activity(&found, &event_id),
                Meaning::Thin { object_id } => drop(news.thin.insert(object_id)),
                // A snapshot is read as the state that it shows.
                Meaning::Internal(Internal::Snapshot(_)) | Meaning::Nothing => {}
            }
        }
        news
    }

    /// Every user named, also by what is superseded at once: each has a row from then on, in whatever order
    /// and batches the events come. Those of whom it is only said what stood there before have one.
    pub(super) fn named(&self) -> BTreeSet<Uuid> {
        let told = self.stripe.iter().flat_map(|told| identity::claims(&told.report.state));
        let claims = self.claims.iter().map(|made| made.claim.clone()).chain(told);
        let claimed = claims.flat_map(|claim| claim.claimed_users).filter_map(|id| id.parse().ok());
        let told = self.rows.iter().filter(|told| !told.event_id.starts_with(FOUND_ACTIVITY));
        let owners = told.filter_map(|told| told.report.state.user_id);
        let seen = self.users.iter().map(|user| user.user_id);
        claimed.chain(owners).chain(seen).collect()
    }

    /// A row found in `customer_subscriptions` says whose the customer is, and stands for the subscription
    /// until the first event about it, which is always later.
    fn found(&mut self, found: FoundSubscription, event_id: String) {
        let epoch = OffsetDateTime::UNIX_EPOCH;
        self.claims.push(Made {
            claim: identity::Claim {
                object_id: format!("found/{}", found.id),
                customer: found.customer.clone(),
                strength: identity::Strength::KnownCustomer,
                claimed_users: vec![found.user_id.to_string()],
                email: None,
                object_created: found.created,
            },
            reported_at: epoch,
            event_id: event_id.clone(),
            is_last: false,
        });
        let Some(id) = found.subscription else { return };
        let price = |id| Item { price: Price { id, ..Price::default() }, ..Item::default() };
        let subscription = Subscription {
            id: id.clone(),
            customer: found.customer,
            created: found.created,
            status: found.status,
            needs_stripe: true,
            start_date: Some(found.created),
            canceled_at: found.canceled_at,
            ended_at: found.canceled_at,
            items: found.price.map(price).into_iter().collect(),
            ..Subscription::default()
        };
        let report = facts::found(id, StripeObject::Subscription(subscription), epoch);
        self.stripe.push(Told { event_id, report });
    }

    /// What was counted when memberflow was switched on stands beside what events tell, never in its way: the
    /// profile's completion is older than any of them.
    fn found_activity(&mut self, found: &FoundActivity, event_id: &str) {
        let user_id = found.user_id;
        let mut keep = |relation: &str, row_id: String, amount| {
            if amount != 0 {
                let relation = relation.to_owned();
                let row = Row { relation, row_id, user_id: Some(user_id), counted: true, amount };
                let subject = format!("{}/{}", row.relation, row.row_id);
                let report = facts::found(subject, row, OffsetDateTime::UNIX_EPOCH);
                self.rows.push(Told { event_id: event_id.to_owned(), report });
            }
        };
        for (relation, count) in found.counts() {
            keep(relation, user_id.to_string(), count);
        }
        keep("public.user_profiles", format!("found/{user_id}"), found.profile_percent);
        let micros = found.last_login_at_us.map(|us| i128::from(us) * 1000);
        let last = micros.and_then(|nanos| OffsetDateTime::from_unix_timestamp_nanos(nanos).ok());
        self.logins.extend(last.map(|logged_in_at| Login {
            session_id: format!("found/{user_id}"),
            user_id,
            logged_in_at,
        }));
    }
}
