//! The claims of an object about whose customer it is.

use super::{Claim, Strength, user_id};
use crate::project::stripe::{Checkout, StripeObject};

/// The claims that `object` makes; at most one per strength.
#[must_use]
pub fn claims(object: &StripeObject) -> Vec<Claim> {
    match object {
        StripeObject::Subscription(it) => {
            let claimant = Claimant { id: &it.id, created: it.created, customer: &it.customer };
            claimant.users(Strength::Metadata, &it.user_ids).into_iter().collect()
        }
        StripeObject::Customer(it) => {
            let claimant = Claimant { id: &it.id, created: it.created, customer: &it.id };
            claimant.users(Strength::Metadata, &it.user_ids).into_iter().collect()
        }
        StripeObject::Checkout(it) => of_checkout(it),
        _ => Vec::new(),
    }
}

/// A guest has no customer: the payment represents it. An unpaid session claims nothing.
fn of_checkout(it: &Checkout) -> Vec<Claim> {
    let customer = it.customer.as_deref().or(it.payment_intent.as_deref()).filter(|_| it.is_settled);
    let Some(customer) = customer else { return Vec::new() };
    let claimant = Claimant { id: &it.id, created: it.created, customer };
    let reference: Vec<String> = it.client_reference_id.iter().cloned().collect();
    let metadata = claimant.users(Strength::Metadata, &it.user_ids);
    let reference = claimant.users(Strength::ClientReferenceId, &reference);
    [metadata, reference].into_iter().flatten().collect()
}

/// The object that makes a claim.
struct Claimant<'a> {
    id: &'a str,
    created: i64,
    customer: &'a str,
}

impl Claimant<'_> {
    /// UUIDs are normalised, so that the claim is found by the user's id.
    fn users(&self, strength: Strength, ids: &[String]) -> Option<Claim> {
        let one_form = |id: &String| user_id(id).map_or_else(|| id.clone(), |uuid| uuid.to_string());
        let ids: Vec<String> = ids.iter().filter(|id| !id.trim().is_empty()).map(one_form).collect();
        (!ids.is_empty()).then(|| Claim {
            object_id: self.id.to_owned(),
            customer: self.customer.to_owned(),
            strength,
            claimed_users: ids,
            object_created: self.created,
        })
    }
}
