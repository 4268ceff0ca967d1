//! Who a customer is, evidence by evidence.

use proptest::prelude::*;
use uuid::Uuid;

use super::{Claim, Known, Owner, Strength, claims, owner};
use crate::project::stripe::{Charge, Checkout, Customer, StripeObject, Subscription};

const PRESENT_A: Uuid = Uuid::from_u128(0xA);
const PRESENT_B: Uuid = Uuid::from_u128(0xB);
const GONE: Uuid = Uuid::from_u128(0xC);
const NEVER: Uuid = Uuid::from_u128(0xD);

fn known(user: Uuid) -> Known {
    match user {
        PRESENT_A | PRESENT_B => Known::Present,
        GONE => Known::Gone,
        _ => Known::Never,
    }
}

/// `a@x.org` is A's, `two@x.org` both have, nobody else confirmed any.
fn confirmed(email: &str) -> Vec<Uuid> {
    match email {
        "a@x.org" => vec![PRESENT_A, PRESENT_A],
        "two@x.org" => vec![PRESENT_B, PRESENT_A],
        _ => Vec::new(),
    }
}

fn names(strength: Strength, object: &str, created: i64, users: &[&str]) -> Claim {
    Claim {
        object_id: object.to_owned(),
        customer: "cus_1".to_owned(),
        strength,
        claimed_users: users.iter().map(|&user| user.to_owned()).collect(),
        email: None,
        object_created: created,
    }
}

fn address(email: &str) -> Claim {
    Claim { email: Some(email.to_owned()), ..names(Strength::Email, "cus_1", 1, &[]) }
}

fn kept(user: Uuid, matched_at: i64) -> Claim {
    let user = user.to_string();
    Claim { email: Some("then@x.org".to_owned()), ..names(Strength::Email, "match", matched_at, &[&user]) }
}

fn found(claims: &[Claim]) -> Owner {
    owner(claims, known, confirmed)
}

fn user(user_id: Uuid, by: Strength, disputed: bool) -> Owner {
    Owner::User { user_id, by, disputed }
}

#[test]
fn evidence_counts_by_its_strength() {
    let (a, b) = (PRESENT_A.to_string(), PRESENT_B.to_string());
    let mut all = vec![
        names(Strength::Metadata, "sub_1", 1, &[&b]),
        names(Strength::ClientReferenceId, "cs_1", 9, &[&a]),
        names(Strength::KnownCustomer, "cus_1", 9, &[&b]),
        address("a@x.org"),
    ];
    assert_eq!(found(&all), user(PRESENT_B, Strength::Metadata, false));
    all.remove(0);
    assert_eq!(found(&all), user(PRESENT_A, Strength::ClientReferenceId, false));
    all.remove(0);
    assert_eq!(found(&all), user(PRESENT_B, Strength::KnownCustomer, false));
    all.remove(0);
    assert_eq!(found(&all), user(PRESENT_A, Strength::Email, false));
    all.remove(0);
    assert_eq!(found(&all), Owner::Unknown { wanted: "no user id and no e-mail address".to_owned() });
}

#[test]
fn of_disagreeing_ids_the_newest_objects_counts_and_the_customer_is_flagged() {
    let (a, b) = (PRESENT_A.to_string(), PRESENT_B.to_string());
    let older = names(Strength::Metadata, "sub_9", 1, &[&a]);
    let newer = names(Strength::Metadata, "cus_1", 2, &[&b]);
    assert_eq!(found(&[older.clone(), newer.clone()]), user(PRESENT_B, Strength::Metadata, true));
    let same_second = Claim { object_created: 2, ..older };
    assert_eq!(found(&[newer, same_second]), user(PRESENT_A, Strength::Metadata, true));
    let agreeing =
        [names(Strength::Metadata, "sub_1", 1, &[&a]), names(Strength::Metadata, "cus_1", 2, &[&a])];
    assert_eq!(found(&agreeing), user(PRESENT_A, Strength::Metadata, false));
}

#[test]
fn an_unusable_id_is_passed_over_and_flagged() {
    let (a, never) = (PRESENT_A.to_string(), NEVER.to_string());
    for unusable in ["42", "", never.as_str()] {
        let both_keys = names(Strength::Metadata, "sub_1", 1, &[unusable, &a]);
        assert_eq!(found(&[both_keys]), user(PRESENT_A, Strength::Metadata, true), "{unusable}");
        let alone = names(Strength::Metadata, "sub_1", 1, &[unusable]);
        assert_eq!(found(&[alone, address("a@x.org")]), user(PRESENT_A, Strength::Email, true), "{unusable}");
    }
}

#[test]
fn a_client_reference_of_another_kind_is_no_dispute() {
    let cart = names(Strength::ClientReferenceId, "cs_1", 1, &["cart-77"]);
    assert_eq!(found(&[cart, address("a@x.org")]), user(PRESENT_A, Strength::Email, false));
}

#[test]
fn a_user_who_is_gone_never_gives_way_to_weaker_evidence() {
    let gone = GONE.to_string();
    for strength in [Strength::Metadata, Strength::ClientReferenceId, Strength::KnownCustomer] {
        let claims = [names(strength, "sub_1", 1, &[&gone]), address("a@x.org")];
        assert_eq!(found(&claims), Owner::Gone { user_id: GONE }, "{strength:?}");
    }
}

