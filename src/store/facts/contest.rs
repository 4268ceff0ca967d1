//! Which report stands: of those about one object at one moment, and of an object's moments.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::slice;

use serde_json::Value;
use sqlx::PgConnection;

use super::{Contender, Moment, Stored, Told};
use crate::project::internal::FOUND;
use crate::project::meaning::Report;
use crate::project::order::{self, Candidate};
use crate::project::{Meaning, Reading, read};
use crate::store::claims::Made;
use crate::store::events;

/// The report that stands for its moment.
pub(in crate::store) struct Won<T> {
    pub told: Told<T>,
    pub(super) tied: bool,
    /// What the moment's reports claim last, be it by an earlier one than the last.
    claims: Vec<Made>,
}

/// Reports by the object and the moment that they are about.
type Contested<T> = BTreeMap<(String, Moment), Vec<Told<T>>>;

/// The winner of each moment that the batch told of and that counts: an object's latest and, where its
/// history is kept, every one. `decided`: moments that have a winner already.
pub(super) async fn contest<T: Contender>(
    tx: &mut PgConnection,
    told: Vec<Told<T>>,
    stored: &HashMap<String, Stored<T>>,
    decided: &HashSet<(String, Moment)>,
    reading: &Reading,
    pick: fn(Meaning) -> Option<Report<T>>,
) -> Result<Vec<Won<T>>, sqlx::Error> {
    let mut won = Vec::new();
    let mut contested = BTreeSet::new();
    let mut new = BTreeMap::new();
    let told = group(told);
    let tops: BTreeMap<String, Moment> = told.keys().cloned().collect();
    for ((subject, moment), mut told) in told {
        let fact = stored.get(&subject);
        let is_latest = tops.get(&subject) == Some(&moment) && fact.is_none_or(|it| it.moment <= moment);
        // A state that cannot be left has the last word of its second, also on what was claimed in it.
        let is_outdone = |it: &Stored<T>| it.state.has_history() && it.moment.2 == moment.2;
        if fact.is_some_and(|it| it.moment > moment && (it.state.looks_back() || is_outdone(it))) {
            contested.extend(fact.map(|it| (subject.clone(), it.moment)));
        }
        if !is_latest && !told.iter().any(|one| one.report.state.has_history()) {
            continue;
        }
        let key = (subject, moment);
        if told.len() > 1 || fact.is_some_and(|it| it.moment == moment) || decided.contains(&key) {
            new.extend(told.pop().map(|told| (key.clone(), told)));
            contested.insert(key);
        } else {
            won.extend(told.pop().map(|told| Won {
                claims: evidence(slice::from_ref(&told)),
                told,
                tied: false,
            }));
        }
    }
    if !contested.is_empty() {
        let Reports { mut peers, pruned, cut } = reports(tx, &contested, reading, pick).await?;
        // Whoever won among events that are not there any more has won for good.
        contested.retain(|key| {
            let has_winner = decided.contains(key) || stored.get(&key.0).is_some_and(|it| it.moment == key.1);
            !(has_winner && pruned.contains(&(key.0.clone(), key.1.2)))
        });
        won.extend(contested.iter().filter_map(|key| {
            let is_cut = cut.contains(&(key.0.clone(), key.1.2));
            // Of too many reports none of this kind was read: then the new one stands.
            let peers = peers.remove(key).or_else(|| new.remove(key).filter(|_| is_cut).map(|one| vec![one]));
            let winner = last(peers?)?;
            Some(Won { tied: winner.tied || is_cut, ..winner })
        }));
    }
    Ok(won)
}

/// The reports that the inbox holds of some objects at some seconds.
struct Reports<T> {
    peers: Contested<T>,
    /// The seconds of which it lost some.
    pruned: events::Moments,
    /// The seconds of which it holds too many.
    cut: events::Moments,
}

/// Of the `wanted` objects and seconds.
async fn reports<T>(
    tx: &mut PgConnection,
    wanted: &BTreeSet<(String, Moment)>,
    reading: &Reading,
    pick: fn(Meaning) -> Option<Report<T>>,
) -> Result<Reports<T>, sqlx::Error> {
    let seconds: BTreeSet<_> = wanted.iter().map(|(subject, (_, _, at))| (subject.as_str(), *at)).collect();
    let events::Peers { events, pruned, cut } = events::peers(tx, &seconds).await?;
    let told = events.into_iter().filter_map(|envelope| {
        let report = pick(read(&envelope, reading).ok()?)?;
        Some(Told { event_id: envelope.event_id, report })
    });
    Ok(Reports { peers: group(told), pruned, cut })
}

fn group<T>(told: impl IntoIterator<Item = Told<T>>) -> Contested<T> {
    let mut moments = Contested::new();
    for one in told {
        moments.entry((one.report.subject.clone(), one.moment())).or_default().push(one);
    }
    moments
}

