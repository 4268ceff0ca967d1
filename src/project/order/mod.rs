//! Which of an object's reports is its present state.
//!
//! Providers deliver in any order and with timestamps in whole seconds, so several reports of one object can
//! share a moment. But they show the previous values. So each report with a `previous` is a step from one
//! state to another, and the reports form a walk. In a walk every state is entered as often as it is left,
//! except for the two ends: the state entered once more than left is the last one. This does not need the
//! order of arrival and handles toggles (A, B, and A again). In order of precedence:
//!
//! 1. **Kind of change**: `Deleted` is later than `Updated`, and `Updated` later than `Created`.
//! 2. **Walk**: states entered more often than left. A creation enters its state without leaving one. A
//!    report without `previous` (`invoice.paid`) is a bare report: it shows a state, but no step.
//! 3. **Chain**, if the walk has gaps (a report is missing, or the provider did not list every change): B
//!    follows A if the previous values of B match A. A state that is followed is not the last. If two follow
//!    each other, that decides nothing.
//! 4. **Rank** of the status, then the **event id**, so that the result is deterministic.
//!
//! Limits. A walk that ends where it began, without a creation, may have begun anywhere: any of its states
//! may be the last, and the result is marked `tied`. The same holds if reports are missing and two candidates
//! both list their changes, and if only the event id decides. One change reported under two event ids looks
//! like two changes; this matters only if the object also returned to the previous state in the same second.
//! Null and absent are equal here, because providers write null for absent values.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

#[cfg(test)]
mod tests;

/// Whether an event is a creation, an update or a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// The object was created.
    Created,
    /// It was updated.
    Updated,
    /// It was deleted.
    Deleted,
}

/// One report to choose from.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The event's id: the last, deterministic tie-break.
    pub event_id: &'a str,
    /// Creation, update or deletion.
    pub change_kind: ChangeKind,
    /// How far the object's status is in its lifecycle; higher is later. Equal for all if unknown.
    pub rank: i32,
    /// The whole object as the event shows it.
    pub object: &'a Value,
    /// The previous values of what the event changed.
    pub previous: Option<&'a Value>,
}

/// The last report, whose state is the object's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastReport {
    /// Its index among the candidates.
    pub index: usize,
    /// The events do not decide: the object should be checked with the provider's API.
    pub tied: bool,
}

/// The last among `candidates`, which are all of one object, one second and equal finality. Depends on the
/// set only, not on its order. `None` for no candidates.
#[must_use]
pub fn last_report(candidates: &[Candidate<'_>]) -> Option<LastReport> {
    let distinct = deduplicated(candidates);
    if let [(index, _)] = distinct[..] {
        return Some(LastReport { index, tied: false });
    }
    let steps: Vec<Step<'_>> = distinct.into_iter().map(|(index, event)| Step::new(index, event)).collect();
    let last_candidates = last_candidates(&steps);
    let last = last_candidates.iter().max_by_key(|step| (step.event.rank, step.event.event_id))?;
    Some(LastReport {
        index: last.index,
        tied: last_candidates.iter().any(|other| other.may_be_last_instead_of(last)),
    })
}

/// Each event once, by its id, with its first index.
fn deduplicated<'a>(candidates: &[Candidate<'a>]) -> Vec<(usize, Candidate<'a>)> {
    let mut by_id = BTreeMap::new();
    for (index, candidate) in candidates.iter().enumerate() {
        by_id.entry(candidate.event_id).or_insert((index, *candidate));
    }
    by_id.into_values().collect()
}

/// A report as a step of the object's walk.
struct Step<'a> {
    index: usize,
    event: Candidate<'a>,
    /// The previous state; `None` for a bare report.
    before: Option<Value>,
    after: Value,
}

impl<'a> Step<'a> {
    fn new(index: usize, event: Candidate<'a>) -> Self {
        let after = without_nulls(event.object);
        let before = event.previous.map(|previous| without_nulls(&state_before(event.object, previous)));
        Self { index, event, before: before.filter(|before| *before != after), after }
    }

