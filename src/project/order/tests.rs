//! In any order and number of deliveries the same report wins, and it is the true last one.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::{Candidate, ChangeKind, LastReport, last_report};

/// An owned report.
#[derive(Clone, Debug)]
struct Report {
    id: String,
    change_kind: ChangeKind,
    rank: i32,
    object: Value,
    previous: Option<Value>,
}

fn report(id: &str, change_kind: ChangeKind, rank: i32, object: Value, previous: Option<Value>) -> Report {
    Report { id: id.to_owned(), change_kind, rank, object, previous }
}

fn updated(id: &str, object: Value, previous: Value) -> Report {
    report(id, ChangeKind::Updated, 0, object, Some(previous))
}

fn candidates(reports: &[Report]) -> Vec<Candidate<'_>> {
    reports
        .iter()
        .map(|report| Candidate {
            event_id: &report.id,
            change_kind: report.change_kind,
            rank: report.rank,
            object: &report.object,
            previous: report.previous.as_ref(),
        })
        .collect()
}

/// The winning event's id and whether it was a tie.
fn winners(reports: &[Report]) -> (String, bool) {
    let LastReport { index, tied } = last_report(&candidates(reports)).expect("a winner among some");
    (reports[index].id.clone(), tied)
}

fn permutations(reports: &[Report]) -> Vec<Vec<Report>> {
    if reports.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for first in 0..reports.len() {
        let mut rest = reports.to_vec();
        let head = rest.remove(first);
        all.extend(permutations(&rest).into_iter().map(|mut tail| {
            tail.insert(0, head.clone());
            tail
        }));
    }
    all
}

/// `last` wins untied in every permutation, and with every report doubled.
fn always_wins(reports: &[Report], last: &str) {
    for mut order in permutations(reports) {
        assert_eq!(winners(&order), (last.to_owned(), false), "{order:#?}");
        order.extend(order.clone());
        assert_eq!(winners(&order), (last.to_owned(), false), "doubled: {order:#?}");
    }
}

fn subscription(status: &str, quantity: u64, metadata: Value) -> Value {
    json!({
        "id": "sub_1", "object": "subscription", "status": status, "metadata": metadata,
        "items": {"object": "list", "data": [{"id": "si_1", "quantity": quantity}]},
    })
}

fn invoice(status: &str, attempts: u64) -> Value {
    json!({"id": "in_1", "status": status, "attempt_count": attempts, "attempted": attempts > 0})
}

#[test]
fn no_candidates_no_winner() {
    assert_eq!(last_report(&[]), None);
}

#[test]
fn a_creation_and_its_activation() {
    let created = report("evt_9", ChangeKind::Created, 1, subscription("incomplete", 1, json!({})), None);
    let active = updated("evt_1", subscription("active", 1, json!({})), json!({"status": "incomplete"}));
    always_wins(&[created, active], "evt_1");
}

#[test]
fn an_upgrades_invoice_and_subscription() {
    let finalized = report("evt_9", ChangeKind::Updated, 1, invoice("open", 0), None);
    let paid = report("evt_2", ChangeKind::Updated, 2, invoice("paid", 1), None);
    let succeeded = report("evt_3", ChangeKind::Updated, 2, invoice("paid", 1), None);
    let opened = updated("evt_8", invoice("open", 0), json!({"status": "draft"}));
    // Two events show the same state: the id decides between them.
    always_wins(&[finalized, paid, succeeded, opened], "evt_3");

    let items = json!({"items": {"data": [{"id": "si_1", "quantity": 1}]}});
    always_wins(&[updated("evt_1", subscription("active", 2, json!({})), items)], "evt_1");
}

#[test]
fn a_trials_end_and_its_invoice() {
    let reminder = report("evt_9", ChangeKind::Updated, 1, subscription("trialing", 1, json!({})), None);
    let active = updated("evt_1", subscription("active", 1, json!({})), json!({"status": "trialing"}));
    always_wins(&[reminder, active], "evt_1");

    let created = report("evt_9", ChangeKind::Created, 0, invoice("draft", 0), None);
    let finalized = report("evt_1", ChangeKind::Updated, 1, invoice("open", 0), None);
    always_wins(&[created, finalized], "evt_1");
}

