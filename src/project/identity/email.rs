//! The user that the addresses of one customer lead to.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::address::{Address, Role};
use super::{Known, MAX_ADDRESSES};

/// Where the addresses lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByEmail {
    /// To this user.
    User {
        user_id: Uuid,
        /// What of that no event has recorded yet.
        unrecorded: Option<Unrecorded>,
    },
    /// Several confirmed users have the earliest address that anybody has.
    Ambiguous { email: String },
    /// To a user who is gone.
    Gone { user_id: Uuid },
    /// To nobody.
    Nobody,
}

/// A match that has to be recorded: what was decided from the state of `auth.users` must stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrecorded {
    /// The user.
    pub user_id: Uuid,
    /// By this address.
    pub email: String,
    /// Earlier addresses that nobody has.
    pub passed: Vec<String>,
}

/// The user of the earliest address that belongs to a confirmed user. Whose an address is, once it has been decided,
/// the record says as long as that user is there; an address that was nobody's then is passed over. A match whose
/// address is not among those known any more counts before them.
pub(super) fn by_email(
    addresses: &[Address],
    known: impl Fn(Uuid) -> Known,
    confirmed: impl Fn(&str) -> Vec<Uuid>,
) -> ByEmail {
    let records = Records::of(addresses, known);
    let given = given(addresses);
    if let Some(user_id) = records.present().find(|it| !given.contains(&it.email.as_str())).and_then(user) {
        return ByEmail::User { user_id, unrecorded: None };
    }
    for (position, email) in given.iter().enumerate() {
        if let Some(user_id) = records.present().find(|it| it.email == *email).and_then(user) {
            return records.matched(user_id, email, &given[..position]);
        }
        if records.is_passed(email) {
            continue;
        }
        match holders(confirmed(email)).as_slice() {
            [] => {}
            &[user_id] => return records.matched(user_id, email, &given[..position]),
            _ => return ByEmail::Ambiguous { email: (*email).to_owned() },
        }
    }
    records.gone().map_or(ByEmail::Nobody, |user_id| ByEmail::Gone { user_id })
}

/// The users who are confirmed today and whom the addresses name, where none of them is the `owner`: by the earliest
/// address that anybody has, where that is evidence beside stronger one, and by each that was typed at a checkout.
pub(super) fn contradicting(
    addresses: &[Address],
    owner: Uuid,
    is_by_email: bool,
    confirmed: impl Fn(&str) -> Vec<Uuid>,
) -> BTreeSet<Uuid> {
    let earliest = given(addresses).into_iter().map(&confirmed).find(|users| !users.is_empty());
    let typed = addresses.iter().filter(|it| it.role == Role::Checkout).map(|it| confirmed(&it.email));
    let named = earliest.filter(|_| !is_by_email).into_iter().chain(typed);
    named.filter(|users| !users.contains(&owner)).flatten().collect()
}

/// The addresses that are evidence, the earliest first.
fn given(addresses: &[Address]) -> Vec<&str> {
    let mut given: Vec<&Address> = addresses.iter().filter(|it| it.role == Role::Given).collect();
    given.sort_by_key(|it| (it.given_at, it.place, &it.email));
    let mut seen = BTreeSet::new();
    given.into_iter().map(|it| it.email.as_str()).filter(|email| seen.insert(*email)).collect()
}

fn holders(mut users: Vec<Uuid>) -> Vec<Uuid> {
    users.sort_unstable();
    users.dedup();
    users
}

const fn user(address: &Address) -> Option<Uuid> {
    address.user_id
}

/// The recorded matches of one customer, the earliest first.
struct Records<'a> {
    all: Vec<(&'a Address, Known)>,
}

impl<'a> Records<'a> {
    fn of(addresses: &'a [Address], known: impl Fn(Uuid) -> Known) -> Self {
        let recorded = addresses.iter().filter_map(|it| Some((it, known(it.user_id?))));
        let mut all: Vec<(&Address, Known)> = recorded.collect();
        all.sort_by_key(|(it, _)| (it.given_at, it.user_id, &it.email));
        Self { all }
    }

    fn with(&self, role: Role) -> impl Iterator<Item = &(&'a Address, Known)> {
        self.all.iter().filter(move |(it, _)| it.role == role)
    }

    fn present(&self) -> impl Iterator<Item = &'a Address> {
        self.with(Role::Matched).filter(|(_, known)| *known == Known::Present).map(|(it, _)| *it)
    }

    fn gone(&self) -> Option<Uuid> {
        self.with(Role::Matched).find(|(_, known)| *known == Known::Gone).and_then(|(it, _)| it.user_id)
    }

    fn is_passed(&self, email: &str) -> bool {
        self.with(Role::Passed).any(|(it, known)| it.email == email && *known == Known::Present)
    }

    /// The match, with what of it is not recorded yet. There is an end to recording, as to addresses.
    fn matched(&self, user_id: Uuid, email: &str, earlier: &[&str]) -> ByEmail {
        let is_recorded = |role, email: &str| {
            self.with(role).any(|(it, _)| it.user_id == Some(user_id) && it.email == email)
        };
        let passed: Vec<String> = earlier
            .iter()
            .filter(|email| !is_recorded(Role::Passed, email))
            .map(|it| (*it).to_owned())
            .collect();
        let is_new = !is_recorded(Role::Matched, email) || !passed.is_empty();
        let is_bounded = self.with(Role::Matched).count() < MAX_ADDRESSES
            && self.with(Role::Passed).count() + passed.len() <= MAX_ADDRESSES;
        let unrecorded =
            (is_new && is_bounded).then(|| Unrecorded { user_id, email: email.to_owned(), passed });
        ByEmail::User { user_id, unrecorded }
    }
}
