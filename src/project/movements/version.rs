//! Versions: the state of an object from a second on.

use std::collections::BTreeMap;

use crate::project::stripe::{Customer, Discount, StripeObject, Subscription};

/// The state of an object from a second on: the winner among its reports of that second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Unix seconds.
    pub at: i64,
    /// The object can never leave this state.
    pub is_final: bool,
    /// The event that reported it.
    pub event_id: String,
    /// A subscription, customer or discount; or an invoice, for its lines.
    pub state: StripeObject,
}

impl Version {
    /// Discounts and invoices first, so that a subscription of the same second sees them; then by id.
    fn sort_key(&self) -> (u8, String) {
        let kind = match self.state {
            StripeObject::Subscription(_) => 1,
            _ => 0,
        };
        (kind, self.state.id().to_owned())
    }
}

/// The part of a state that the ledger needs, without personal data; `None` for all other objects, and for an
/// imported subscription without a known state.
#[must_use]
pub fn versioned_state(state: &StripeObject) -> Option<StripeObject> {
    match state {
        StripeObject::Subscription(it) if !it.is_unreported_import => {
            Some(StripeObject::Subscription(Subscription { user_ids: Vec::new(), ..it.clone() }))
        }
        StripeObject::Customer(it) => {
            let nobody = Customer { email: None, previous_email: None, user_ids: Vec::new(), ..it.clone() };
            Some(StripeObject::Customer(nobody))
        }
        StripeObject::Discount(it) => Some(StripeObject::Discount(it.clone())),
        _ => None,
    }
}

/// The versions by the second from which each is effective. A final version hides other versions of the same
/// second and later.
pub fn by_second(versions: Vec<Version>) -> BTreeMap<i64, Vec<Version>> {
    let mut objects = BTreeMap::<String, Vec<Version>>::new();
    for version in versions {
        objects.entry(version.state.id().to_owned()).or_default().push(version);
    }
    let mut seconds = BTreeMap::<i64, Vec<Version>>::new();
    for mut versions in objects.into_values() {
        versions.sort_by_key(|version| (version.at, version.is_final));
        let end = versions.iter().find(|version| version.is_final).map(|version| version.at);
        versions.retain(|version| version.is_final || end.is_none_or(|end| version.at < end));
        let backdated_first = versions.first().and_then(backdated);
        for version in backdated_first.into_iter().chain(versions) {
            seconds.entry(version.at).or_default().push(version);
        }
    }
    for versions in seconds.values_mut() {
        versions.sort_by_key(Version::sort_key);
    }
    seconds
}

/// A discount first reported after its start has applied since its start.
fn backdated(first: &Version) -> Option<Version> {
    let StripeObject::Discount(discount) = &first.state else { return None };
    let start = discount.start.filter(|start| *start < first.at)?;
    let state = StripeObject::Discount(Discount { deleted: false, ..discount.clone() });
    Some(Version { at: start, is_final: false, event_id: first.event_id.clone(), state })
}
