//! What each kind of object says about whose a customer is.

use time::OffsetDateTime;

use super::texts;
use crate::project::identity::{AddressRole, Strength, addresses, claims};
use crate::project::order::ChangeKind;
use crate::project::stripe::{Charge, Checkout, Customer, StripeObject, Subscription};

/// Customer, strength, users.
fn reported(object: &StripeObject) -> Vec<(String, Strength, Vec<String>)> {
    claims(object).into_iter().map(|it| (it.customer, it.strength, it.claimed_users)).collect()
}

/// Customer, role, address, order within the second.
fn gives(object: &StripeObject, change_kind: ChangeKind) -> Vec<(String, AddressRole, String, i16)> {
    let given = addresses(object, OffsetDateTime::UNIX_EPOCH, change_kind).into_iter();
    given.map(|it| (it.customer, it.role, it.email, it.order_in_second)).collect()
}

#[test]
fn customer_names_a_user_and_its_addresses() {
    let customer = Customer {
        id: "cus_1".to_owned(),
        created: 7,
        email: Some(" Ada@X.org".to_owned()),
        previous_email: Some("Old@x.org".to_owned()),
        user_ids: texts(&["u1", " ", "u2"]),
        ..Customer::default()
    };
    let object = StripeObject::Customer(customer);
    assert_eq!(reported(&object), [("cus_1".to_owned(), Strength::Metadata, texts(&["u1", "u2"]))]);
    assert!(claims(&object).iter().all(|claim| claim.object_created == 7 && claim.object_id == "cus_1"));
    let given = |email: &str, order| ("cus_1".to_owned(), AddressRole::Given, email.to_owned(), order);
    assert_eq!(gives(&object, ChangeKind::Updated), [given("old@x.org", 1), given("ada@x.org", 2)]);
    assert_eq!(gives(&object, ChangeKind::Created), [given("old@x.org", 1), given("ada@x.org", 0)]);
}

#[test]
fn subscription_claims_for_its_customer() {
    let mut subscription = Subscription {
        id: "sub_1".to_owned(),
        customer: "cus_1".to_owned(),
        user_ids: texts(&["u1"]),
        ..Subscription::default()
    };
    let expected = [("cus_1".to_owned(), Strength::Metadata, texts(&["u1"]))];
    assert_eq!(reported(&StripeObject::Subscription(subscription.clone())), expected);
    subscription.user_ids.clear();
    assert_eq!(reported(&StripeObject::Subscription(subscription)), []);
}

#[test]
fn settled_checkout_claims_for_customer_or_payment() {
    let mut checkout = Checkout {
        id: "cs_1".to_owned(),
        customer: Some("cus_1".to_owned()),
        payment_intent: Some("pi_1".to_owned()),
        client_reference_id: Some("u2".to_owned()),
        email: Some("Ada@x.org".to_owned()),
        user_ids: texts(&["u1"]),
        is_settled: true,
        ..Checkout::default()
    };
    let explicit = |customer: &str| {
        vec![
            (customer.to_owned(), Strength::Metadata, texts(&["u1"])),
            (customer.to_owned(), Strength::ClientReferenceId, texts(&["u2"])),
        ]
    };
    let email = |customer: &str, role| vec![(customer.to_owned(), role, "ada@x.org".to_owned(), 2)];
    let object = |it: &Checkout| StripeObject::Checkout(it.clone());
    assert_eq!(reported(&object(&checkout)), explicit("cus_1"));
    assert_eq!(gives(&object(&checkout), ChangeKind::Updated), email("cus_1", AddressRole::Checkout));
    checkout.customer = None;
    assert_eq!(reported(&object(&checkout)), explicit("pi_1"));
    assert_eq!(gives(&object(&checkout), ChangeKind::Updated), email("pi_1", AddressRole::Given));
    checkout.is_settled = false;
    assert_eq!(
        (reported(&object(&checkout)), gives(&object(&checkout), ChangeKind::Updated)),
        (vec![], vec![])
    );
    (checkout.is_settled, checkout.payment_intent) = (true, None);
    assert_eq!(reported(&object(&checkout)), []);
    assert_eq!(reported(&StripeObject::Charge(Charge::default())), []);
}
