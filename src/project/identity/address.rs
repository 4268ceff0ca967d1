//! E-mail addresses as evidence: every address ever given, each with its earliest moment.

use time::OffsetDateTime;
use uuid::Uuid;

use super::Match;
use crate::project::order::ChangeKind;
use crate::project::stripe::{Checkout, Customer, StripeObject};

/// The longest address taken (RFC 5321 allows 254 bytes): it is the key of an index.
const LONGEST_BYTES: usize = 512;

/// What an address is to a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AddressRole {
    /// The customer has or had it, or a guest gave it at checkout: evidence.
    Given,
    /// Typed at a checkout of a known customer: not evidence, but it may contradict other evidence.
    Checkout,
    /// The customer was matched to a user by it (an internal event).
    Matched,
    /// No user had it when the customer was matched by a later one (the same internal event).
    Skipped,
}

impl AddressRole {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Given, Self::Checkout, Self::Matched, Self::Skipped];

    /// The name in `ingest.customer_emails.role`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Checkout => "checkout",
            Self::Matched => "matched",
            Self::Skipped => "passed",
        }
    }
}

/// The order of addresses given in one second, as far as a single event shows it. Ties are broken by the
/// address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i16)]
pub enum AddressOrder {
    /// The customer was created with it.
    Created = 0,
    /// An event shows it as the previous address.
    Previous = 1,
    /// An event shows it as the present address.
    Present = 2,
}

/// One address of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The object that gave it; for a recorded match, the match.
    pub object_id: String,
    /// The customer; for a guest checkout, its payment intent.
    pub customer: String,
    /// Normalised for comparison. Empty for a match whose person was forgotten.
    pub email: String,
    /// What it is.
    pub role: AddressRole,
    /// Of a recorded match: the user.
    pub user_id: Option<Uuid>,
    /// The earliest event that gave it.
    pub reported_at: OffsetDateTime,
    /// Its order within that second: an [`AddressOrder`].
    pub order_in_second: i16,
}

/// Normalises an address for comparison: trimmed, ASCII letters in lower case. Other letters are not folded,
/// because Unicode folds different addresses together (the Kelvin sign is not `k`).
#[must_use]
pub fn folded_email(email: &str) -> Option<String> {
    let email = email.trim();
    (!email.is_empty() && email.len() <= LONGEST_BYTES).then(|| email.to_ascii_lowercase())
}

/// The addresses that `object` gives, reported at `at` by this kind of change.
#[must_use]
pub fn addresses(object: &StripeObject, at: OffsetDateTime, change_kind: ChangeKind) -> Vec<Address> {
    match object {
        StripeObject::Customer(it) => of_customer(it, at, change_kind),
        StripeObject::Checkout(it) => of_checkout(it, at).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The previous address of a change counts too: the event that gave it may be missing.
fn of_customer(it: &Customer, at: OffsetDateTime, change_kind: ChangeKind) -> Vec<Address> {
    let now = if change_kind == ChangeKind::Created { AddressOrder::Created } else { AddressOrder::Present };
    let given = [(&it.previous_email, AddressOrder::Previous), (&it.email, now)];
    let address = |(email, order): (&Option<String>, AddressOrder)| {
        let email = folded_email(email.as_deref()?)?;
        Some(new_address(&it.id, &it.id, email, AddressRole::Given, at, order))
    };
    given.into_iter().filter_map(address).collect()
}

/// A guest has no customer: the payment represents it, and the address given at checkout counts.
fn of_checkout(it: &Checkout, at: OffsetDateTime) -> Option<Address> {
    let customer = it.customer.as_deref().or(it.payment_intent.as_deref()).filter(|_| it.is_settled)?;
    let role = if it.customer.is_some() { AddressRole::Checkout } else { AddressRole::Given };
    let email = folded_email(it.email.as_deref()?)?;
    Some(new_address(&it.id, customer, email, role, at, AddressOrder::Present))
}

fn new_address(
    object: &str,
    customer: &str,
    email: String,
    role: AddressRole,
    reported_at: OffsetDateTime,
    order: AddressOrder,
) -> Address {
    let (object_id, customer) = (object.to_owned(), customer.to_owned());
    Address { object_id, customer, email, role, user_id: None, reported_at, order_in_second: order as i16 }
}

/// The addresses of a recorded match.
#[must_use]
pub fn of_match(matched: &Match, at: OffsetDateTime) -> Vec<Address> {
    let object = format!("match/{}/{}", matched.customer, matched.user_id);
    let recorded = |email: &String, role| Address {
        user_id: Some(matched.user_id),
        ..new_address(
            &object,
            &matched.customer,
            folded_email(email).unwrap_or_default(),
            role,
            at,
            AddressOrder::Present,
        )
    };
    let skipped = matched.skipped.iter().map(|email| recorded(email, AddressRole::Skipped));
    std::iter::once(recorded(&matched.email, AddressRole::Matched)).chain(skipped).collect()
}
