//! The user that the addresses of one customer lead to.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::address::{Address, AddressRole};
use super::{MAX_ADDRESSES, UserState};

/// The result of matching by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByEmail {
    /// This user.
    User {
        user_id: Uuid,
        /// The part of the match that is not recorded as an event yet.
        unrecorded: Option<Unrecorded>,
    },
    /// Several confirmed users have the earliest address that anybody has.
    Ambiguous { email: String },
    /// A user who was deleted.
    Deleted { user_id: Uuid },
    /// No user.
    Nobody,
}

/// A match to record: a decision from the state of `auth.users` must be repeatable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrecorded {
    /// The user.
    pub user_id: Uuid,
    /// By this address.
    pub email: String,
    /// Earlier addresses that no user has.
    pub skipped: Vec<String>,
}

/// The user of the earliest address that belongs to a confirmed user. A recorded match decides as long as its
/// user exists; addresses that had no user then are skipped. A recorded match whose address is no longer
/// known comes first.
pub(super) fn by_email(
    addresses: &[Address],
    user_state: impl Fn(Uuid) -> UserState,
    confirmed: impl Fn(&str) -> Vec<Uuid>,
) -> ByEmail {
    let records = Records::of(addresses, user_state);
    let given = given(addresses);
    if let Some(user_id) = records.existing().find(|it| !given.contains(&it.email.as_str())).and_then(user) {
        return ByEmail::User { user_id, unrecorded: None };
    }
    for (position, email) in given.iter().enumerate() {
        if let Some(user_id) = records.existing().find(|it| it.email == *email).and_then(user) {
            return records.matched(user_id, email, &given[..position]);
        }
        if records.is_skipped(email) {
            continue;
        }
        match distinct(confirmed(email)).as_slice() {
            [] => {}
            &[user_id] => return records.matched(user_id, email, &given[..position]),
            _ => return ByEmail::Ambiguous { email: (*email).to_owned() },
        }
    }
    records.deleted().map_or(ByEmail::Nobody, |user_id| ByEmail::Deleted { user_id })
}

/// The confirmed users that contradict `owner`: those of the earliest address that any user has, if addresses
/// are evidence next to a stronger one, and those of addresses typed at a checkout.
pub(super) fn contradicting(
    addresses: &[Address],
    owner: Uuid,
    is_by_email: bool,
    confirmed: impl Fn(&str) -> Vec<Uuid>,
) -> BTreeSet<Uuid> {
    let earliest = given(addresses).into_iter().map(&confirmed).find(|users| !users.is_empty());
    let typed = addresses.iter().filter(|it| it.role == AddressRole::Checkout).map(|it| confirmed(&it.email));
    let named = earliest.filter(|_| !is_by_email).into_iter().chain(typed);
    named.filter(|users| !users.contains(&owner)).flatten().collect()
}

/// The addresses that are evidence, the earliest first.
fn given(addresses: &[Address]) -> Vec<&str> {
    let mut given: Vec<&Address> = addresses.iter().filter(|it| it.role == AddressRole::Given).collect();
    given.sort_by_key(|it| (it.reported_at, it.order_in_second, &it.email));
    let mut seen = BTreeSet::new();
    given.into_iter().map(|it| it.email.as_str()).filter(|email| seen.insert(*email)).collect()
}

fn distinct(mut users: Vec<Uuid>) -> Vec<Uuid> {
    users.sort_unstable();
    users.dedup();
    users
}

const fn user(address: &Address) -> Option<Uuid> {
    address.user_id
}

/// The recorded matches of one customer, the earliest first.
struct Records<'a> {
    all: Vec<(&'a Address, UserState)>,
}

impl<'a> Records<'a> {
    fn of(addresses: &'a [Address], user_state: impl Fn(Uuid) -> UserState) -> Self {
        let recorded = addresses.iter().filter_map(|it| Some((it, user_state(it.user_id?))));
        let mut all: Vec<(&Address, UserState)> = recorded.collect();
        all.sort_by_key(|(it, _)| (it.reported_at, it.user_id, &it.email));
        Self { all }
    }

    fn with(&self, role: AddressRole) -> impl Iterator<Item = &(&'a Address, UserState)> {
        self.all.iter().filter(move |(it, _)| it.role == role)
    }

    fn existing(&self) -> impl Iterator<Item = &'a Address> {
        self.with(AddressRole::Matched).filter(|(_, state)| *state == UserState::Present).map(|(it, _)| *it)
    }

    fn deleted(&self) -> Option<Uuid> {
        self.with(AddressRole::Matched)
            .find(|(_, state)| *state == UserState::Deleted)
            .and_then(|(it, _)| it.user_id)
    }

    fn is_skipped(&self, email: &str) -> bool {
        self.with(AddressRole::Skipped).any(|(it, state)| it.email == email && *state == UserState::Present)
    }

    /// The match, with the part that is not recorded yet. Recording is bounded, like the number of addresses.
    fn matched(&self, user_id: Uuid, email: &str, earlier: &[&str]) -> ByEmail {
        let is_recorded = |role, email: &str| {
            self.with(role).any(|(it, _)| it.user_id == Some(user_id) && it.email == email)
        };
        let skipped: Vec<String> = earlier
            .iter()
            .filter(|email| !is_recorded(AddressRole::Skipped, email))
            .map(|it| (*it).to_owned())
            .collect();
        let is_new = !is_recorded(AddressRole::Matched, email) || !skipped.is_empty();
        let is_bounded = self.with(AddressRole::Matched).count() < MAX_ADDRESSES
            && self.with(AddressRole::Skipped).count() + skipped.len() <= MAX_ADDRESSES;
        let unrecorded =
            (is_new && is_bounded).then(|| Unrecorded { user_id, email: email.to_owned(), skipped });
        ByEmail::User { user_id, unrecorded }
    }
}
