//! Whose customer it is, by the rules of identity, from what the objects last named.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// `flagged`: not everything that metadata names is this user.
    User {
        id: Uuid,
        flagged: bool,
    },
    Gone,
    Ambiguous,
    /// `perhaps_gone`: the address was that of a user who is gone. Whether it was compared while the user
    /// was there depends on when it came.
    Unknown {
        perhaps_gone: bool,
    },
}

/// Whose `customer` is; a guest's payment is a customer of its own.
pub fn owner(world: &World, customer: &str) -> Owner {
    let (explicit, flagged) = by_metadata(world, customer);
    let strongest = explicit.or_else(|| by_reference(world, customer)).or_else(|| by_known(world, customer));
    match strongest {
        Some(id) if world.supabase.users[&id].present => Owner::User { id, flagged },
        Some(_) => Owner::Gone,
        None => by_address(world, customer, flagged),
    }
}

/// The user that an id means, if there ever was one.
pub fn user(world: &World, id: &str) -> Option<Uuid> {
    let id = Uuid::parse_str(id).ok()?;
    world.supabase.users.contains_key(&id).then_some(id)
}

/// Newest-created object first, in one second the higher id; of two keys the valid one.
fn by_metadata(world: &World, customer: &str) -> (Option<Uuid>, bool) {
    let mut objects: Vec<_> =
        world.stripe.named.iter().filter(|(_, named)| named.customer == customer).collect();
    objects.sort_by_key(|(id, named)| (named.created, id.as_str()));
    let named: Vec<Option<Uuid>> =
        objects.iter().rev().flat_map(|(_, named)| &named.ids).map(|id| user(world, id)).collect();
    let different: BTreeSet<Option<Uuid>> = named.iter().copied().collect();
    (named.iter().flatten().next().copied(), different.len() > 1 || different.contains(&None))
}

fn by_reference(world: &World, customer: &str) -> Option<Uuid> {
    let mut checkouts: Vec<_> = world
        .stripe
        .checkouts
        .values()
        .filter(|it| it.customer.as_deref().or(it.intent.as_deref()) == Some(customer))
        .collect();
    checkouts.sort_by_key(|it| (it.created, it.id.as_str()));
    checkouts.iter().rev().filter_map(|it| user(world, it.reference.as_deref()?)).next()
}

fn by_known(world: &World, customer: &str) -> Option<Uuid> {
    world.found.iter().find(|found| found.customer == customer).map(|found| found.user)
}

fn by_address(world: &World, customer: &str, flagged: bool) -> Owner {
    let Some(address) = world.stripe.addresses.get(customer) else {
        return Owner::Unknown { perhaps_gone: false };
    };
    let users = having(world, address);
    let there: Vec<Uuid> = users.iter().copied().filter(|id| world.supabase.users[id].present).collect();
    match there[..] {
        [id] => Owner::User { id, flagged },
        [] => Owner::Unknown { perhaps_gone: !users.is_empty() },
        _ => Owner::Ambiguous,
    }
}

fn having(world: &World, address: &str) -> Vec<Uuid> {
    let address = address.trim().to_lowercase();
    let users = world.supabase.users.values();
    users.filter(|user| user.confirmed && user.email.to_lowercase() == address).map(|user| user.id).collect()
}

/// Every user who is there and whom some object of `customer` names, whether or not it is theirs.
pub fn named(world: &World, customer: &str) -> Vec<Uuid> {
    let by_metadata = world.stripe.named.values().filter(|named| named.customer == customer);
    let mut users: Vec<Uuid> =
        by_metadata.flat_map(|named| &named.ids).filter_map(|id| user(world, id)).collect();
    users.extend(by_known(world, customer));
    let checkouts = world.stripe.checkouts.values();
    let of_customer =
        checkouts.filter(|it| it.customer.as_deref().or(it.intent.as_deref()) == Some(customer));
    users.extend(of_customer.filter_map(|it| user(world, it.reference.as_deref()?)));
    users.extend(world.stripe.addresses.get(customer).into_iter().flat_map(|address| having(world, address)));
    users.retain(|id| world.supabase.users[id].present);
    users
}
