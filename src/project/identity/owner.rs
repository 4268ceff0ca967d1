//! Weighs the evidence.

use std::cmp::Reverse;

use uuid::Uuid;

use super::address::{Address, AddressRole};
use super::email::{ByEmail, by_email, contradicting};
use super::{Claim, Owner, Strength, UserState, user_id};

/// How many ids and addresses a parked row names.
const NAMED_AT_MOST: usize = 8;

/// The strengths of which objects make claims, the strongest first.
const CLAIMED: [Strength; 3] = [Strength::Metadata, Strength::ClientReferenceId, Strength::KnownCustomer];

/// Decides the owner by the `claims` and `addresses` of one customer, given the state of a user id (`user_state`)
/// and the confirmed users of an address (`confirmed`).
#[must_use]
pub fn owner(
    claims: &[Claim],
    addresses: &[Address],
    user_state: impl Fn(Uuid) -> UserState,
    confirmed: impl Fn(&str) -> Vec<Uuid>,
) -> Owner {
    let claimed = CLAIMED.map(|strength| ClaimedUsers::of(claims, strength, &user_state));
    let strongest = claimed
        .iter()
        .find_map(|claimed| Some((claimed.by, claimed.users.first()?.0, claimed.users.first()?.1)));
    let (by, user_id, unrecorded) = match strongest {
        Some((_, user_id, UserState::Deleted)) => return Owner::Deleted { user_id },
        Some((by, user_id, _)) => (by, user_id, None),
        None => match by_email(addresses, &user_state, &confirmed) {
            ByEmail::User { user_id, unrecorded } => (Strength::Email, user_id, unrecorded),
            ByEmail::Ambiguous { email } => return Owner::Ambiguous { email },
            ByEmail::Deleted { user_id } => return Owner::Deleted { user_id },
            ByEmail::Nobody => return Owner::Unknown { wanted: wanted(claims, addresses) },
        },
    };
    let by_address = contradicting(addresses, user_id, by == Strength::Email, &confirmed);
    let by_address = by_address.into_iter().map(|other| (Strength::Email, other.to_string()));
    let others = claimed.into_iter().flat_map(|claimed| claimed.others(user_id));
    let contradicted_by = some_of(others.chain(by_address).collect());
    Owner::User { user_id, by, contradicted_by, unrecorded }
}

/// What the claims of one strength say.
struct ClaimedUsers {
    by: Strength,
    /// The named users that were ever seen, the winning one first.
    users: Vec<(Uuid, UserState)>,
    /// Other ids: not UUIDs, or unknown.
    unusable: Vec<String>,
}

impl ClaimedUsers {
    fn of(claims: &[Claim], by: Strength, user_state: impl Fn(Uuid) -> UserState) -> Self {
        let mut claimed = Self { by, users: Vec::new(), unusable: Vec::new() };
        for id in newest_first(claims, by).into_iter().flat_map(|claim| &claim.claimed_users) {
            match user_id(id)
                .map(|user| (user, user_state(user)))
                .filter(|(_, it)| *it != UserState::NeverSeen)
            {
                Some(user) => claimed.users.push(user),
                None => claimed.unusable.push(id.clone()),
            }
        }
        claimed
    }

    /// What contradicts this user: all other users, and unusable ids in metadata. An unusable
    /// `client_reference_id` is not a contradiction: applications use it for other things.
    fn others(self, user_id: Uuid) -> Vec<(Strength, String)> {
        let unusable = self.unusable.into_iter().filter(|_| self.by == Strength::Metadata);
        let others = self.users.into_iter().filter(|(other, _)| *other != user_id);
        others.map(|(other, _)| other.to_string()).chain(unusable).map(|name| (self.by, name)).collect()
    }
}

fn newest_first(claims: &[Claim], strength: Strength) -> Vec<&Claim> {
    let mut of_strength: Vec<_> = claims.iter().filter(|claim| claim.strength == strength).collect();
    of_strength.sort_by_key(|it| Reverse((it.object_created, &it.object_id, &it.claimed_users)));
    of_strength
}

/// What the evidence named, strongest first, for operators.
fn wanted(claims: &[Claim], addresses: &[Address]) -> String {
    let ids =
        claims.iter().flat_map(|claim| claim.claimed_users.iter().map(|id| (claim.strength, id.clone())));
    let given = addresses.iter().filter(|it| it.role == AddressRole::Given);
    let emails = given.map(|it| (Strength::Email, it.email.clone()));
    let named = detail_of(&some_of(ids.chain(emails).collect()));
    if named.is_empty() { "no user id and no e-mail address".to_owned() } else { named }
}

fn some_of(mut named: Vec<(Strength, String)>) -> Vec<(Strength, String)> {
    named.sort_unstable();
    named.dedup();
    named.truncate(NAMED_AT_MOST);
    named
}

/// What evidence names, as text for `parked.detail`. The text is a format, not only for people: the SQL of
/// `store::recompute` searches it for `email <user id>`.
#[must_use]
pub fn detail_of(named: &[(Strength, String)]) -> String {
    let named: Vec<String> = named.iter().map(|(by, id)| format!("{} {id}", by.as_str())).collect();
    named.join(", ")
}
