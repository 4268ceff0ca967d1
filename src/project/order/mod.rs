//! Which of an object's reports is its present state.
//!
//! Providers deliver in any order and stamp whole seconds, so several reports of one object can share
//! a moment. What they do say is how the object looked before. Each report with a `previous` is thus a
//! step from one state to another, and the reports together are a walk. Whoever walks enters every
//! state as often as they leave it, but for the two ends: the state entered once more than left is the
//! last one. That needs no order of arrival, survives toggles (A, B, and A again), and is decided by:
//!
//! 1. **Stage**: `Deleted` is later than `Updated`, `Updated` later than `Created`, whatever else is said.
//! 2. **The walk**: states entered more often than left. A creation enters its state out of nowhere. A
//!    report without `previous` (`invoice.paid`) is a snapshot: it shows a state, but no step.
//! 3. **What follows what**, where the walk has gaps (a report is missing, or the provider did not list
//!    every change): B follows A if what B says was there before is there in A. A state that is
//!    followed is not the last. Where two follow each other, that says nothing.
//! 4. **Rank** of the status, then the **event id**, so that the answer is always the same one.
//!
//! Limits. A walk that ends where it began, with no creation in sight, may have begun anywhere: any of
//! its states may be the last, and the answer is marked `tied`. So it is where reports are missing and
//! both of two candidates say what they changed, and where only the event id is left to decide. One
//! change reported under two event ids looks like two changes; this matters only where the object also
//! came back to the state before it, in the same second. Null and absent are the same thing here, for a
//! provider that writes null for what was not there.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

#[cfg(test)]
mod tests;

/// The part of an object's life that an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It came to be.
    Created,
    /// It changed.
    Updated,
    /// It is gone.
    Deleted,
}

/// One report in the running.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The event's id: the last, deterministic tie-break.
    pub event_id: &'a str,
    /// The part of the object's life.
    pub stage: Stage,
    /// How far along its life the object's status is; higher is later. Equal for all where unknown.
    pub rank: i32,
    /// The whole object as the event shows it.
    pub object: &'a Value,
    /// The values before of what the event changed.
    pub previous: Option<&'a Value>,
}

/// Who won.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Winner {
    /// Its place among the candidates given.
    pub index: usize,
    /// The events alone could not tell: the row deserves a look at the provider's API.
    pub tied: bool,
}

/// The last among `candidates`, all of one object, of equal finality and of one second.
/// Depends on the set alone, not on its order. `None` for no candidates.
#[must_use]
pub fn winner(candidates: &[Candidate<'_>]) -> Option<Winner> {
    let distinct = once_each(candidates);
    if let [(index, _)] = distinct[..] {
        return Some(Winner { index, tied: false });
    }
    let steps: Vec<Step<'_>> = distinct.into_iter().map(|(index, event)| Step::new(index, event)).collect();
    let contenders = contenders(&steps);
    let last = contenders.iter().max_by_key(|step| (step.event.rank, step.event.event_id))?;
    Some(Winner { index: last.index, tied: contenders.iter().any(|other| other.rivals(last)) })
}

/// Each event once, by its id, with its first place.
fn once_each<'a>(candidates: &[Candidate<'a>]) -> Vec<(usize, Candidate<'a>)> {
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
    /// The state before; none for a snapshot.
    before: Option<Value>,
    after: Value,
}

impl<'a> Step<'a> {
    fn new(index: usize, event: Candidate<'a>) -> Self {
        let after = without_nulls(event.object);
        let before = event.previous.map(|previous| without_nulls(&undone(event.object, previous)));
        Self { index, event, before: before.filter(|before| *before != after), after }
    }

    /// What this step says was there before is there in `other`, and not the other way round.
    fn follows(&self, other: &Self) -> bool {
        self.could_follow(other) && !other.could_follow(self)
    }

    fn could_follow(&self, other: &Self) -> bool {
        let previous = self.event.previous.filter(|_| self.before.is_some() && self.after != other.after);
        previous.is_some_and(|previous| holds(&other.after, previous))
    }

    /// This could as well have been the last as `last`, and would make a difference. A lower rank
    /// excludes it only where no chain could be expected: snapshots do not say what was before them.
    fn rivals(&self, last: &Self) -> bool {
        let is_chain_broken = self.before.is_some() && last.before.is_some();
        self.event.object != last.event.object && (self.event.rank == last.event.rank || is_chain_broken)
    }
}

/// The steps that may be the last, by stage, walk and what follows what. Never empty if `steps` isn't.
fn contenders<'s, 'a>(steps: &'s [Step<'a>]) -> Vec<&'s Step<'a>> {
    let last_stage = steps.iter().map(|step| step.event.stage).max();
    let late: Vec<_> = steps.iter().filter(|step| Some(step.event.stage) == last_stage).collect();

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
    is_birth: bool,
}

impl Visits {
    /// Entered more often than left. A snapshot shows that the state was entered at all, which counts
    /// only where no step tells the same.
    fn is_end(&self) -> bool {
        let known = self.entered + usize::from(self.is_birth);
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
            None if step.event.stage == Stage::Created => state.is_birth = true,
            None => state.is_shown = true,
        }
    }
    visits
}

/// `object` before its change: as `previous` where that is a whole object itself (a row's), else with
/// what `previous` names put back.
fn undone(object: &Value, previous: &Value) -> Value {
    let is_whole = match (object, previous) {
        (Value::Object(now), Value::Object(then)) => now.keys().all(|key| then.contains_key(key)),
        _ => true,
    };
    if is_whole { previous.clone() } else { put_back(object, previous) }
}

/// Hashes by the keys that changed, everything else whole.
fn put_back(object: &Value, previous: &Value) -> Value {
    let (Value::Object(now), Value::Object(then)) = (object, previous) else { return previous.clone() };
    let mut former = now.clone();
    for (key, old) in then {
        let old = now.get(key).map_or_else(|| old.clone(), |new| put_back(new, old));
        former.insert(key.clone(), old);
    }
    Value::Object(former)
}

/// `state`, restricted to what `previous` names, equals it. `state` is without nulls.
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