    /// Whether this step's previous values match `other`, and not the other way round.
    fn follows(&self, other: &Self) -> bool {
        self.could_follow(other) && !other.could_follow(self)
    }

    fn could_follow(&self, other: &Self) -> bool {
        let previous = self.event.previous.filter(|_| self.before.is_some() && self.after != other.after);
        previous.is_some_and(|previous| holds(&other.after, previous))
    }

    /// Whether this may as well be the last, with a different state than `last`. A lower rank excludes it
    /// only if no chain can be expected, because bare reports have no previous values.
    fn may_be_last_instead_of(&self, last: &Self) -> bool {
        let is_chain_broken = self.before.is_some() && last.before.is_some();
        self.event.object != last.event.object && (self.event.rank == last.event.rank || is_chain_broken)
    }
}

/// The steps that may be the last, by kind of change, walk and chain. Never empty unless `steps` is.
fn last_candidates<'s, 'a>(steps: &'s [Step<'a>]) -> Vec<&'s Step<'a>> {
    let last_change_kind = steps.iter().map(|step| step.event.change_kind).max();
    let late: Vec<_> = steps.iter().filter(|step| Some(step.event.change_kind) == last_change_kind).collect();

    let visits = visits(steps);
    let is_end = |step: &&&Step<'_>| visits.get(&step.after).is_some_and(Visits::is_end);
    let ends: Vec<_> = late.iter().filter(is_end).copied().collect();
    if ends.is_empty() {
        return late;
    }
    let is_followed = |end: &&&Step<'_>| late.iter().any(|step| step.follows(end));
    let unfollowed: Vec<_> = ends.iter().filter(|end| !is_followed(end)).copied().collect();
    if unfollowed.is_empty() { ends } else { unfollowed }
}

/// How often a state was entered and left.
#[derive(Default)]
struct Visits {
    entered: usize,
    left: usize,
    is_shown: bool,
    is_created: bool,
}

impl Visits {
    /// Entered more often than left. A bare report shows only that the state was entered, which counts if no
    /// step shows that.
    fn is_end(&self) -> bool {
        let known = self.entered + usize::from(self.is_created);
        known.max(usize::from(self.is_shown)) > self.left
    }
}

fn visits<'s>(steps: &'s [Step<'_>]) -> HashMap<&'s Value, Visits> {
    let mut visits: HashMap<&Value, Visits> = HashMap::new();
    for step in steps {
        let state = visits.entry(&step.after).or_default();
        match &step.before {
            Some(before) => {
                state.entered += 1;
                visits.entry(before).or_default().left += 1;
            }
            None if step.event.change_kind == ChangeKind::Created => state.is_created = true,
            None => state.is_shown = true,
        }
    }
    visits
}

/// `object` before its change: `previous` if that is a whole object (a row), else with the values in
/// `previous` restored.
fn state_before(object: &Value, previous: &Value) -> Value {
    let is_whole = match (object, previous) {
        (Value::Object(now), Value::Object(then)) => now.keys().all(|key| then.contains_key(key)),
        _ => true,
    };
    if is_whole { previous.clone() } else { restore(object, previous) }
}

/// Objects are restored by key, everything else as a whole.
fn restore(object: &Value, previous: &Value) -> Value {
    let (Value::Object(now), Value::Object(then)) = (object, previous) else { return previous.clone() };
    let mut former = now.clone();
    for (key, old) in then {
        let old = now.get(key).map_or_else(|| old.clone(), |new| restore(new, old));
        former.insert(key.clone(), old);
    }
    Value::Object(former)
}

/// Whether `state`, restricted to the keys in `previous`, equals it. `state` is without nulls.
fn holds(state: &Value, previous: &Value) -> bool {
    match (state, previous) {
        (Value::Object(now), Value::Object(then)) => {
            then.iter().all(|(key, old)| holds(now.get(key).unwrap_or(&Value::Null), old))
        }
        _ => *state == without_nulls(previous),
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let present = members.iter().filter(|(_, member)| !member.is_null());
            present.map(|(key, member)| (key.clone(), without_nulls(member))).collect()
        }
        Value::Array(entries) => entries.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}