#[test]
fn the_last_dunning_step() {
    let before = json!({"attempt_count": 3});
    let counted = updated("evt_1", invoice("open", 4), before);
    let failed = report("evt_2", ChangeKind::Updated, 0, invoice("open", 4), None);
    let stale = report("evt_9", ChangeKind::Updated, 0, invoice("open", 3), None);
    always_wins(&[counted, failed, stale], "evt_2");

    let unpaid = updated("evt_5", subscription("unpaid", 1, json!({})), json!({"status": "past_due"}));
    let deleted = report("evt_1", ChangeKind::Deleted, 0, subscription("canceled", 1, json!({})), None);
    always_wins(&[unpaid.clone(), deleted], "evt_1");
    let past_due = updated("evt_9", subscription("past_due", 1, json!({})), json!({"status": "active"}));
    always_wins(&[unpaid, past_due], "evt_5");
}

#[test]
fn an_immediate_cancellation_with_refund() {
    let ending = updated(
        "evt_9",
        subscription("active", 1, json!({"reason": "moved"})),
        json!({"metadata": {"reason": null}}),
    );
    let deleted = report("evt_1", ChangeKind::Deleted, 0, subscription("canceled", 1, json!({})), None);
    always_wins(&[ending, deleted], "evt_1");

    let charged = report("evt_9", ChangeKind::Updated, 0, json!({"id": "ch_1", "amount_refunded": 0}), None);
    let refunded =
        updated("evt_1", json!({"id": "ch_1", "amount_refunded": 900}), json!({"amount_refunded": 0}));
    always_wins(&[charged, refunded], "evt_1");
}

#[test]
fn previous_values_order_two_writes() {
    let first =
        updated("evt_9", subscription("active", 1, json!({"a": "1"})), json!({"metadata": {"a": null}}));
    let second = updated(
        "evt_5",
        subscription("active", 1, json!({"a": "1", "b": "2"})),
        json!({"metadata": {"b": null}}),
    );
    let third = updated(
        "evt_1",
        subscription("active", 3, json!({"a": "1", "b": "2"})),
        json!({"items": {"data": [{"id": "si_1", "quantity": 1}]}}),
    );
    always_wins(&[first, second, third], "evt_1");
}

#[test]
fn chain_takes_precedence_over_rank_and_id() {
    let past_due = report(
        "evt_9",
        ChangeKind::Updated,
        9,
        json!({"id": 1, "status": "past_due"}),
        Some(json!({"status": "active"})),
    );
    let recovered = updated("evt_1", json!({"id": 1, "status": "active"}), json!({"status": "past_due"}));
    let created = report("evt_5", ChangeKind::Created, 0, json!({"id": 1, "status": "active"}), None);
    always_wins(&[past_due, recovered, created], "evt_1");
}

#[test]
fn unlisted_change_does_not_break_chain() {
    let first = updated("evt_9", json!({"id": 1, "x": 2, "y": 1, "etag": 7}), json!({"x": 1}));
    let second = updated("evt_1", json!({"id": 1, "x": 2, "y": 2, "etag": 8}), json!({"y": 1}));
    always_wins(&[first, second], "evt_1");
}

#[test]
fn toggle_with_unlisted_change_keeps_later_step() {
    let on = updated("evt_9", json!({"id": 1, "x": 2, "y": 1, "etag": 7}), json!({"x": 1}));
    let other = updated("evt_5", json!({"id": 1, "x": 2, "y": 2, "etag": 8}), json!({"y": 1}));
    let off = updated("evt_1", json!({"id": 1, "x": 1, "y": 2, "etag": 9}), json!({"x": 2}));
    always_wins(&[on, other, off], "evt_1");
}

#[test]
fn toggled_row_ends_where_its_walk_ends() {
    let (draft, done) = (json!({"id": 1, "is_draft": true}), json!({"id": 1, "is_draft": false}));
    let insert = report("a", ChangeKind::Created, 0, draft.clone(), None);
    let step = |id: &str, from: &Value, to: &Value| updated(id, to.clone(), from.clone());
    let [there, back, again] = [step("d", &draft, &done), step("c", &done, &draft), step("b", &draft, &done)];
    always_wins(&[insert.clone(), there.clone(), back.clone()], "c");
    always_wins(&[insert, there, back, again], "d");
}

