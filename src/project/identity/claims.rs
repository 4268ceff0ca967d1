//! What an object says about whose customer it is.

use super::{Claim, Strength, user_id};
use crate::project::stripe::{Checkout, StripeObject};

/// The claims that `object` makes; at most one per strength.
#[must_use]
pub fn claims(object: &StripeObject) -> Vec<Claim> {
    match object {
        StripeObject::Subscription(it) => {
            let says = Speaker { id: &it.id, created: it.created, customer: &it.customer };
            says.users(Strength::Metadata, &it.user_ids).into_iter().collect()
        }
        StripeObject::Customer(it) => {
            let says = Speaker { id: &it.id, created: it.created, customer: &it.id };
            let metadata = says.users(Strength::Metadata, &it.user_ids);
            metadata.into_iter().chain(says.email(it.email.as_deref())).collect()
        }
        StripeObject::Checkout(it) => of_checkout(it),
        _ => Vec::new(),
    }
}

/// A guest has no customer: the payment stands for it, and the address given at checkout counts.
fn of_checkout(it: &Checkout) -> Vec<Claim> {
    let Some(customer) = it.customer.as_deref().or(it.payment_intent.as_deref()) else { return Vec::new() };
    let says = Speaker { id: &it.id, created: it.created, customer };
    let guest_email = it.email.as_deref().filter(|_| it.customer.is_none());
    let reference: Vec<String> = it.client_reference_id.iter().cloned().collect();
    let metadata = says.users(Strength::Metadata, &it.user_ids);
    let reference = says.users(Strength::ClientReferenceId, &reference);
    [metadata, reference, says.email(guest_email)].into_iter().flatten().collect()
}

/// The object that makes a claim.
struct Speaker<'a> {
    id: &'a str,
    created: i64,
    customer: &'a str,
}

impl Speaker<'_> {
    /// A UUID is kept in the one form that it has everywhere, so that its user finds the claim by it.
    fn users(&self, strength: Strength, ids: &[String]) -> Option<Claim> {
        let one_form = |id: &String| user_id(id).map_or_else(|| id.clone(), |uuid| uuid.to_string());
        let ids: Vec<String> = ids.iter().filter(|id| !id.trim().is_empty()).map(one_form).collect();
        (!ids.is_empty()).then(|| self.claim(strength, ids, None))
    }

    fn email(&self, email: Option<&str>) -> Option<Claim> {
        let email = email.map(|it| it.trim().to_lowercase()).filter(|it| !it.is_empty())?;
        Some(self.claim(Strength::Email, Vec::new(), Some(email)))
    }

    fn claim(&self, strength: Strength, claimed_users: Vec<String>, email: Option<String>) -> Claim {
        let (object_id, customer) = (self.id.to_owned(), self.customer.to_owned());
        Claim { object_id, customer, strength, claimed_users, email, object_created: self.created }
    }
}
