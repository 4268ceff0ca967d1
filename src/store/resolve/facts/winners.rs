//! Selects the winner among the reports of one object and position, and among an object's positions.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::slice;

use serde_json::Value;
use sqlx::PgConnection;

use super::{HistoryPosition, Reported, Stored, Versioned};
use crate::project::internal::IMPORT_PREFIX;
use crate::project::order::{self, Candidate};
use crate::project::payload::Report;
use crate::project::{DecodeSettings, Payload, decode};
use crate::store::events;
use crate::store::resolve::identity_claims::ClaimReport;

/// The report that wins its position.
pub(in crate::store) struct Winner<T> {
    pub reported: Reported<T>,
    pub(in crate::store) tied: bool,
    /// The last identity claims of the position's reports, even if not made by the winner.
    identity_claims: Vec<ClaimReport>,
}

/// An object and a position in its history.
type ObjectPosition = (String, HistoryPosition);

/// Reports by object and position.
type ReportsByPosition<T> = BTreeMap<ObjectPosition, Vec<Reported<T>>>;

/// Decides the winner of each position that the batch `reported`: of an object's latest position and, if its history is
/// kept, of every one. `stored`: the objects' facts. `with_winner`: positions that have a winner already. A position is
/// left out if its winner cannot change.
pub(in crate::store) async fn decide_winners<T: Versioned>(
    tx: &mut PgConnection,
    reported: Vec<Reported<T>>,
    stored: &HashMap<String, Stored<T>>,
    with_winner: &HashSet<ObjectPosition>,
    settings: &DecodeSettings,
    pick: fn(Payload) -> Option<Report<T>>,
) -> Result<Vec<Winner<T>>, sqlx::Error> {
    let BatchPositions { mut winners, contested, mut last } =
        BatchPositions::sort(reported, stored, with_winner);
    if contested.is_empty() {
        return Ok(winners);
    }
    let Reports { mut peers, pruned, cut } = load_reports(tx, &contested, settings, pick).await?;
    for key in contested {
        let (subject, position) = &key;
        let second = (subject.clone(), position.occurred_at);
        let is_fact = stored.get(subject).is_some_and(|fact| fact.position == *position);
        // A winner among events that were pruned cannot be decided again.
        if pruned.contains(&second) && (is_fact || with_winner.contains(&key)) {
            continue;
        }
        // If there were too many reports to read, the new one wins.
        let is_cut = cut.contains(&second);
        let unread = last.remove(&key).filter(|_| is_cut).map(|one| vec![one]);
        if let Some(winner) = peers.remove(&key).or(unread).and_then(winner_among) {
            winners.push(Winner { tied: winner.tied || is_cut, ..winner });
        }
    }
    Ok(winners)
}

/// The positions that a batch reports, by what decides them.
struct BatchPositions<T> {
    /// The winners of positions with a single report.
    winners: Vec<Winner<T>>,
    /// Positions that have other reports or change a later fact: all stored reports must be read.
    contested: BTreeSet<ObjectPosition>,
    /// The batch's last report of each contested position.
    last: BTreeMap<ObjectPosition, Reported<T>>,
}

impl<T: Versioned> BatchPositions<T> {
    fn sort(
        reported: Vec<Reported<T>>,
        stored: &HashMap<String, Stored<T>>,
        with_winner: &HashSet<ObjectPosition>,
    ) -> Self {
        let mut sorted = Self { winners: Vec::new(), contested: BTreeSet::new(), last: BTreeMap::new() };
        let reported = by_position(reported);
        let latest: BTreeMap<String, HistoryPosition> = reported.keys().cloned().collect();
        for (key, mut reports) in reported {
            let (subject, position) = &key;
            let fact = stored.get(subject);
            if let Some(fact) = fact.filter(|fact| inherits_from(fact, *position)) {
                sorted.contested.insert((subject.clone(), fact.position));
            }
            let may_become_fact =
                latest.get(subject) == Some(position) && fact.is_none_or(|fact| fact.position <= *position);
            if !may_become_fact && !reports.iter().any(|one| one.report.state.has_history()) {
                continue;
            }
            let has_other_reports = reports.len() > 1
                || fact.is_some_and(|fact| fact.position == *position)
                || with_winner.contains(&key);
            let Some(last) = reports.pop() else { continue };
            if has_other_reports {
                sorted.contested.insert(key.clone());
                sorted.last.insert(key, last);
            } else {
                let identity_claims = last_identity_claims(slice::from_ref(&last));
                sorted.winners.push(Winner { reported: last, tied: false, identity_claims });
            }
        }
        sorted
    }
}

/// Whether a later fact stays, but may take over something of a report at `position`.
fn inherits_from<T: Versioned>(fact: &Stored<T>, position: HistoryPosition) -> bool {
    // A final state is the last of its second, also for claims.
    let is_same_second = fact.state.has_history() && fact.position.occurred_at == position.occurred_at;
    fact.position > position && (fact.state.needs_earlier() || is_same_second)
}

/// The stored reports of some objects at some seconds.
struct Reports<T> {
    peers: ReportsByPosition<T>,
    /// The seconds with pruned reports.
    pruned: events::Seconds,
    /// The seconds with too many reports.
    cut: events::Seconds,
}