#[test]
fn nested_document_is_compared_as_a_whole() {
    let row = |metadata: Value| json!({"id": 1, "metadata": metadata});
    let grown = updated("b", row(json!({"size": 1, "etag": "x"})), row(json!({"size": 1})));
    let shrunk = updated("a", row(json!({"etag": "x"})), row(json!({"size": 1, "etag": "x"})));
    always_wins(&[grown, shrunk], "a");
}

#[test]
fn circular_walk_without_creation_ties() {
    let there = updated("evt_1", json!({"id": 1, "x": 2}), json!({"x": 1}));
    let back = updated("evt_2", json!({"id": 1, "x": 1}), json!({"x": 2}));
    for order in permutations(&[there, back]) {
        assert_eq!(winners(&order), ("evt_2".to_owned(), true));
    }
}

#[test]
fn gap_in_chain_ties_despite_ranks() {
    let early = report("evt_1", ChangeKind::Updated, 2, json!({"id": 1, "x": 2}), Some(json!({"x": 1})));
    let late = report("evt_2", ChangeKind::Updated, 1, json!({"id": 1, "x": 4}), Some(json!({"x": 3})));
    for order in permutations(&[early, late]) {
        assert_eq!(winners(&order), ("evt_1".to_owned(), true));
    }
}

#[test]
fn bare_reports_of_one_rank_tie_only_if_they_differ() {
    let one = report("evt_1", ChangeKind::Updated, 0, json!({"x": 1, "y": 2}), None);
    let same = report("evt_2", ChangeKind::Updated, 0, json!({"y": 2, "x": 1}), None);
    let other = report("evt_0", ChangeKind::Updated, 0, json!({"x": 1}), None);
    assert_eq!(winners(&[one.clone(), same.clone()]), ("evt_2".to_owned(), false));
    assert_eq!(winners(&[other, same, one]), ("evt_2".to_owned(), true));
}

/// One change of a small object: a flat field, a nested one, or the array.
#[derive(Clone, Debug)]
enum Change {
    Flat(u8, u8),
    Nested(u8, Option<u8>),
    Array(Vec<u8>),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0..3_u8, 0..3_u8).prop_map(|(key, value)| Change::Flat(key, value)),
        (0..2_u8, proptest::option::of(0..2_u8)).prop_map(|(key, value)| Change::Nested(key, value)),
        proptest::collection::vec(0..2_u8, 0..3).prop_map(Change::Array),
    ]
}

/// Applies `change` to `object` and returns the previous values, as Stripe does; `None` if nothing changed.
fn apply(object: &mut Value, change: &Change) -> Option<Value> {
    let (path, value) = match change {
        Change::Flat(key, value) => (vec![format!("f{key}")], json!(value)),
        Change::Nested(key, value) => (vec!["hash".to_owned(), format!("n{key}")], json!(value)),
        Change::Array(entries) => (vec!["list".to_owned()], json!(entries)),
    };
    let target = path.iter().fold(&mut *object, |at, key| &mut at[key.as_str()]);
    let old = std::mem::replace(target, value.clone());
    let wrap = |inner, key: &String| json!({ key.as_str(): inner });
    (old != value).then(|| path.iter().rev().fold(old, wrap))
}

/// A creation followed by updates, which may return to an earlier state.
fn life(changes: &[Change]) -> Vec<Report> {
    let mut object = json!({"id": "x", "f0": 0, "f1": 0, "f2": 0, "hash": {"n0": 0, "n1": null}, "list": []});
    let mut reports = vec![report("start", ChangeKind::Created, 0, object.clone(), None)];
    for (number, change) in changes.iter().enumerate() {
        if let Some(previous) = apply(&mut object, change) {
            // Ids and ranks that do not follow the order.
            let id = format!("evt_{}", (number * 7) % 11);
            let rank = i32::try_from(number % 3).unwrap_or(0);
            reports.push(report(&id, ChangeKind::Updated, rank, object.clone(), Some(previous)));
        }
    }
    reports
}

