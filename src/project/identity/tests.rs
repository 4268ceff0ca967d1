//! Who a customer is, evidence by evidence.

use proptest::prelude::*;
use uuid::Uuid;

use time::OffsetDateTime;

use super::{
    Address, Claim, Match, Matching, Owner, Role, Strength, Unrecorded, UserState, addresses, claims,
    folded_email, of_match, owner,
};
use crate::project::order::Stage;
use crate::project::stripe::{Charge, Checkout, Customer, StripeObject, Subscription};

const PRESENT_A: Uuid = Uuid::from_u128(0xA);
const PRESENT_B: Uuid = Uuid::from_u128(0xB);
const GONE: Uuid = Uuid::from_u128(0xC);
const NEVER: Uuid = Uuid::from_u128(0xD);

fn known(user: Uuid) -> UserState {
    match user {
        PRESENT_A | PRESENT_B => UserState::Present,
        GONE => UserState::Gone,
        _ => UserState::Never,
    }
}

/// `a@x.org` is A's, `b@x.org` B's, `two@x.org` both have, nobody else confirmed any.
fn confirmed(email: &str) -> Vec<Uuid> {
    match email {
        "a@x.org" => vec![PRESENT_A, PRESENT_A],
        "b@x.org" => vec![PRESENT_B],
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
        object_created: created,
    }
}

/// An address of the customer from this second on.
fn given(email: &str, second: i64) -> Address {
    Address {
        object_id: "cus_1".to_owned(),
        customer: "cus_1".to_owned(),
        email: email.to_owned(),
        role: Role::Given,
        user_id: None,
        given_at: OffsetDateTime::from_unix_timestamp(second).unwrap(),
        place: 2,
    }
}

fn address(email: &str) -> Address {
    given(email, 1)
}

/// An address typed at a checkout of the customer.
fn typed(email: &str) -> Address {
    Address { role: Role::Checkout, object_id: "cs_1".to_owned(), ..address(email) }
}

/// A recorded match by an address, past others.
fn recorded(user_id: Uuid, email: &str, passed: &[&str], second: i64) -> Vec<Address> {
    let (email, passed) = (email.to_owned(), texts(passed));
    let matched = Match { customer: "cus_1".to_owned(), user_id, email, passed, matched_at: second };
    of_match(&matched, OffsetDateTime::from_unix_timestamp(second).unwrap())
}

fn decided(claims: &[Claim], addresses: &[Address]) -> Owner {
    owner(claims, addresses, known, confirmed)
}

fn found(claims: &[Claim]) -> Owner {
    decided(claims, &[])
}

/// The user, and by which kinds of evidence somebody else is named.
fn short(owner: Owner) -> (Option<Uuid>, Vec<Strength>) {
    match owner {
        Owner::User { user_id, contradicted_by, .. } => {
            (Some(user_id), contradicted_by.into_iter().map(|(by, _)| by).collect())
        }
        _ => (None, Vec::new()),
    }
}

fn by_addresses(addresses: &[Address]) -> Option<Uuid> {
    short(decided(&[], addresses)).0
}

fn user(user_id: Uuid, by: Strength, contradicted: bool) -> (Uuid, Strength, bool) {
    (user_id, by, contradicted)
}

