//! Selects the winner among the reports of one object and position, and among an object's positions.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::slice;

use serde_json::Value;
use sqlx::PgConnection;

use super::{HistoryPosition, Reported, Resolvable, Stored};
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
/// kept, of every one. `stored`: the objects' facts. `decided_positions`: those that have a winner already. A position is
/// left out if its winner cannot change.
pub(in crate::store) async fn decide_winners<T: Resolvable>(
    tx: &mut PgConnection,
    reported: Vec<Reported<T>>,
    stored: &HashMap<String, Stored<T>>,
    decided_positions: &HashSet<ObjectPosition>,
    settings: &DecodeSettings,
    pick: fn(Payload) -> Option<Report<T>>,
) -> Result<Vec<Winner<T>>, sqlx::Error> {
    let BatchPositions { mut winners, contested, mut last } =
        BatchPositions::group(reported, stored, decided_positions);
    if contested.is_empty() {
        return Ok(winners);
    }
    let StoredReports { mut reports, pruned, truncated } =
        load_reports(tx, &contested, settings, pick).await?;
    for key in contested {
        let (subject, position) = &key;
        let second = (subject.clone(), position.occurred_at);
        let is_fact = stored.get(subject).is_some_and(|fact| fact.position == *position);
        // A winner among events that were pruned cannot be decided again.
        if pruned.contains(&second) && (is_fact || decided_positions.contains(&key)) {
            continue;
        }
        // More reports than were read: the winner among those read is marked tied. If none of this position was
        // read, the batch's last report stands in.
        let is_truncated = truncated.contains(&second);
        let fallback = last.remove(&key).filter(|_| is_truncated).map(|one| vec![one]);
        if let Some(winner) = reports.remove(&key).or(fallback).and_then(winner_among) {
            winners.push(Winner { tied: winner.tied || is_truncated, ..winner });
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

impl<T: Resolvable> BatchPositions<T> {
    fn group(
        reported: Vec<Reported<T>>,
        stored: &HashMap<String, Stored<T>>,
        decided_positions: &HashSet<ObjectPosition>,
    ) -> Self {
        let mut grouped = Self { winners: Vec::new(), contested: BTreeSet::new(), last: BTreeMap::new() };
        let reported = by_position(reported);
        let latest: BTreeMap<String, HistoryPosition> = reported.keys().cloned().collect();
        for (key, mut reports) in reported {
            let (subject, position) = &key;
            let fact = stored.get(subject);
            if let Some(fact) = fact.filter(|fact| inherits_from(fact, *position)) {
                grouped.contested.insert((subject.clone(), fact.position));
            }
            let may_become_fact =
                latest.get(subject) == Some(position) && fact.is_none_or(|fact| fact.position <= *position);
            if !may_become_fact && !reports.iter().any(|one| one.report.state.has_history()) {
                continue;
            }
            let has_other_reports = reports.len() > 1
                || fact.is_some_and(|fact| fact.position == *position)
                || decided_positions.contains(&key);
            let Some(last) = reports.pop() else { continue };
            if has_other_reports {
                grouped.contested.insert(key.clone());
                grouped.last.insert(key, last);
            } else {
                let identity_claims = last_identity_claims(slice::from_ref(&last));
                grouped.winners.push(Winner { reported: last, tied: false, identity_claims });
            }
        }
        grouped
    }
}

/// Whether a later fact stays, but may take over something of a report at `position`.
fn inherits_from<T: Resolvable>(fact: &Stored<T>, position: HistoryPosition) -> bool {
    // A final state is the last of its second, also for claims.
    let is_same_second = fact.state.has_history() && fact.position.occurred_at == position.occurred_at;
    fact.position > position && (fact.state.needs_earlier_state() || is_same_second)
}

/// The stored reports of some objects at some seconds.
struct StoredReports<T> {
    reports: ReportsByPosition<T>,
    /// The seconds with pruned reports.
    pruned: events::ObjectSeconds,
    /// The seconds with more reports than were read.
    truncated: events::ObjectSeconds,
}

/// Loads the reports of the `wanted` objects and seconds.
async fn load_reports<T>(
    tx: &mut PgConnection,
    wanted: &BTreeSet<ObjectPosition>,
    settings: &DecodeSettings,
    pick: fn(Payload) -> Option<Report<T>>,
) -> Result<StoredReports<T>, sqlx::Error> {
    let seconds: BTreeSet<_> =
        wanted.iter().map(|(subject, position)| (subject.as_str(), position.occurred_at)).collect();
    let events::SameSecondEvents { events, pruned, truncated } =
        events::same_second_events(tx, &seconds).await?;
    let reported = events.into_iter().filter_map(|envelope| {
        let report = pick(decode(&envelope, settings).ok()?)?;
        Some(Reported { event_id: envelope.event_id, report })
    });
    Ok(StoredReports { reports: by_position(reported), pruned, truncated })
}

fn by_position<T>(reported: impl IntoIterator<Item = Reported<T>>) -> ReportsByPosition<T> {
    let mut positions = ReportsByPosition::new();
    for one in reported {
        positions.entry((one.report.subject.clone(), one.position())).or_default().push(one);
    }
    positions
}

/// The winner among the reports of one position.
fn winner_among<T: Resolvable>(reports: Vec<Reported<T>>) -> Option<Winner<T>> {
    let mut reports = without_obsolete_corrections(reports);
    let candidates: Vec<Candidate<'_>> = reports.iter().map(candidate).collect();
    let winner = order::last_report(&candidates)?;
    let identity_claims = last_identity_claims(&reports);
    let mut reported = reports.swap_remove(winner.index);
    if reported.report.state.needs_earlier_state() {
        reports.retain(|one| !one.report.state.needs_earlier_state());
        reported.report.state.inherit(winner_among(reports).map(|known| known.reported.report.state));
    }
    Some(Winner { reported, tied: winner.tied, identity_claims })
}

/// Drops obsolete corrections. A correction replaces a missing event that left its previous state: nothing is missing
/// once more events report leaving that state than when it was written.
fn without_obsolete_corrections<T>(mut reports: Vec<Reported<T>>) -> Vec<Reported<T>> {
    if reports.iter().all(|one| one.report.departures_before.is_none()) {
        return reports;
    }
    let events = reports.iter().filter(|one| one.report.departures_before.is_none());
    let reported_changes =
        events.filter(|one| one.report.previous.as_ref().is_some_and(|it| *it != one.report.object));
    let states_left: Vec<Value> = reported_changes.filter_map(|one| one.report.previous.clone()).collect();
    reports.retain(|one| {
        let departures =
            states_left.iter().filter(|state| one.report.previous.as_ref() == Some(*state)).count();
        one.report.departures_before.is_none_or(|at_correction| departures <= at_correction as usize)
    });
    reports
}

fn candidate<T: Resolvable>(Reported { event_id, report }: &Reported<T>) -> Candidate<'_> {
    Candidate {
        event_id,
        change_kind: report.change_kind,
        rank: report.state.rank(),
        object: &report.object,
        previous: report.previous.as_ref(),
    }
}

/// The last identity claim of each strength among the reports of one position. A claim that a later report omits stays.
fn last_identity_claims<T: Resolvable>(reports: &[Reported<T>]) -> Vec<ClaimReport> {
    let mut last_claims: Vec<ClaimReport> = Vec::new();
    let mut remaining: Vec<&Reported<T>> = reports.iter().collect();
    if remaining.iter().all(|one| one.report.state.identity_claims().is_empty()) {
        return last_claims;
    }
    while let Some(last) = order::last_report(&remaining.iter().map(|one| candidate(one)).collect::<Vec<_>>())
    {
        let Reported { event_id, report } = remaining.swap_remove(last.index);
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
        if best.is_none_or(|(position, event_id)| is_superseded_by(position, event_id, &reported)) {
            winners.insert(subject.clone(), Winner { reported, tied: false, identity_claims: Vec::new() });
        }
    }
    winners.into_values().collect()
}

/// Whether the report of the event `event_id` at `position` gives way to the imported `reported`.
fn is_superseded_by<T>(position: HistoryPosition, event_id: &str, reported: &Reported<T>) -> bool {
    let is_later_import = event_id.starts_with(IMPORT_PREFIX) && event_id < reported.event_id.as_str();
    position < reported.position() || (position == reported.position() && is_later_import)
}