/// Loads the reports of the `wanted` objects and seconds.
async fn load_reports<T>(
    tx: &mut PgConnection,
    wanted: &BTreeSet<ObjectPosition>,
    settings: &DecodeSettings,
    pick: fn(Payload) -> Option<Report<T>>,
) -> Result<Reports<T>, sqlx::Error> {
    let seconds: BTreeSet<_> =
        wanted.iter().map(|(subject, position)| (subject.as_str(), position.occurred_at)).collect();
    let events::Peers { events, pruned, cut } = events::peers(tx, &seconds).await?;
    let reported = events.into_iter().filter_map(|envelope| {
        let report = pick(decode(&envelope, settings).ok()?)?;
        Some(Reported { event_id: envelope.event_id, report })
    });
    Ok(Reports { peers: by_position(reported), pruned, cut })
}

fn by_position<T>(reported: impl IntoIterator<Item = Reported<T>>) -> ReportsByPosition<T> {
    let mut positions = ReportsByPosition::new();
    for one in reported {
        positions.entry((one.report.subject.clone(), one.position())).or_default().push(one);
    }
    positions
}

/// The winner among the reports of one position.
fn winner_among<T: Versioned>(peers: Vec<Reported<T>>) -> Option<Winner<T>> {
    let mut peers = without_obsolete_corrections(peers);
    let candidates: Vec<Candidate<'_>> = peers.iter().map(candidate).collect();
    let winner = order::last_report(&candidates)?;
    let identity_claims = last_identity_claims(&peers);
    let mut reported = peers.swap_remove(winner.index);
    if reported.report.state.needs_earlier() {
        peers.retain(|peer| !peer.report.state.needs_earlier());
        reported.report.state.inherit(winner_among(peers).map(|known| known.reported.report.state));
    }
    Some(Winner { reported, tied: winner.tied, identity_claims })
}

/// Drops obsolete corrections. A correction replaces a missing event; once an event has reported the change
/// from the state that the correction started from, nothing is missing any more.
fn without_obsolete_corrections<T>(mut peers: Vec<Reported<T>>) -> Vec<Reported<T>> {
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

fn candidate<T: Versioned>(Reported { event_id, report }: &Reported<T>) -> Candidate<'_> {
    Candidate {
        event_id,
        change_kind: report.change_kind,
        rank: report.state.rank(),
        object: &report.object,
        previous: report.previous.as_ref(),
    }
}

/// The last identity claim of each strength among the reports of one position. A claim that a later report omits stays.
fn last_identity_claims<T: Versioned>(peers: &[Reported<T>]) -> Vec<ClaimReport> {
    let mut last_claims: Vec<ClaimReport> = Vec::new();
    let mut left: Vec<&Reported<T>> = peers.iter().collect();
    if left.iter().all(|one| one.report.state.identity_claims().is_empty()) {
        return last_claims;
    }
    while let Some(last) = order::last_report(&left.iter().map(|one| candidate(one)).collect::<Vec<_>>()) {
        let Reported { event_id, report } = left.swap_remove(last.index);
        let claims = report.state.identity_claims().into_iter();
        let new =
            claims.filter(|claim| last_claims.iter().all(|known| known.claim.strength != claim.strength));
        let new: Vec<ClaimReport> = new
            .map(|claim| ClaimReport {
                claim,
                reported_at: report.occurred_at,
                event_id: event_id.clone(),
                is_last: true,
            })
            .collect();
        last_claims.extend(new);
    }
    last_claims
}

/// Takes the identity claims of all positions, final states last in their second.
pub(in crate::store) fn take_identity_claims<T>(winners: &mut [Winner<T>]) -> Vec<ClaimReport> {
    let (last, others): (Vec<_>, Vec<_>) =
        winners.iter_mut().partition(|winner| winner.reported.report.is_final);
    others.into_iter().chain(last).flat_map(|winner| std::mem::take(&mut winner.identity_claims)).collect()
}

/// The winners that become facts.
pub(in crate::store) fn latest<T>(
    winners: Vec<Winner<T>>,
    stored: &HashMap<String, Stored<T>>,
) -> Vec<Winner<T>> {
    let mut latest = BTreeMap::<String, Winner<T>>::new();
    for one in winners {
        let subject = &one.reported.report.subject;
        let is_later_than_fact =
            stored.get(subject).is_none_or(|fact| fact.position <= one.reported.position());
        let is_latest =
            latest.get(subject).is_none_or(|other| other.reported.position() < one.reported.position());
        if is_later_than_fact && is_latest {
            latest.insert(subject.clone(), one);
        }
    }
    latest.into_values().collect()
}

/// An imported row is a state of the row like any other, except that any event of the same position takes
/// precedence: it may be about a later change that did not touch `updated_at`. Of two imports with the same
/// position the later one counts, by its event id.
pub(in crate::store) fn add_imported<T>(
    winners: Vec<Winner<T>>,
    imported: Vec<Reported<T>>,
    stored: &HashMap<String, Stored<T>>,
) -> Vec<Winner<T>> {
    let mut winners: BTreeMap<String, Winner<T>> =
        winners.into_iter().map(|one| (one.reported.report.subject.clone(), one)).collect();
    for reported in imported {
        let subject = &reported.report.subject;
        let best = winners.get(subject).map(|one| (one.reported.position(), one.reported.event_id.as_str()));
        let best = best.or(stored.get(subject).map(|fact| (fact.position, fact.event_id.as_str())));
        if best.is_none_or(|(position, by)| is_superseded_by(position, by, &reported)) {
            winners.insert(subject.clone(), Winner { reported, tied: false, identity_claims: Vec::new() });
        }
    }
    winners.into_values().collect()
}

fn is_superseded_by<T>(position: HistoryPosition, by: &str, reported: &Reported<T>) -> bool {
    let is_later_import = by.starts_with(IMPORT_PREFIX) && by < reported.event_id.as_str();
    position < reported.position() || (position == reported.position() && is_later_import)
}