fn seen(owner: Owner) -> (Uuid, Strength, bool) {
    match owner {
        Owner::User { user_id, by, contradicted_by, .. } => (user_id, by, !contradicted_by.is_empty()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn stronger_evidence_wins_weaker_is_flagged() {
    let (a, b) = (PRESENT_A.to_string(), PRESENT_B.to_string());
    let mut all = vec![
        names(Strength::Metadata, "sub_1", 1, &[&b]),
        names(Strength::ClientReferenceId, "cs_1", 9, &[&a]),
        names(Strength::KnownCustomer, "cus_1", 9, &[&b]),
    ];
    let addresses = [address("a@x.org")];
    let others = |strengths: &[Strength]| strengths.to_vec();
    let now = short(decided(&all, &addresses));
    assert_eq!(now, (Some(PRESENT_B), others(&[Strength::ClientReferenceId, Strength::Email])));
    all.remove(0);
    assert_eq!(short(decided(&all, &addresses)), (Some(PRESENT_A), others(&[Strength::KnownCustomer])));
    all.remove(0);
    assert_eq!(short(decided(&all, &addresses)), (Some(PRESENT_B), others(&[Strength::Email])));
    all.remove(0);
    assert_eq!(short(decided(&all, &addresses)), (Some(PRESENT_A), others(&[])));
    assert_eq!(found(&[]), Owner::Unknown { wanted: "no user id and no e-mail address".to_owned() });
}

#[test]
fn conflicting_user_ids_newest_object_wins() {
    let (a, b) = (PRESENT_A.to_string(), PRESENT_B.to_string());
    let older = names(Strength::Metadata, "sub_9", 1, &[&a]);
    let newer = names(Strength::Metadata, "cus_1", 2, &[&b]);
    assert_eq!(seen(found(&[older.clone(), newer.clone()])), user(PRESENT_B, Strength::Metadata, true));
    let same_second = Claim { object_created: 2, ..older };
    assert_eq!(seen(found(&[newer, same_second])), user(PRESENT_A, Strength::Metadata, true));
    let agreeing =
        [names(Strength::Metadata, "sub_1", 1, &[&a]), names(Strength::Metadata, "cus_1", 2, &[&a])];
    assert_eq!(seen(found(&agreeing)), user(PRESENT_A, Strength::Metadata, false));
}

#[test]
fn unusable_user_id_is_skipped_and_flagged() {
    let (a, never) = (PRESENT_A.to_string(), NEVER.to_string());
    for unusable in ["42", "", never.as_str()] {
        let both_keys = names(Strength::Metadata, "sub_1", 1, &[unusable, &a]);
        assert_eq!(seen(found(&[both_keys])), user(PRESENT_A, Strength::Metadata, true), "{unusable}");
        let alone = names(Strength::Metadata, "sub_1", 1, &[unusable]);
        let owner = decided(&[alone], &[address("a@x.org")]);
        assert_eq!(seen(owner), user(PRESENT_A, Strength::Email, true), "{unusable}");
    }
}

#[test]
fn unusable_client_reference_is_not_flagged() {
    let cart = names(Strength::ClientReferenceId, "cs_1", 1, &["cart-77"]);
    let owner = decided(&[cart], &[address("a@x.org")]);
    assert_eq!(seen(owner), user(PRESENT_A, Strength::Email, false));
}

#[test]
fn deleted_user_blocks_weaker_evidence() {
    let gone = GONE.to_string();
    for strength in [Strength::Metadata, Strength::ClientReferenceId, Strength::KnownCustomer] {
        let owner = decided(&[names(strength, "sub_1", 1, &[&gone])], &[address("a@x.org")]);
        assert_eq!(owner, Owner::Gone { user_id: GONE }, "{strength:?}");
    }
}

#[test]
fn earliest_address_of_a_confirmed_user_matches() {
    let none = given("none@x.org", 1);
    let (early, late) = (given("b@x.org", 2), given("a@x.org", 3));
    assert_eq!(by_addresses(&[late.clone(), none.clone(), early.clone()]), Some(PRESENT_B));
    let same_second = Address { given_at: early.given_at, ..late.clone() };
    assert_eq!(by_addresses(&[early.clone(), same_second.clone()]), Some(PRESENT_A), "the address decides");
    let was_there = Address { place: 1, ..early };
    assert_eq!(by_addresses(&[was_there, same_second]), Some(PRESENT_B), "it was there before");
    let both = [given("two@x.org", 1), late];
    assert_eq!(decided(&[], &both), Owner::Ambiguous { email: "two@x.org".to_owned() });
}

#[test]
fn recorded_match_stays_until_user_is_deleted() {
    let lost = |user| [recorded(user, "none@x.org", &[], 9), vec![given("none@x.org", 1)]].concat();
    assert_eq!(by_addresses(&lost(PRESENT_B)), Some(PRESENT_B), "the address is nobody's by now");
    let theirs = [recorded(PRESENT_B, "a@x.org", &[], 9), vec![given("a@x.org", 1)]].concat();
    assert_eq!(by_addresses(&theirs), Some(PRESENT_B), "the address is another's by now");
    let stronger = names(Strength::KnownCustomer, "cus_1", 1, &[&PRESENT_A.to_string()]);
    assert_eq!(short(decided(&[stronger], &lost(PRESENT_B))).0, Some(PRESENT_A));
    assert_eq!(decided(&[], &lost(GONE)), Owner::Gone { user_id: GONE });
    let moved_on = [lost(GONE), vec![given("a@x.org", 2)]].concat();
    assert_eq!(by_addresses(&moved_on), Some(PRESENT_A), "addresses are compared again");
}

#[test]
fn recorded_match_yields_to_earlier_unskipped_address() {
    let both = [given("a@x.org", 1), given("b@x.org", 2)];
    let late = |passed: &[&str]| [recorded(PRESENT_B, "b@x.org", passed, 9), both.to_vec()].concat();
    assert_eq!(by_addresses(&late(&[])), Some(PRESENT_A), "it came later only");
    assert_eq!(by_addresses(&late(&["a@x.org"])), Some(PRESENT_B), "it was nobody's then");
    let gone = [recorded(GONE, "b@x.org", &["a@x.org"], 9), both.to_vec()].concat();
    assert_eq!(by_addresses(&gone), Some(PRESENT_A), "a deleted user has no addresses");
}

#[test]
fn forgotten_match_stays_without_its_address() {
    let forgotten = [recorded(PRESENT_B, "", &[], 9), vec![given("a@x.org", 1)]].concat();
    assert_eq!(by_addresses(&forgotten), Some(PRESENT_B));
}

#[test]
fn match_is_recorded_once_with_skipped_addresses() {
    let list = vec![given("none@x.org", 1), given("b@x.org", 2)];
    let unrecorded = |addresses: &[Address]| match decided(&[], addresses) {
        Owner::User { unrecorded, .. } => unrecorded,
        other => panic!("{other:?}"),
    };
    let passed = texts(&["none@x.org"]);
    let new = Unrecorded { user_id: PRESENT_B, email: "b@x.org".to_owned(), passed: passed.clone() };
    assert_eq!(unrecorded(&list), Some(new));
    let kept = recorded(PRESENT_B, "b@x.org", &["none@x.org"], 9);
    assert_eq!(unrecorded(&[list.clone(), kept].concat()), None);
    let half = recorded(PRESENT_B, "b@x.org", &[], 9);
    assert_eq!(unrecorded(&[list.clone(), half].concat()).map(|it| it.passed), Some(passed));
    let full: Vec<Address> =
        (0..20).flat_map(|n| recorded(GONE, &format!("{n}@x.org"), &[], n)).chain(list).collect();
    assert_eq!(unrecorded(&full), None, "there is an end to it");
}

#[test]
fn address_of_another_confirmed_user_contradicts() {
    let metadata = || [names(Strength::Metadata, "sub_1", 1, &[&PRESENT_A.to_string()])];
    let cases: [(&[Claim], Vec<Address>, bool); 7] = [
        (&metadata(), vec![given("b@x.org", 1)], true),
        (&metadata(), vec![given("none@x.org", 1), given("two@x.org", 2)], false),
        (&metadata(), vec![given("a@x.org", 1), given("b@x.org", 2)], false),
        (&metadata(), vec![typed("b@x.org")], true),
        (&metadata(), vec![typed("none@x.org"), typed("a@x.org")], false),
        (&[], vec![given("a@x.org", 1), typed("b@x.org")], true),
        (&[], vec![given("a@x.org", 1), given("b@x.org", 2)], false),
    ];
    for (claims, addresses, contradicts) in cases {
        let (user, by) = short(decided(claims, &addresses));
        assert_eq!(user, Some(PRESENT_A));
        assert_eq!(by, if contradicts { vec![Strength::Email] } else { vec![] }, "{addresses:?}");
    }
}

#[test]
fn unmatched_evidence_is_listed() {
    let claims =
        [names(Strength::Metadata, "sub_2", 2, &["7"]), names(Strength::Metadata, "sub_1", 1, &["7"])];
    let owner = decided(&claims, &[address("none@x.org")]);
    assert_eq!(owner, Owner::Unknown { wanted: "metadata 7, email none@x.org".to_owned() });
}

#[test]
fn addresses_fold_only_ascii_letters() {
    assert_eq!(folded_email(" Ada@X.org "), Some("ada@x.org".to_owned()));
    assert_eq!(
        folded_email("\u{212A}im@x.org"),
        Some("\u{212A}im@x.org".to_owned()),
        "the Kelvin sign is no k"
    );
    assert_eq!(folded_email(" "), None);
    assert_eq!(folded_email(&"x".repeat(600)), None);
}

#[test]
fn matching_setting_enables_kinds() {
    let all = Matching::default();
    let by = |words: &str| all.by(words.split(','));
    assert_eq!(by("metadata, reference,email"), Some(all));
    assert_eq!(by("email"), Some(Matching { metadata: false, reference: false, ..all }));
    let none = Matching { metadata: false, reference: false, email: false, ..all };
    assert_eq!((by(""), by("none")), (Some(none), Some(none)));
    assert_eq!(by("metadata,mail"), None);
    assert_eq!(none.strengths().collect::<Vec<_>>(), [Strength::KnownCustomer]);
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(|&value| value.to_owned()).collect()
}

/// Customer, strength, users.
fn reported(object: &StripeObject) -> Vec<(String, Strength, Vec<String>)> {
    claims(object).into_iter().map(|it| (it.customer, it.strength, it.claimed_users)).collect()
}

/// Customer, role, address, place.
fn gives(object: &StripeObject, stage: Stage) -> Vec<(String, Role, String, i16)> {
    let given = addresses(object, OffsetDateTime::UNIX_EPOCH, stage).into_iter();
    given.map(|it| (it.customer, it.role, it.email, it.place)).collect()
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
    let given = |email: &str, place| ("cus_1".to_owned(), Role::Given, email.to_owned(), place);
    assert_eq!(gives(&object, Stage::Updated), [given("old@x.org", 1), given("ada@x.org", 2)]);
    assert_eq!(gives(&object, Stage::Created), [given("old@x.org", 1), given("ada@x.org", 0)]);
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
    assert_eq!(gives(&object(&checkout), Stage::Updated), email("cus_1", Role::Checkout));
    checkout.customer = None;
    assert_eq!(reported(&object(&checkout)), explicit("pi_1"));
    assert_eq!(gives(&object(&checkout), Stage::Updated), email("pi_1", Role::Given));
    checkout.is_settled = false;
    assert_eq!((reported(&object(&checkout)), gives(&object(&checkout), Stage::Updated)), (vec![], vec![]));
    (checkout.is_settled, checkout.payment_intent) = (true, None);
    assert_eq!(reported(&object(&checkout)), []);
    assert_eq!(reported(&StripeObject::Charge(Charge::default())), []);
}

fn any_claim() -> impl Strategy<Value = Claim> {
    let strength = prop_oneof![
        Just(Strength::Metadata),
        Just(Strength::ClientReferenceId),
        Just(Strength::KnownCustomer)
    ];
    let ids = [PRESENT_A, PRESENT_B, GONE, NEVER].map(|user| user.to_string());
    let users = proptest::collection::vec(proptest::sample::select(ids.to_vec()), 0..3);
    (strength, 0..3_u8, 0..3_i64, users).prop_map(|(strength, object, created, users)| {
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        names(strength, &format!("object_{object}"), created, &users)
    })
}

fn any_address() -> impl Strategy<Value = Vec<Address>> {
    let emails = proptest::sample::select(vec!["a@x.org", "b@x.org", "two@x.org", "none@x.org", "x@x.org"]);
    let passed = proptest::sample::subsequence(vec!["a@x.org", "none@x.org"], 0..=2);
    let users = proptest::sample::select(vec![PRESENT_A, PRESENT_B, GONE]);
    (0..6_u8, emails, 1..4_i64, passed, users).prop_map(|(kind, email, second, passed, user)| match kind {
        0 => recorded(user, email, &passed, second),
        1 => vec![typed(email)],
        _ => vec![given(email, second)],
    })
}

proptest! {
    #[test]
    fn owner_does_not_depend_on_order(
        (claims, shuffled) in proptest::collection::vec(any_claim(), 0..5)
            .prop_flat_map(|claims| (Just(claims.clone()), Just(claims).prop_shuffle())),
        (addresses, moved) in proptest::collection::vec(any_address(), 0..7)
            .prop_map(|all| all.concat())
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        let expected = decided(&claims, &addresses);
        prop_assert_eq!(&decided(&shuffled, &moved), &expected);
        prop_assert_eq!(&decided(&[claims, shuffled].concat(), &[addresses, moved].concat()), &expected);
    }

    /// Reported one by one in any order, with each match recorded: the result equals that of all at once.
    #[test]
    fn match_does_not_depend_on_order(
        shuffled in proptest::collection::vec(
            (proptest::sample::select(vec!["a@x.org", "b@x.org", "two@x.org", "none@x.org", "x@x.org"]), 1..4_i64),
            1..8,
        ).prop_map(|all| all.into_iter().map(|(email, second)| given(email, second)).collect::<Vec<_>>())
            .prop_shuffle()
    ) {
        let mut known = Vec::new();
        for (at, address) in shuffled.iter().enumerate() {
            known.push(address.clone());
            if let Owner::User { unrecorded: Some(new), .. } = decided(&[], &known) {
                let passed: Vec<&str> = new.passed.iter().map(String::as_str).collect();
                known.extend(recorded(new.user_id, &new.email, &passed, 100 + at as i64));
            }
        }
        prop_assert_eq!(short(decided(&[], &known)), short(decided(&[], &shuffled)));
    }
}