proptest! {
    #[test]
    fn complete_history_true_last_wins(
        changes in proptest::collection::vec(change(), 0..11),
        picks in proptest::collection::vec(any::<Index>(), 12),
    ) {
        let reports = life(&changes);
        let last = reports.last().map(|last| last.object.clone());
        let shuffled = shuffle(&reports, &picks);
        let winner = last_report(&candidates(&shuffled)).expect("a winner");
        prop_assert_eq!(Some(&shuffled[winner.index].object), last.as_ref());
        prop_assert!(!winner.tied);
    }

    #[test]
    fn missing_creation_true_last_wins_unless_circular(
        changes in proptest::collection::vec(change(), 1..11),
        picks in proptest::collection::vec(any::<Index>(), 12),
    ) {
        let mut reports = life(&changes);
        let start = reports.remove(0).object;
        let Some(last) = reports.last().map(|last| last.object.clone()) else { return Ok(()) };
        let shuffled = shuffle(&reports, &picks);
        let winner = last_report(&candidates(&shuffled)).expect("a winner");
        let is_right = shuffled[winner.index].object == last;
        let is_circle = last == start;
        prop_assert!((is_circle && winner.tied) || (is_right && !winner.tied));
    }

    /// Values never return here, and any of the reports may be missing: the result is right or marked as
    /// tied.
    #[test]
    fn missing_reports_true_last_wins_or_ties(
        keys in proptest::collection::vec(0..3_usize, 1..9),
        missing in proptest::collection::vec(any::<bool>(), 9),
        picks in proptest::collection::vec(any::<Index>(), 12),
    ) {
        let mut object = json!({"id": "x", "k0": 0, "k1": 0, "k2": 0});
        let mut reports = Vec::new();
        for (number, key) in keys.iter().enumerate() {
            let key = format!("k{key}");
            let old = std::mem::replace(&mut object[key.as_str()], json!(number + 1));
            let previous = json!({ key.as_str(): old });
            reports.push(updated(&format!("evt_{}", (number * 7) % 11), object.clone(), previous));
        }
        let mut kept: Vec<_> =
            reports.iter().zip(&missing).filter(|(_, gone)| !**gone).map(|(kept, _)| kept.clone()).collect();
        if kept.is_empty() { kept = reports; }
        let last = kept.last().map(|last| last.object.clone());
        let shuffled = shuffle(&kept, &picks);
        let winner = last_report(&candidates(&shuffled)).expect("a winner");
        prop_assert!(winner.tied || Some(&shuffled[winner.index].object) == last.as_ref());
    }

    /// Even for meaningless reports the result is deterministic.
    #[test]
    fn winner_does_not_depend_on_order(
        parts in proptest::collection::vec(
            (0..3_u8, 0..2_i32, 0..3_u8, 0..3_u8, proptest::option::of((0..3_u8, 0..3_u8))), 1..8),
        picks in proptest::collection::vec(any::<Index>(), 16),
        doubled in any::<Index>(),
    ) {
        let reports: Vec<_> = parts.iter().enumerate().map(|(index, (change_kind, rank, x, y, previous))| {
            let change_kinds = [ChangeKind::Created, ChangeKind::Updated, ChangeKind::Deleted];
            let change_kind = change_kinds[usize::from(*change_kind)];
            let previous = previous.map(|(key, old)| json!({ ["x", "y", "z"][usize::from(key)]: old }));
            report(&index.to_string(), change_kind, *rank, json!({"id": 1, "x": x, "y": y}), previous)
        }).collect();
        let expected = winners(&reports);
        let mut shuffled = shuffle(&reports, &picks);
        prop_assert_eq!(&winners(&shuffled), &expected);
        shuffled.push(doubled.get(&reports).clone());
        prop_assert_eq!(&winners(&shuffled), &expected);
    }
}

fn shuffle(reports: &[Report], picks: &[Index]) -> Vec<Report> {
    let mut left = reports.to_vec();
    let mut shuffled = Vec::new();
    for pick in picks.iter().cycle() {
        if left.is_empty() {
            break;
        }
        shuffled.push(left.remove(pick.index(left.len())));
    }
    shuffled
}
