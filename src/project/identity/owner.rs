//! Weighing the claims.

use std::cmp::Reverse;

use uuid::Uuid;

use super::{Claim, Known, Owner, Strength, user_id};

/// How many ids and addresses a parked row names.
const NAMED_AT_MOST: usize = 8;

/// Whose customer it is by its `claims` (all of one customer, stored matches by e-mail among them as
/// claims of strength [`Strength::Email`] with a claimed user), given what is `known` of a user id and
/// which confirmed users have an address (`confirmed`).
#[must_use]
pub fn owner(
    claims: &[Claim],
    known: impl Fn(Uuid) -> Known,
    confirmed: impl Fn(&str) -> Vec<Uuid>,
) -> Owner {
    let explicit = Votes::of(claims, Strength::Metadata, &known);
    let disputed = explicit.is_disputed();
    let by_strength = [
        (Strength::Metadata, explicit),
        (Strength::ClientReferenceId, Votes::of(claims, Strength::ClientReferenceId, &known)),
        (Strength::KnownCustomer, Votes::of(claims, Strength::KnownCustomer, &known)),
    ];
    for (by, votes) in by_strength {
        match votes.cast.first() {
            Some(&(user_id, Known::Gone)) => return Owner::Gone { user_id },
            Some(&(user_id, _)) => return Owner::User { user_id, by, disputed },
            None => {}
        }
    }
    by_email(claims, &known, &confirmed, disputed)
}

/// What the claims of one strength say.
struct Votes {
    /// The users named that were ever seen, the one that counts first.
    cast: Vec<(Uuid, Known)>,
    /// Something named was no UUID, or nobody.
    has_unusable: bool,
}

impl Votes {
    fn of(claims: &[Claim], strength: Strength, known: impl Fn(Uuid) -> Known) -> Self {
        let named: Vec<Option<(Uuid, Known)>> = newest_first(claims, strength)
            .into_iter()
            .flat_map(|claim| &claim.claimed_users)
            .map(|id| user_id(id).map(|user| (user, known(user))).filter(|(_, it)| *it != Known::Never))
            .collect();
        Self { has_unusable: named.contains(&None), cast: named.into_iter().flatten().collect() }
    }

    fn is_disputed(&self) -> bool {
        self.has_unusable || self.cast.windows(2).any(|pair| pair[0].0 != pair[1].0)
    }
}

fn by_email(
    claims: &[Claim],
    known: impl Fn(Uuid) -> Known,
    confirmed: impl Fn(&str) -> Vec<Uuid>,
    disputed: bool,
) -> Owner {
    let kept = Votes::of(claims, Strength::Email, known).cast;
    let oldest_standing = kept.iter().rfind(|(_, it)| *it == Known::Present);
    if let Some(&(user_id, _)) = oldest_standing {
        return Owner::User { user_id, by: Strength::Email, disputed };
    }
    let addresses =
        newest_first(claims, Strength::Email).into_iter().filter(|it| it.claimed_users.is_empty());
    let email = addresses.filter_map(|claim| claim.email.as_deref()).next();
    let mut users = email.map(confirmed).unwrap_or_default();
    users.sort_unstable();
    users.dedup();
    match (users.as_slice(), email, kept.first()) {
        (&[user_id], ..) => Owner::User { user_id, by: Strength::Email, disputed },
        ([_, _, ..], Some(email), _) => Owner::Ambiguous { email: email.to_owned() },
        (_, _, Some(&(user_id, _))) => Owner::Gone { user_id },
        _ => Owner::Unknown { wanted: wanted(claims) },
    }
}

fn newest_first(claims: &[Claim], strength: Strength) -> Vec<&Claim> {
    let mut of_strength: Vec<_> = claims.iter().filter(|claim| claim.strength == strength).collect();
    of_strength.sort_by_key(|it| Reverse((it.object_created, &it.object_id, &it.claimed_users, &it.email)));
    of_strength
}

/// What the claims named, strongest first, for a person to read.
fn wanted(claims: &[Claim]) -> String {
    let mut named: Vec<(Strength, &str)> = Vec::new();
    for claim in claims {
        let ids = claim.claimed_users.iter().chain(&claim.email);
        named.extend(ids.map(|id| (claim.strength, id.as_str())));
    }
    named.sort_unstable();
    named.dedup();
    named.truncate(NAMED_AT_MOST);
    let named: Vec<String> = named.into_iter().map(|(by, id)| format!("{} {id}", by.as_str())).collect();
    if named.is_empty() { "no user id and no e-mail address".to_owned() } else { named.join(", ") }
}
