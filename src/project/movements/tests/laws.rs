//! Properties of every history.

use std::collections::{BTreeMap, HashSet};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::project::movements::Kind;
use crate::project::mrr;

/// Days on which something may happen.
const DAYS: i64 = 40;

prop_compose! {
    fn any_subscription()(
        id in prop::sample::select(vec!["a", "b", "c"]),
        status in prop::sample::select(vec!["trialing", "active", "past_due", "paused", "canceled", "on_holiday"]),
        cents in prop::sample::select(vec![0_u32, 900, 2900, 4999]),
        euros in prop::bool::weighted(0.2),
        own in option::weighted(0.3, 0..DAYS),
        by_id in prop::bool::weighted(0.2),
        trial in option::weighted(0.3, 0..DAYS),
    ) -> StripeObject {
        let mut it = subscription(id, status, cents);
        it.discounts.extend(own.map(|day| until(half_off("di_own"), T + day * DAY)));
        it.discounts.extend(by_id.then(|| Discount { id: "di_2".to_owned(), ..Discount::default() }));
        it.items.extend(trial.map(|day| Item { trial_end: Some(T + day * DAY), ..item(700) }));
        if euros { in_euros(it).into() } else { it.into() }
    }
}

prop_compose! {
    fn any_discount()(
        id in prop::sample::select(vec!["di_1", "di_2"]),
        start in option::of(0..DAYS),
        end in option::of(0..DAYS),
        deleted in prop::bool::weighted(0.3),
    ) -> Discount {
        let it = end.map_or_else(|| half_off(id), |day| until(half_off(id), T + day * DAY));
        Discount { start: start.map(|day| T + day * DAY), deleted, ..it }
    }
}

fn any_version() -> impl Strategy<Value = Version> {
    let state = prop_oneof![
        6 => any_subscription(),
        2 => any_discount().prop_map(StripeObject::from),
        1 => option::of(any_discount()).prop_map(|it| customer(it.filter(|it| !it.deleted))),
    ];
    (0..DAYS, state).prop_map(|(day, state)| {
        // A discount is never reported before it starts.
        match state {
            StripeObject::Discount(it) => {
                on(day, Discount { start: it.start.map(|start| start.min(T + day * DAY)), ..it })
            }
            other => on(day, other),
        }
    })
}

/// One version per object, second and finality, as in the database.
fn any_versions() -> impl Strategy<Value = Vec<Version>> {
    vec(any_version(), 0..25).prop_map(|versions| {
        let mut kept = HashSet::new();
        let key = |it: &Version| (it.state.id().to_owned(), it.at, it.is_final);
        versions.into_iter().filter(|it| kept.insert(key(it))).collect()
    })
}

/// The value of the present facts at day `now`, computed directly.
fn present(versions: &[Version], now: i64) -> BTreeMap<String, i64> {
    let mut facts = BTreeMap::<&str, &Version>::new();
    for version in versions {
        let fact = facts.entry(version.state.id()).or_insert(version);
        if (fact.is_final, fact.at) < (version.is_final, version.at) {
            *fact = version;
        }
    }
    // If a provider's clock is ahead of ours, the latest reported second is now.
    let now = facts.values().map(|fact| fact.at).max().unwrap_or_default().max(T + now * DAY);
    let mut catalogue = Catalogue::default();
    let (mut shown, mut reported) = (None, Vec::new());
    for fact in facts.values() {
        match &fact.state {
            StripeObject::Customer(it) => shown = Some(it),
            StripeObject::Discount(it) => {
                catalogue.discounts.insert(it.id.clone(), it.clone());
                reported.push(it.clone());
            }
            _ => {}
        }
    }
    let discounts = mrr::customer_discounts(shown, &reported);
    let mut sums = BTreeMap::new();
    for fact in facts.values() {
        let StripeObject::Subscription(it) = &fact.state else { continue };
        let known = versions
            .iter()
            .filter(|other| other.state.id() == it.id && other.at < fact.at)
            .filter_map(|other| match &other.state {
                StripeObject::Subscription(other_state) if other_state.has_known_status() => {
                    Some((other.at, other_state.status.clone()))
                }
                _ => None,
            })
            .max();
        let known_status = if it.has_known_status() { None } else { known.map(|(_, status)| status) };
        let it = Subscription { known_status, ..it.clone() };
        let mrr = mrr::of_subscription(&it, &discounts, &catalogue, now);
        if mrr.minor != 0 {
            *sums.entry(mrr.currency).or_default() += mrr.minor;
        }
    }
    sums
}

