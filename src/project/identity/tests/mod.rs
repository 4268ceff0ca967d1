//! Who a customer is, evidence by evidence.

mod addresses;
mod claims;

use proptest::prelude::*;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Address, AddressRole, Claim, Match, Matching, Owner, Strength, UserState, folded_email, of_match, owner,
};

const PRESENT_A: Uuid = Uuid::from_u128(0xA);
const PRESENT_B: Uuid = Uuid::from_u128(0xB);
const DELETED: Uuid = Uuid::from_u128(0xC);
const NEVER: Uuid = Uuid::from_u128(0xD);

fn known(user: Uuid) -> UserState {
    match user {
        PRESENT_A | PRESENT_B => UserState::Present,
        DELETED => UserState::Deleted,
        _ => UserState::NeverSeen,
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
        role: AddressRole::Given,
        user_id: None,
        reported_at: OffsetDateTime::from_unix_timestamp(second).unwrap(),
        order_in_second: 2,
    }
}

fn address(email: &str) -> Address {
    given(email, 1)
}

/// An address typed at a checkout of the customer.
fn typed(email: &str) -> Address {
    Address { role: AddressRole::Checkout, object_id: "cs_1".to_owned(), ..address(email) }
}

/// A recorded match by an address, past others.
fn recorded(user_id: Uuid, email: &str, skipped: &[&str], second: i64) -> Vec<Address> {
    let (email, skipped) = (email.to_owned(), texts(skipped));
    let matched = Match { customer: "cus_1".to_owned(), user_id, email, skipped, matched_at: second };
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
    let deleted = DELETED.to_string();
    for strength in [Strength::Metadata, Strength::ClientReferenceId, Strength::KnownCustomer] {
        let owner = decided(&[names(strength, "sub_1", 1, &[&deleted])], &[address("a@x.org")]);
        assert_eq!(owner, Owner::Deleted { user_id: DELETED }, "{strength:?}");
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

fn any_claim() -> impl Strategy<Value = Claim> {
    let strength = prop_oneof![
        Just(Strength::Metadata),
        Just(Strength::ClientReferenceId),
        Just(Strength::KnownCustomer)
    ];
    let ids = [PRESENT_A, PRESENT_B, DELETED, NEVER].map(|user| user.to_string());
    let users = proptest::collection::vec(proptest::sample::select(ids.to_vec()), 0..3);
    (strength, 0..3_u8, 0..3_i64, users).prop_map(|(strength, object, created, users)| {
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        names(strength, &format!("object_{object}"), created, &users)
    })
}

fn any_address() -> impl Strategy<Value = Vec<Address>> {
    let emails = proptest::sample::select(vec!["a@x.org", "b@x.org", "two@x.org", "none@x.org", "x@x.org"]);
    let skipped = proptest::sample::subsequence(vec!["a@x.org", "none@x.org"], 0..=2);
    let users = proptest::sample::select(vec![PRESENT_A, PRESENT_B, DELETED]);
    (0..6_u8, emails, 1..4_i64, skipped, users).prop_map(|(kind, email, second, skipped, user)| match kind {
        0 => recorded(user, email, &skipped, second),
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
        for (second, address) in (100..).zip(&shuffled) {
            known.push(address.clone());
            if let Owner::User { unrecorded: Some(new), .. } = decided(&[], &known) {
                let skipped: Vec<&str> = new.skipped.iter().map(String::as_str).collect();
                known.extend(recorded(new.user_id, &new.email, &skipped, second));
            }
        }
        prop_assert_eq!(short(decided(&[], &known)), short(decided(&[], &shuffled)));
    }
}