#[test]
fn a_match_by_address_stays_whatever_addresses_do_later() {
    assert_eq!(found(&[kept(PRESENT_B, 5), address("a@x.org")]), user(PRESENT_B, Strength::Email, false));
    assert_eq!(found(&[kept(PRESENT_B, 5), address("two@x.org")]), user(PRESENT_B, Strength::Email, false));
    let stronger = names(Strength::KnownCustomer, "cus_1", 1, &[&PRESENT_A.to_string()]);
    assert_eq!(found(&[kept(PRESENT_B, 5), stronger]), user(PRESENT_A, Strength::KnownCustomer, false));
    let twice = [kept(PRESENT_A, 6), kept(PRESENT_B, 5)];
    assert_eq!(found(&twice), user(PRESENT_B, Strength::Email, false));
}

#[test]
fn once_a_matched_user_is_gone_addresses_are_compared_anew() {
    assert_eq!(found(&[kept(GONE, 5), address("none@x.org")]), Owner::Gone { user_id: GONE });
    assert_eq!(found(&[kept(GONE, 5), address("a@x.org")]), user(PRESENT_A, Strength::Email, false));
    assert_eq!(found(&[kept(GONE, 5), kept(PRESENT_B, 6)]), user(PRESENT_B, Strength::Email, false));
}

#[test]
fn an_address_of_several_users_is_nobodys() {
    assert_eq!(found(&[address("two@x.org")]), Owner::Ambiguous { email: "two@x.org".to_owned() });
}

#[test]
fn what_was_looked_for_is_said() {
    let claims = [
        address("none@x.org"),
        names(Strength::Metadata, "sub_2", 2, &["7"]),
        names(Strength::Metadata, "sub_1", 1, &["7"]),
    ];
    assert_eq!(found(&claims), Owner::Unknown { wanted: "metadata 7, email none@x.org".to_owned() });
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

/// Customer, strength, users, address.
fn told(object: &StripeObject) -> Vec<(String, Strength, Vec<String>, Option<String>)> {
    claims(object).into_iter().map(|it| (it.customer, it.strength, it.claimed_users, it.email)).collect()
}

#[test]
fn a_customer_names_a_user_and_an_address() {
    let customer = Customer {
        id: "cus_1".to_owned(),
        created: 7,
        email: Some(" Ada@X.org".to_owned()),
        user_ids: texts(&["u1", " ", "u2"]),
        ..Customer::default()
    };
    let object = StripeObject::Customer(customer);
    let expected = [
        ("cus_1".to_owned(), Strength::Metadata, texts(&["u1", "u2"]), None),
        ("cus_1".to_owned(), Strength::Email, Vec::new(), Some("ada@x.org".to_owned())),
    ];
    assert_eq!(told(&object), expected);
    assert!(claims(&object).iter().all(|claim| claim.object_created == 7 && claim.object_id == "cus_1"));
}

#[test]
fn a_subscription_speaks_for_its_customer() {
    let mut subscription = Subscription {
        id: "sub_1".to_owned(),
        customer: "cus_1".to_owned(),
        user_ids: texts(&["u1"]),
        ..Subscription::default()
    };
    let expected = [("cus_1".to_owned(), Strength::Metadata, texts(&["u1"]), None)];
    assert_eq!(told(&StripeObject::Subscription(subscription.clone())), expected);
    subscription.user_ids.clear();
    assert_eq!(told(&StripeObject::Subscription(subscription)), []);
}

#[test]
fn a_guests_checkout_speaks_for_its_payment_with_its_address() {
    let mut checkout = Checkout {
        id: "cs_1".to_owned(),
        customer: Some("cus_1".to_owned()),
        payment_intent: Some("pi_1".to_owned()),
        client_reference_id: Some("u2".to_owned()),
        email: Some("Ada@x.org".to_owned()),
        user_ids: texts(&["u1"]),
        ..Checkout::default()
    };
    let explicit = |customer: &str| {
        vec![
            (customer.to_owned(), Strength::Metadata, texts(&["u1"]), None),
            (customer.to_owned(), Strength::ClientReferenceId, texts(&["u2"]), None),
        ]
    };
    assert_eq!(told(&StripeObject::Checkout(checkout.clone())), explicit("cus_1"));
    checkout.customer = None;
    let mut expected = explicit("pi_1");
    expected.push(("pi_1".to_owned(), Strength::Email, Vec::new(), Some("ada@x.org".to_owned())));
    assert_eq!(told(&StripeObject::Checkout(checkout.clone())), expected);
    checkout.payment_intent = None;
    assert_eq!(told(&StripeObject::Checkout(checkout)), []);
    assert_eq!(told(&StripeObject::Charge(Charge::default())), []);
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let strength = prop_oneof![
        Just(Strength::Metadata),
        Just(Strength::ClientReferenceId),
        Just(Strength::KnownCustomer),
        Just(Strength::Email)
    ];
    let ids = [PRESENT_A, PRESENT_B, GONE, NEVER].map(|user| user.to_string());
    let users = proptest::collection::vec(proptest::sample::select(ids.to_vec()), 0..3);
    let emails = proptest::option::of(proptest::sample::select(vec!["a@x.org", "two@x.org", "none@x.org"]));
    (strength, 0..3_u8, 0..3_i64, users, emails).prop_map(|(strength, object, created, users, email)| {
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let claim = names(strength, &format!("object_{object}"), created, &users);
        Claim { email: email.map(str::to_owned), ..claim }
    })
}

proptest! {
    #[test]
    fn the_owner_depends_on_the_set_alone(
        (claims, shuffled) in proptest::collection::vec(any_claim(), 0..7)
            .prop_flat_map(|claims| (Just(claims.clone()), Just(claims).prop_shuffle()))
    ) {
        let expected = found(&claims);
        prop_assert_eq!(&found(&shuffled), &expected);
        prop_assert_eq!(&found(&[claims, shuffled].concat()), &expected);
    }
}
