//! Which of a customer's addresses decides.

use super::{
    DELETED, PRESENT_A, PRESENT_B, by_addresses, decided, given, names, recorded, short, texts, typed,
};
use crate::project::identity::{Address, Claim, Owner, Strength, Unrecorded};

#[test]
fn earliest_address_of_a_confirmed_user_matches() {
    let none = given("none@x.org", 1);
    let (early, late) = (given("b@x.org", 2), given("a@x.org", 3));
    assert_eq!(by_addresses(&[late.clone(), none.clone(), early.clone()]), Some(PRESENT_B));
    let same_second = Address { reported_at: early.reported_at, ..late.clone() };
    assert_eq!(by_addresses(&[early.clone(), same_second.clone()]), Some(PRESENT_A), "the address decides");
    let was_there = Address { order_in_second: 1, ..early };
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
    assert_eq!(decided(&[], &lost(DELETED)), Owner::Deleted { user_id: DELETED });
    let moved_on = [lost(DELETED), vec![given("a@x.org", 2)]].concat();
    assert_eq!(by_addresses(&moved_on), Some(PRESENT_A), "addresses are compared again");
}

#[test]
fn recorded_match_yields_to_earlier_unskipped_address() {
    let both = [given("a@x.org", 1), given("b@x.org", 2)];
    let late = |skipped: &[&str]| [recorded(PRESENT_B, "b@x.org", skipped, 9), both.to_vec()].concat();
    assert_eq!(by_addresses(&late(&[])), Some(PRESENT_A), "it came later only");
    assert_eq!(by_addresses(&late(&["a@x.org"])), Some(PRESENT_B), "it was nobody's then");
    let deleted = [recorded(DELETED, "b@x.org", &["a@x.org"], 9), both.to_vec()].concat();
    assert_eq!(by_addresses(&deleted), Some(PRESENT_A), "a deleted user has no addresses");
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
    let skipped = texts(&["none@x.org"]);
    let new = Unrecorded { user_id: PRESENT_B, email: "b@x.org".to_owned(), skipped: skipped.clone() };
    assert_eq!(unrecorded(&list), Some(new));
    let kept = recorded(PRESENT_B, "b@x.org", &["none@x.org"], 9);
    assert_eq!(unrecorded(&[list.clone(), kept].concat()), None);
    let half = recorded(PRESENT_B, "b@x.org", &[], 9);
    assert_eq!(unrecorded(&[list.clone(), half].concat()).map(|it| it.skipped), Some(skipped));
    let full: Vec<Address> =
        (0..20).flat_map(|n| recorded(DELETED, &format!("{n}@x.org"), &[], n)).chain(list).collect();
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