/// The sums of the movements, checking that each continues the one before it.
fn sums(movements: &[Movement]) -> BTreeMap<String, i64> {
    let mut sums = BTreeMap::new();
    for movement in movements {
        let sum = sums.entry(movement.currency.clone()).or_default();
        assert_eq!(movement.mrr_before, *sum);
        assert!(movement.delta != 0);
        *sum += movement.delta;
        assert_eq!(movement.mrr_after, *sum);
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

/// The versions that a part of the ledger is computed from: for each object the final version before `since`,
/// else the last one with a known status, and all later ones.
fn effective_versions(versions: &[Version], since: i64) -> Vec<Version> {
    let has_known_status = |it: &Version| match &it.state {
        StripeObject::Subscription(it) => it.has_known_status(),
        _ => true,
    };
    let first = |id: &str| {
        let earlier = || versions.iter().filter(|it| it.state.id() == id && it.at < since);
        let end = earlier().filter(|it| it.is_final).map(|it| it.at).min();
        end.or_else(|| earlier().filter(|it| has_known_status(it)).map(|it| it.at).max()).unwrap_or_default()
    };
    versions.iter().filter(|it| it.at >= first(it.state.id())).cloned().collect()
}

/// The second from which a version matters.
fn matters_since(version: &Version, versions: &[Version]) -> i64 {
    let is_reported_before =
        versions.iter().any(|it| it.state.id() == version.state.id() && it.at < version.at);
    let is_first_of_discount = matches!(version.state, StripeObject::Discount(_)) && !is_reported_before;
    if is_first_of_discount { BEGINNING } else { version.at }
}

proptest! {
    #[test]
    fn last_movement_equals_present_value(versions in any_versions(), now in -5..DAYS + 5) {
        prop_assert_eq!(sums(&all(versions.clone(), now)), present(&versions, now));
    }

    #[test]
    fn version_order_does_not_matter(
        (versions, shuffled) in any_versions().prop_flat_map(|it| (Just(it.clone()), Just(it).prop_shuffle())),
    ) {
        prop_assert_eq!(all(versions, DAYS), all(shuffled, DAYS));
    }

    #[test]
    fn one_new_and_one_movement_per_second(versions in any_versions(), now in -5..DAYS + 5) {
        let movements = all(versions, now);
        let (mut moments, mut beginnings) = (HashSet::new(), HashSet::new());
        for movement in &movements {
            prop_assert!(moments.insert((&movement.currency, movement.effective_at)));
            let is_new = movement.kind == Kind::New;
            prop_assert_eq!(is_new, beginnings.insert(&movement.currency), "{:?}", movements);
            prop_assert_eq!(movement.kind == Kind::Churn, movement.mrr_after == 0);
        }
        prop_assert!(movements.is_sorted_by_key(|movement| movement.effective_at));
    }

    /// The passing of time does not change the past.
    #[test]
    fn clock_does_not_change_the_past(versions in any_versions(), now in -5..DAYS + 5, later in 0..9_i64) {
        let so_far = all(versions.clone(), now);
        let then = all(versions, now + later);
        prop_assert_eq!(&then[..so_far.len()], &so_far[..]);
    }

    /// Computed from any second on, the ledger equals that part of the whole.
    #[test]
    fn partial_ledger_equals_part_of_whole(versions in any_versions(), day in 0..DAYS) {
        let since = T + day * DAY;
        let (before, whole): (Vec<_>, Vec<_>) =
            all(versions.clone(), DAYS).into_iter().partition(|movement| movement.effective_at < since);
        let prior_currencies = before.into_iter().map(|movement| movement.currency).collect();
        let history = History { versions, prior_currencies };
        prop_assert_eq!(movements(history, &mut Catalogue::default(), since, T + DAYS * DAY), whole);
    }

    /// Whatever becomes known, late or in order: movements before its second stay, and the rest is recomputed
    /// from what is effective there.
    #[test]
    fn incremental_ledger_equals_full_ledger(
        versions in any_versions(),
        change in any_version(),
    ) {
        let key = |it: &Version| (it.state.id().to_owned(), it.at, it.is_final);
        let before = all(versions.clone(), DAYS);
        let mut known: Vec<Version> = versions.into_iter().filter(|it| key(it) != key(&change)).collect();
        known.push(change.clone());
        let since = matters_since(&change, &known);
        let mut ledger: Vec<Movement> = before.into_iter().filter(|it| it.effective_at < since).collect();
        let prior_currencies = ledger.iter().map(|it| it.currency.clone()).collect();
        let history = History { versions: effective_versions(&known, since), prior_currencies };
        ledger.extend(movements(history, &mut Catalogue::default(), since, T + DAYS * DAY));
        prop_assert_eq!(ledger, all(known, DAYS));
    }
}
