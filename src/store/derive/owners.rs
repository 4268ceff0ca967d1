//! The owners of customers: decides and writes them.

use std::collections::{BTreeSet, HashMap};

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::envelope::{Envelope, Source};
use crate::project::Payload;
use crate::project::identity::{self, Address, AddressRole, Claim, Match, Matching, Owner};
use crate::project::internal::Internal;
use crate::store::events::{self, DecodedEvent, EventBodies};
use crate::store::parked::{Parked, Reason};
use crate::store::resolve::emails::{self, AddressReport};
use crate::store::resolve::identity_claims;
use crate::store::resolve::users::UserStates;

/// What deciding the owners of some customers changed.
#[derive(Debug, Default)]
pub struct OwnerDecisions {
    /// Users who had one of the customers before.
    pub before: BTreeSet<Uuid>,
    /// Existing users that any evidence names: each gets rows, whoever wins, so that the order of events does
    /// not matter.
    pub named: BTreeSet<Uuid>,
    /// Customers whose user changed.
    pub reassigned: BTreeSet<String>,
    /// Customers without a user or with contradicting evidence, with the reason.
    pub parked: Vec<Parked>,
    /// New matches by e-mail address, not recorded as events yet.
    pub matches: Vec<Match>,
}

/// Decides the owners of `customers` by the evidence that `matching` allows.
pub async fn decide_owners(
    tx: &mut PgConnection,
    customers: &BTreeSet<String>,
    matching: Matching,
    now: OffsetDateTime,
) -> Result<OwnerDecisions, sqlx::Error> {
    let mut decisions = OwnerDecisions::default();
    if customers.is_empty() {
        return Ok(decisions);
    }
    let all = IdentityEvidence::load(tx, customers).await?;
    let deleted = delete_orphaned_customers(tx, customers.iter().filter(|id| !all.is_about(id))).await?;
    let evidence = all.allowed_by(matching);
    let users = UserStates::load(tx, &evidence.users(), &evidence.emails(), matching.sso_email).await?;
    decisions.named = users.existing().collect();
    let before = stored_owners(tx, customers).await?;
    let mut decided = Vec::new();
    for customer in customers.difference(&deleted) {
        let (claims, addresses) = evidence.about(customer);
        let owner = identity::owner(
            claims,
            addresses,
            |id| users.state(id),
            |email| users.users_with_confirmed_email(email),
        );
        decisions.matches.extend(new_match(customer, &owner, now));
        decisions.note(customer, before.get(customer).copied().flatten(), &owner);
        decided.push((customer.as_str(), owner));
    }
    write_owners(tx, &decided).await?;
    Ok(decisions)
}

/// The evidence about some customers.
struct IdentityEvidence {
    claims: HashMap<String, Vec<Claim>>,
    addresses: HashMap<String, Vec<Address>>,
}

impl IdentityEvidence {
    async fn load(tx: &mut PgConnection, customers: &BTreeSet<String>) -> Result<Self, sqlx::Error> {
        let claims = identity_claims::load(tx, customers).await?;
        Ok(Self { claims, addresses: emails::load(tx, customers).await? })
    }

    fn is_about(&self, customer: &str) -> bool {
        self.claims.contains_key(customer) || self.addresses.contains_key(customer)
    }

    fn allowed_by(mut self, matching: Matching) -> Self {
        self.claims.values_mut().for_each(|claims| claims.retain(|claim| matching.allows(claim.strength)));
        if !matching.email {
            self.addresses.clear();
        }
        self
    }

    fn about(&self, customer: &str) -> (&[Claim], &[Address]) {
        let claims = self.claims.get(customer).map_or(&[][..], Vec::as_slice);
        (claims, self.addresses.get(customer).map_or(&[][..], Vec::as_slice))
    }

    fn users(&self) -> BTreeSet<Uuid> {
        let claimed = self.claims.values().flatten().flat_map(|claim| &claim.claimed_users);
        let matched = self.addresses.values().flatten().filter_map(|address| address.user_id);
        claimed.filter_map(|id| id.parse().ok()).chain(matched).collect()
    }

    fn emails(&self) -> BTreeSet<String> {
        let all = self.addresses.values().flatten();
        let candidates = all.filter(|it| matches!(it.role, AddressRole::Given | AddressRole::Checkout));
        candidates.map(|it| it.email.clone()).collect()
    }
}

impl OwnerDecisions {
    fn note(&mut self, customer: &str, before: Option<Uuid>, owner: &Owner) {
        let after = user_of(owner);
        self.before.extend(before);
        if before != after {
            self.reassigned.insert(customer.to_owned());
        }
        // These texts are a format, not only for people: `recompute::DUE` searches them for user ids, `email <user id>`
        // and a trailing ` <address>`. Another wording here changes what it finds.
        let (reason, detail) = match owner {
            Owner::User { contradicted_by, .. } if contradicted_by.is_empty() => return,
            Owner::User { user_id, contradicted_by, .. } => {
                let others = identity::detail_of(contradicted_by);
                (Reason::ConflictingUsers, format!("belongs to {user_id}; also named: {others}"))
            }
            Owner::Deleted { user_id } => (Reason::UserDeleted, format!("user {user_id} is gone")),
            Owner::Ambiguous { email } => {
                (Reason::AmbiguousEmail, format!("several confirmed users have the address {email}"))
            }
            Owner::Unknown { wanted } => (Reason::UnknownUser, wanted.clone()),
        };
        self.parked.push(Parked { subject: customer.to_owned(), reason, detail });
    }
}