fn last<T: Contender>(peers: Vec<Told<T>>) -> Option<Won<T>> {
    let mut peers = without_overtaken(peers);
    let candidates: Vec<Candidate<'_>> = peers.iter().map(candidate).collect();
    let winner = order::winner(&candidates)?;
    let claims = evidence(&peers);
    let mut told = peers.swap_remove(winner.index);
    if told.report.state.looks_back() {
        peers.retain(|peer| !peer.report.state.looks_back());
        told.report.state.recall(last(peers).map(|known| known.told.report.state));
    }
    Some(Won { told, tied: winner.tied, claims })
}

/// A correction stands for what was missing. Once an event has told of the step that followed what the correction
/// began at, nothing is missing there any more, and it would be one step too many.
fn without_overtaken<T>(mut peers: Vec<Told<T>>) -> Vec<Told<T>> {
    if peers.iter().all(|peer| peer.report.corrects_after.is_none()) {
        return peers;
    }
    let steps = peers.iter().filter(|peer| peer.report.corrects_after.is_none());
    let steps =
        steps.filter(|peer| peer.report.previous.as_ref().is_some_and(|it| *it != peer.report.object));
    let left: Vec<Value> = steps.filter_map(|peer| peer.report.previous.clone()).collect();
    peers.retain(|peer| {
        let now = left.iter().filter(|state| peer.report.previous.as_ref() == Some(*state)).count();
        peer.report.corrects_after.is_none_or(|then| now <= then as usize)
    });
    peers
}

fn candidate<T: Contender>(Told { event_id, report }: &Told<T>) -> Candidate<'_> {
    Candidate {
        event_id,
        stage: report.stage,
        rank: report.state.rank(),
        object: &report.object,
        previous: report.previous.as_ref(),
    }
}

/// The last claims of each strength that the reports of one moment make: those of the last report that makes
/// any, since a claim taken away later stays.
fn evidence<T: Contender>(peers: &[Told<T>]) -> Vec<Made> {
    let mut made: Vec<Made> = Vec::new();
    let mut left: Vec<&Told<T>> = peers.iter().collect();
    if left.iter().all(|one| one.report.state.claims().is_empty()) {
        return made;
    }
    while let Some(last) = order::winner(&left.iter().map(|one| candidate(one)).collect::<Vec<_>>()) {
        let Told { event_id, report } = left.swap_remove(last.index);
        let claims = report.state.claims().into_iter();
        let new = claims.filter(|claim| made.iter().all(|known| known.claim.strength != claim.strength));
        let new: Vec<Made> = new
            .map(|claim| Made {
                claim,
                reported_at: report.occurred_at,
                event_id: event_id.clone(),
                is_last: true,
            })
            .collect();
        made.extend(new);
    }
    made
}

/// The claims of all moments, what cannot be left last in its second.
pub(super) fn claims_of<T>(won: &mut [Won<T>]) -> Vec<Made> {
    let (last, others): (Vec<_>, Vec<_>) = won.iter_mut().partition(|won| won.told.report.is_final);
    others.into_iter().chain(last).flat_map(|won| std::mem::take(&mut won.claims)).collect()
}

/// Those that become their objects' facts.
pub(super) fn latest<T>(won: Vec<Won<T>>, stored: &HashMap<String, Stored<T>>) -> Vec<Won<T>> {
    let mut latest = BTreeMap::<String, Won<T>>::new();
    for one in won {
        let subject = &one.told.report.subject;
        let is_later_than_fact = stored.get(subject).is_none_or(|fact| fact.moment <= one.told.moment());
        let is_latest = latest.get(subject).is_none_or(|other| other.told.moment() < one.told.moment());
        if is_later_than_fact && is_latest {
            latest.insert(subject.clone(), one);
        }
    }
    latest.into_values().collect()
}

/// What stood in a table when it was read is one of the row's states like any other, but for one thing: of
/// events that share its moment any other knows better, since it may be about a later change that left the
/// moment as it was. Of two readings with one moment the later one counts: their names tell which that is.
pub(super) fn with_found<T>(
    won: Vec<Won<T>>,
    found: Vec<Told<T>>,
    stored: &HashMap<String, Stored<T>>,
) -> Vec<Won<T>> {
    let mut won: BTreeMap<String, Won<T>> =
        won.into_iter().map(|one| (one.told.report.subject.clone(), one)).collect();
    for told in found {
        let subject = &told.report.subject;
        let best = won.get(subject).map(|one| (one.told.moment(), one.told.event_id.as_str()));
        let best = best.or(stored.get(subject).map(|fact| (fact.moment, fact.event_id.as_str())));
        if best.is_none_or(|(moment, by)| gives_way(moment, by, &told)) {
            won.insert(subject.clone(), Won { told, tied: false, claims: Vec::new() });
        }
    }
    won.into_values().collect()
}

fn gives_way<T>(moment: Moment, by: &str, told: &Told<T>) -> bool {
    let is_later_reading = by.starts_with(FOUND) && by < told.event_id.as_str();
    moment < told.moment() || (moment == told.moment() && is_later_reading)
}
