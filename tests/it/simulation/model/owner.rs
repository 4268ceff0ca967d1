//! Whose customer it is, by the rules of identity, from what the objects last named.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::state::Simulation;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `flagged`: not everything that metadata names is this user.
    User {
        id: Uuid,
        flagged: bool,
    },
    Deleted,
    Ambiguous,
    /// `perhaps_deleted`: the address was that of a user who was deleted. Whether it was compared while the user
    /// was there depends on when it came.
    Unknown {
        perhaps_deleted: bool,
    },
}

/// Whose `customer` is; a guest's payment is a customer of its own.
pub fn owner(simulation: &Simulation, customer: &str) -> Owner {
    let (explicit, flagged) = by_metadata(simulation, customer);
    let by_reference = by_reference(simulation, customer);
    let strongest =
        explicit.or_else(|| by_reference.first().copied()).or_else(|| by_known(simulation, customer));
    let Some(id) = strongest else { return by_address(simulation, customer, flagged) };
    if !simulation.supabase.users[&id].present {
        return Owner::Deleted;
    }
    let claimed = by_reference.into_iter().chain(by_known(simulation, customer));
    let flagged = flagged
        || claimed.into_iter().any(|other| other != id)
        || earliest_held(simulation, customer).is_some_and(|users| !users.contains(&id))
        || is_typed_by_another(simulation, customer, id);
    Owner::User { id, flagged }
}

/// Those who are there and have the earliest address that anybody has.
fn earliest_held(simulation: &Simulation, customer: &str) -> Option<Vec<Uuid>> {
    addresses(simulation, customer)
        .map(|address| present(simulation, address))
        .find(|users| !users.is_empty())
}

/// At a checkout of `customer` somebody gave an address that others have, and this user hasn't.
fn is_typed_by_another(simulation: &Simulation, customer: &str, id: Uuid) -> bool {
    let mut typed = typed(simulation, customer);
    typed.any(|address| {
        let users = present(simulation, address);
        !users.is_empty() && !users.contains(&id)
    })
}

fn addresses<'a>(simulation: &'a Simulation, customer: &str) -> impl Iterator<Item = &'a String> {
    simulation.stripe.addresses.get(customer).into_iter().flatten()
}

/// The addresses given at checkouts of a customer who is none of the guests.
fn typed<'a>(simulation: &'a Simulation, customer: &'a str) -> impl Iterator<Item = &'a String> {
    let checkouts = simulation.stripe.checkouts.values().filter(|it| !it.abandoned);
    checkouts.filter(move |it| it.customer.as_deref() == Some(customer)).filter_map(|it| it.email.as_ref())
}

fn present(simulation: &Simulation, address: &str) -> Vec<Uuid> {
    having(simulation, address).into_iter().filter(|id| simulation.supabase.users[id].present).collect()
}

/// The user that an id means, if there ever was one.
pub fn user(simulation: &Simulation, id: &str) -> Option<Uuid> {
    let id = Uuid::parse_str(id).ok()?;
    simulation.supabase.users.contains_key(&id).then_some(id)
}

/// Newest-created object first, in one second the higher id; of two keys the valid one.
fn by_metadata(simulation: &Simulation, customer: &str) -> (Option<Uuid>, bool) {
    let mut objects: Vec<_> =
        simulation.stripe.named.iter().filter(|(_, named)| named.customer == customer).collect();
    objects.sort_by_key(|(id, named)| (named.created, id.as_str()));
    let named: Vec<Option<Uuid>> =
        objects.iter().rev().flat_map(|(_, named)| &named.ids).map(|id| user(simulation, id)).collect();
    let different: BTreeSet<Option<Uuid>> = named.iter().copied().collect();
    (named.iter().flatten().next().copied(), different.len() > 1 || different.contains(&None))
}

/// The users that paid checkouts name, the newest-created first.
fn by_reference(simulation: &Simulation, customer: &str) -> Vec<Uuid> {
    let mut checkouts: Vec<_> = simulation
        .stripe
        .checkouts
        .values()
        .filter(|it| !it.abandoned && it.customer.as_deref().or(it.intent.as_deref()) == Some(customer))
        .collect();
    checkouts.sort_by_key(|it| (it.created, it.id.as_str()));
    checkouts.iter().rev().filter_map(|it| user(simulation, it.reference.as_deref()?)).collect()
}

fn by_known(simulation: &Simulation, customer: &str) -> Option<Uuid> {
    simulation.preexisting.iter().find(|row| row.customer == customer).map(|row| row.user)
}

/// The user of the earliest address that a confirmed user has.
fn by_address(simulation: &Simulation, customer: &str, flagged: bool) -> Owner {
    match earliest_held(simulation, customer).as_deref() {
        None => {
            let perhaps_deleted =
                addresses(simulation, customer).any(|address| !having(simulation, address).is_empty());
            Owner::Unknown { perhaps_deleted }
        }
        Some(&[id]) => Owner::User { id, flagged: flagged || is_typed_by_another(simulation, customer, id) },
        Some(_) => Owner::Ambiguous,
    }
}

fn having(simulation: &Simulation, address: &str) -> Vec<Uuid> {
    let address = address.trim().to_lowercase();
    let users = simulation.supabase.users.values();
    users.filter(|user| user.confirmed && user.email.to_lowercase() == address).map(|user| user.id).collect()
}

/// Every user who is there and whom some object of `customer` names, whether or not it is theirs.
pub fn named(simulation: &Simulation, customer: &str) -> Vec<Uuid> {
    let by_metadata = simulation.stripe.named.values().filter(|named| named.customer == customer);
    let mut users: Vec<Uuid> =
        by_metadata.flat_map(|named| &named.ids).filter_map(|id| user(simulation, id)).collect();
    users.extend(by_known(simulation, customer));
    users.extend(by_reference(simulation, customer));
    let emails = addresses(simulation, customer).chain(typed(simulation, customer));
    users.extend(emails.flat_map(|address| having(simulation, address)));
    users.retain(|id| simulation.supabase.users[id].present);
    users
}