const fn user_of(owner: &Owner) -> Option<Uuid> {
    if let Owner::User { user_id, .. } = owner { Some(*user_id) } else { None }
}

/// A match by e-mail address that is not recorded as an event yet.
fn new_match(customer: &str, owner: &Owner, now: OffsetDateTime) -> Option<Match> {
    let Owner::User { unrecorded: Some(new), .. } = owner else { return None };
    Some(Match {
        customer: customer.to_owned(),
        user_id: new.user_id,
        email: new.email.clone(),
        skipped: new.skipped.clone(),
        matched_at: now.unix_timestamp(),
    })
}

/// Records matches as internal events: a decision from the state of `auth.users` today must be the same in a
/// rebuild.
pub async fn record(
    tx: &mut PgConnection,
    matches: Vec<Match>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if matches.is_empty() {
        return Ok(());
    }
    let mut reports = Vec::new();
    let (mut envelopes, mut payloads) = (Vec::new(), Vec::new());
    for matched in matches {
        // A customer may be matched to a user more than once: by another address, or past another.
        let event_id = format!("match/{}/{}/{}", matched.customer, matched.user_id, Uuid::new_v4().simple());
        let addresses = identity::of_match(&matched, now).into_iter();
        reports.extend(addresses.map(|address| AddressReport { address, event_id: event_id.clone() }));
        let internal = Internal::Matched(matched);
        let body = serde_json::to_vec(&internal).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
        envelopes.push(Envelope {
            source: Source::Internal,
            event_id,
            event_type: "matched".to_owned(),
            occurred_at: now,
            received_at: now,
            body: body.into(),
        });
        payloads.push(Payload::Internal(internal));
    }
    let matches =
        envelopes.iter().zip(payloads).map(|(envelope, payload)| DecodedEvent { envelope, payload });
    events::mark_applied(tx, matches.collect(), EventBodies::Given, now).await?;
    emails::write(tx, reports).await?;
    Ok(())
}

/// Deletes those of the `unclaimed` customers that have no fact or payment any more, and returns them: a guest payment
/// turned out to belong to a customer. Otherwise the order of events would matter.
async fn delete_orphaned_customers(
    tx: &mut PgConnection,
    unclaimed: impl Iterator<Item = &String>,
) -> Result<BTreeSet<String>, sqlx::Error> {
    let unclaimed: Vec<&str> = unclaimed.map(String::as_str).collect();
    if unclaimed.is_empty() {
        return Ok(BTreeSet::new());
    }
    let orphaned: Vec<String> = sqlx::query_scalar(
        "select u.id from unnest($1::text[]) as u (id)
         where not exists (select from payments p where p.customer_id = u.id)
           and not exists (select from stripe_facts f where f.customer_id = u.id)",
    )
    .bind(unclaimed)
    .fetch_all(&mut *tx)
    .await?;
    if !orphaned.is_empty() {
        sqlx::query("delete from customers where id = any($1)").bind(&orphaned).execute(tx).await?;
    }
    Ok(orphaned.into_iter().collect())
}

async fn stored_owners(
    tx: &mut PgConnection,
    customers: &BTreeSet<String>,
) -> Result<HashMap<String, Option<Uuid>>, sqlx::Error> {
    let owners: Vec<(String, Option<Uuid>)> =
        sqlx::query_as("select id, user_id from customers where id = any($1)")
            .bind(customers.iter().map(String::as_str).collect::<Vec<_>>())
            .fetch_all(tx)
            .await?;
    Ok(owners.into_iter().collect())
}

async fn write_owners(tx: &mut PgConnection, decided: &[(&str, Owner)]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into customers (id, user_id, matched_by)
         select * from unnest($1::text[], $2::uuid[], $3::text[])
         on conflict (id) do update set user_id = excluded.user_id, matched_by = excluded.matched_by
         where (customers.user_id, customers.matched_by) is distinct from (excluded.user_id, excluded.matched_by)",
    )
    .bind(decided.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(decided.iter().map(|(_, owner)| user_of(owner)).collect::<Vec<_>>())
    .bind(decided.iter().map(|(_, owner)| matched_by(owner)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

const fn matched_by(owner: &Owner) -> Option<&'static str> {
    if let Owner::User { by, .. } = owner { Some(by.as_str()) } else { None }
}

/// The customers of `users`, with their users.
pub async fn of_users(
    tx: &mut PgConnection,
    users: &BTreeSet<Uuid>,
) -> Result<HashMap<String, Uuid>, sqlx::Error> {
    if users.is_empty() {
        return Ok(HashMap::new());
    }
    let customers: Vec<(String, Uuid)> =
        sqlx::query_as("select id, user_id from customers where user_id = any($1)")
            .bind(users.iter().copied().collect::<Vec<_>>())
            .fetch_all(tx)
            .await?;
    Ok(customers.into_iter().collect())
}
