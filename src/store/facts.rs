//! Facts: the present state of each object, whatever order its events came in.
//!
//! A fact remembers the moment of the event that won. An event of an earlier moment changes nothing, one
//! of a later moment wins, and where several share the moment all of them are read from the inbox and
//! [`order`] decides: so the cost does not grow with an object's history, and the result depends on the
//! set of events alone. Of objects whose history the MRR ledger needs, every moment is decided that way
//! and its winner kept as a version; the fact is the last of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::slice;

use serde_json::Value;
use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;

use super::before;
use super::claims::Made;
use super::inbox;
use super::versions::{self, Since};
use crate::project::identity::{self, Claim};
use crate::project::internal::FOUND;
use crate::project::meaning::Report;
use crate::project::order::{self, Candidate};
use crate::project::stripe::{KNOWN_STATUSES, StripeObject, Subscription};
use crate::project::supabase::Row;
use crate::project::{Meaning, Reading, read};

/// A report and the event that made it.
#[derive(Clone, Debug)]
pub struct Told<T> {
    pub event_id: String,
    pub report: Report<T>,
}

impl<T> Told<T> {
    /// What decides before anything else.
    pub(super) const fn moment(&self) -> Moment {
        (self.report.is_final, self.report.number, self.report.occurred_at)
    }
}

/// A state that cannot be left, then the higher number, where there is one, then the later second.
pub(super) type Moment = (bool, Option<i64>, OffsetDateTime);

/// A fact that a batch changed.
#[derive(Clone, Debug)]
pub struct Changed<T> {
    pub before: Option<T>,
    pub after: T,
}

/// A fact as it stands.
struct Stored<T> {
    moment: Moment,
    /// The event that told of it.
    event_id: String,
    state: T,
}

/// The report that stands for its moment.
pub(super) struct Won<T> {
    pub told: Told<T>,
    tied: bool,
    /// What the moment's reports claim last, be it by an earlier one than the last.
    claims: Vec<Made>,
}

/// What a batch changed among Stripe's objects.
#[derive(Debug, Default)]
pub struct Settled {
    /// The facts that changed, by object id.
    pub changed: BTreeMap<String, Changed<StripeObject>>,
    /// From when on the customers' ledgers are to be worked out anew.
    pub since: Since,
    /// What objects with a history claim, the last of each second.
    pub claims: Vec<Made>,
}

/// Settles what the batch `told` of Stripe's objects.
///
/// # Errors
/// Whatever the database says.
pub async fn settle_stripe(
    tx: &mut PgConnection,
    told: Vec<Told<StripeObject>>,
    reading: &Reading,
) -> Result<Settled, sqlx::Error> {
    if told.is_empty() {
        return Ok(Settled::default());
    }
    let stored = stored_stripe(tx, &subjects(&told)).await?;
    let decided = versions::decided(tx, &told).await?;
    let said = said(&told);
    // No event of Stripe's tells of these.
    let (found, told): (Vec<_>, _) =
        told.into_iter().partition(|one| matches!(one.report.state, StripeObject::FoundPayment(_)));
    let mut won = contest(tx, told, &stored, &decided, reading, of_stripe).await?;
    let claims = claims_of(&mut won);
    let revised = versions::write(tx, &won).await?;
    let mut won = with_found(latest(won, &stored), found, &stored);
    recall_statuses(tx, &mut won).await?;
    let reminded = remember(&mut won, said, &stored);
    write_stripe(tx, &won).await?;
    write_reminded(tx, &reminded).await?;
    let customer_of = |id: &str| {
        let present = won.iter().map(|won| &won.told.report.state).find(|state| state.id() == id);
        present.or(stored.get(id).map(|stored| &stored.state))?.customer_id()
    };
    let mut since = versions::since(&revised, customer_of);
    let mut changed = changes(won, stored);
    changed.extend(reminded);
    versions::add_moved(&mut since, &changed);
    Ok(Settled { changed, since, claims })
}

/// Settles what the batch `told` of application rows and files; returns the facts that changed.
///
/// # Errors
/// Whatever the database says.
pub async fn settle_rows(
    tx: &mut PgConnection,
    told: Vec<Told<Row>>,
    reading: &Reading,
) -> Result<BTreeMap<String, Changed<Row>>, sqlx::Error> {
    if told.is_empty() {
        return Ok(BTreeMap::new());
    }
    let stored = stored_rows(tx, &told).await?;
    let (found, told) = told.into_iter().partition(is_found);
    let won = contest(tx, told, &stored, &HashSet::new(), reading, of_row).await?;
    let won = with_found(latest(won, &stored), found, &stored);
    write_rows(tx, &won).await?;
    Ok(changes(won, stored))
}

/// What was read in the application's tables and not told by an event of its own.
fn is_found<T>(told: &Told<T>) -> bool {
    told.event_id.starts_with(FOUND)
}

/// What stood in a table when it was read is one of the row's states like any other, but for one thing: of
/// events that share its moment any other knows better, since it may be about a later change that left the
/// moment as it was. Of two readings with one moment the later one counts: their names tell which that is.
fn with_found<T>(won: Vec<Won<T>>, found: Vec<Told<T>>, stored: &HashMap<String, Stored<T>>) -> Vec<Won<T>> {
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

fn of_stripe(meaning: Meaning) -> Option<Report<StripeObject>> {
    if let Meaning::Stripe(report) = meaning { Some(*report) } else { None }
}

fn of_row(meaning: Meaning) -> Option<Report<Row>> {
    if let Meaning::Row(report) = meaning { Some(report) } else { None }
}

fn subjects<T>(told: &[Told<T>]) -> Vec<String> {
    let subjects: BTreeSet<&String> = told.iter().map(|one| &one.report.subject).collect();
    subjects.into_iter().cloned().collect()
}

/// Reports by the object and the moment that they are about.
type Contested<T> = BTreeMap<(String, Moment), Vec<Told<T>>>;

fn group<T>(told: impl IntoIterator<Item = Told<T>>) -> Contested<T> {
    let mut moments = Contested::new();
    for one in told {
        moments.entry((one.report.subject.clone(), one.moment())).or_default().push(one);
    }
    moments
}

/// What the reports say for good of each object, whether or not they become its fact.
fn said(told: &[Told<StripeObject>]) -> BTreeMap<String, StripeObject> {
    let mut said = BTreeMap::<String, StripeObject>::new();
    for one in told.iter().filter(|one| one.report.state.has_memory()) {
        let state = &one.report.state;
        said.entry(one.report.subject.clone()).and_modify(|it| it.remember(state)).or_insert(state.clone());
    }
    said
}

/// Reminds the winners of what was `said` of their objects, now and before. Returns the facts that stay, but
/// know more now.
fn remember(
    won: &mut [Won<StripeObject>],
    mut said: BTreeMap<String, StripeObject>,
    stored: &HashMap<String, Stored<StripeObject>>,
) -> BTreeMap<String, Changed<StripeObject>> {
    for Won { told, .. } in won {
        let subject = &told.report.subject;
        let earlier = stored.get(subject).map(|fact| &fact.state);
        for said in earlier.into_iter().chain(&said.remove(subject)) {
            told.report.state.remember(said);
        }
    }
    let stay = said.into_iter().filter_map(|(subject, said)| {
        let before = stored.get(&subject)?.state.clone();
        let mut after = before.clone();
        after.remember(&said);
        (after != before).then_some((subject, Changed { before: Some(before), after }))
    });
    stay.collect()
}

fn changes<T: Clone>(
    won: Vec<Won<T>>,
    mut stored: HashMap<String, Stored<T>>,
) -> BTreeMap<String, Changed<T>> {
    won.into_iter()
        .map(|Won { told, .. }| {
            let before = stored.remove(&told.report.subject).map(|stored| stored.state);
            (told.report.subject, Changed { before, after: told.report.state })
        })
        .collect()
}

/// The winner of each moment that the batch told of and that counts: an object's latest and, where its
/// history is kept, every one. `decided`: moments that have a winner already.
async fn contest<T: Contender>(
    tx: &mut PgConnection,
    told: Vec<Told<T>>,
    stored: &HashMap<String, Stored<T>>,
    decided: &HashSet<(String, Moment)>,
    reading: &Reading,
    pick: fn(Meaning) -> Option<Report<T>>,
) -> Result<Vec<Won<T>>, sqlx::Error> {
    let mut won = Vec::new();
    let mut contested = BTreeSet::new();
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
        let (mut peers, pruned) = reports(tx, &contested, reading, pick).await?;
        // Whoever won among events that are not there any more has won for good.
        contested.retain(|key| {
            let has_winner = decided.contains(key) || stored.get(&key.0).is_some_and(|it| it.moment == key.1);
            !(has_winner && pruned.contains(&(key.0.clone(), key.1.2)))
        });
        won.extend(contested.iter().filter_map(|key| last(peers.remove(key)?)));
    }
    Ok(won)
}

/// The reports that the inbox holds of these objects at these seconds, and the seconds of which it lost some.
async fn reports<T>(
    tx: &mut PgConnection,
    wanted: &BTreeSet<(String, Moment)>,
    reading: &Reading,
    pick: fn(Meaning) -> Option<Report<T>>,
) -> Result<(Contested<T>, inbox::Moments), sqlx::Error> {
    let seconds: BTreeSet<_> = wanted.iter().map(|(subject, (_, _, at))| (subject.as_str(), *at)).collect();
    let (events, pruned) = inbox::peers(tx, &seconds).await?;
    let told = events.into_iter().filter_map(|envelope| {
        let report = pick(read(&envelope, reading).ok()?)?;
        Some(Told { event_id: envelope.event_id, report })
    });
    Ok((group(told), pruned))
}

/// Those that become their objects' facts.
fn latest<T>(won: Vec<Won<T>>, stored: &HashMap<String, Stored<T>>) -> Vec<Won<T>> {
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
fn claims_of<T>(won: &mut [Won<T>]) -> Vec<Made> {
    let (last, others): (Vec<_>, Vec<_>) = won.iter_mut().partition(|won| won.told.report.is_final);
    others.into_iter().chain(last).flat_map(|won| std::mem::take(&mut won.claims)).collect()
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

/// What the contest needs to know of a state.
pub(super) trait Contender {
    /// How far along its life the object's status is.
    fn rank(&self) -> i32;
    /// Every moment of its past is kept, not only the present.
    fn has_history(&self) -> bool {
        false
    }
    /// Earlier events matter to it still.
    fn looks_back(&self) -> bool {
        false
    }
    /// What it says about whose customer it is, where its history is kept.
    fn claims(&self) -> Vec<Claim> {
        Vec::new()
    }
    /// Takes over what matters of an earlier state.
    fn recall(&mut self, _earlier: Option<Self>)
    where
        Self: Sized,
    {
    }
}

impl Contender for StripeObject {
    fn rank(&self) -> i32 {
        Self::rank(self)
    }

    fn has_history(&self) -> bool {
        match self {
            Self::Subscription(it) => !it.needs_stripe,
            Self::Customer(_) | Self::Discount(_) => true,
            _ => false,
        }
    }

    fn looks_back(&self) -> bool {
        matches!(self, Self::Subscription(it) if !it.has_known_status())
    }

    fn claims(&self) -> Vec<Claim> {
        if self.has_history() { identity::claims(self) } else { Vec::new() }
    }

    fn recall(&mut self, earlier: Option<Self>) {
        if let (Self::Subscription(this), Some(Self::Subscription(earlier))) = (self, earlier) {
            this.known_status = Some(earlier.status);
        }
    }
}

impl Contender for Row {
    fn rank(&self) -> i32 {
        0
    }
}

/// Subscriptions in a status that we do not know keep the last one that we do: an event's, else that of the row
/// that stood there before.
async fn recall_statuses(tx: &mut PgConnection, won: &mut [Won<StripeObject>]) -> Result<(), sqlx::Error> {
    let mut nameless: Vec<(OffsetDateTime, &mut Subscription)> = won
        .iter_mut()
        .filter_map(|won| Some((won.told.report.occurred_at, subscription(&mut won.told.report.state)?)))
        .filter(|(_, subscription)| subscription.status_in_force().is_none())
        .collect();
    if nameless.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = nameless.iter().map(|(_, it)| it.id.as_str()).collect();
    let mut known = before::statuses(tx, &ids).await?;
    let told: Vec<(String, String)> = sqlx::query_as(
        "select w.id, v.status from unnest($1::text[], $2::timestamptz[]) as w (id, at)
         cross join lateral (
             select coalesce(state ->> 'known_status', state ->> 'status') as status from stripe_versions
             where id = w.id and occurred_at < w.at
               and (state ->> 'known_status' is not null or state ->> 'status' = any($3))
             order by occurred_at desc limit 1
         ) v",
    )
    .bind(&ids)
    .bind(nameless.iter().map(|(at, _)| *at).collect::<Vec<_>>())
    .bind(KNOWN_STATUSES.as_slice())
    .fetch_all(tx)
    .await?;
    known.extend(told);
    for (_, subscription) in &mut nameless {
        subscription.known_status = known.remove(&subscription.id);
    }
    Ok(())
}

const fn subscription(state: &mut StripeObject) -> Option<&mut Subscription> {
    if let StripeObject::Subscription(subscription) = state { Some(subscription) } else { None }
}

async fn stored_stripe(
    tx: &mut PgConnection,
    ids: &[String],
) -> Result<HashMap<String, Stored<StripeObject>>, sqlx::Error> {
    let rows =
        sqlx::query("select id, final, occurred_at, state, event_id from stripe_facts where id = any($1)")
            .bind(ids)
            .fetch_all(tx)
            .await?;
    rows.iter()
        .map(|row| {
            let Json(state) = row.try_get(3)?;
            let moment = (row.try_get(1)?, None, row.try_get(2)?);
            Ok((row.try_get(0)?, Stored { moment, event_id: row.try_get(4)?, state }))
        })
        .collect()
}

async fn write_stripe(tx: &mut PgConnection, won: &[Won<StripeObject>]) -> Result<(), sqlx::Error> {
    let reports = || won.iter().map(|won| &won.told.report);
    sqlx::query(
        "insert into stripe_facts (id, kind, customer_id, occurred_at, final, event_id, tied, state)
         select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bool[], $6::text[], $7::bool[], $8::jsonb[])
         on conflict (id) do update set
             kind = excluded.kind, customer_id = excluded.customer_id, occurred_at = excluded.occurred_at,
             final = excluded.final, event_id = excluded.event_id, tied = excluded.tied, state = excluded.state",
    )
    .bind(reports().map(|r| r.subject.as_str()).collect::<Vec<_>>())
    .bind(reports().map(|r| r.state.kind()).collect::<Vec<_>>())
    .bind(reports().map(|r| r.state.customer_id()).collect::<Vec<_>>())
    .bind(reports().map(|r| r.occurred_at).collect::<Vec<_>>())
    .bind(reports().map(|r| r.is_final).collect::<Vec<_>>())
    .bind(won.iter().map(|won| won.told.event_id.as_str()).collect::<Vec<_>>())
    .bind(won.iter().map(|won| won.tied).collect::<Vec<_>>())
    .bind(reports().map(|r| Json(&r.state)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn write_reminded(
    tx: &mut PgConnection,
    reminded: &BTreeMap<String, Changed<StripeObject>>,
) -> Result<(), sqlx::Error> {
    if reminded.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update stripe_facts f set state = r.state
         from unnest($1::text[], $2::jsonb[]) as r (id, state) where f.id = r.id",
    )
    .bind(reminded.keys().map(String::as_str).collect::<Vec<_>>())
    .bind(reminded.values().map(|fact| Json(&fact.after)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn stored_rows(
    tx: &mut PgConnection,
    told: &[Told<Row>],
) -> Result<HashMap<String, Stored<Row>>, sqlx::Error> {
    let states = || told.iter().map(|told| &told.report.state);
    let rows = sqlx::query(
        "select f.relation, f.row_id, f.user_id, f.counted, f.amount, f.final, f.number, f.occurred_at, f.event_id
         from (select distinct * from unnest($1::text[], $2::text[])) as w (relation, row_id)
         join row_facts f using (relation, row_id)",
    )
    .bind(states().map(|row| row.relation.as_str()).collect::<Vec<_>>())
    .bind(states().map(|row| row.row_id.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    rows.iter()
        .map(|row| {
            let state = Row {
                relation: row.try_get(0)?,
                row_id: row.try_get(1)?,
                user_id: row.try_get(2)?,
                counted: row.try_get(3)?,
                amount: row.try_get(4)?,
            };
            let subject = format!("{}/{}", state.relation, state.row_id);
            let moment = (row.try_get(5)?, row.try_get(6)?, row.try_get(7)?);
            Ok((subject, Stored { moment, event_id: row.try_get(8)?, state }))
        })
        .collect()
}

async fn write_rows(tx: &mut PgConnection, won: &[Won<Row>]) -> Result<(), sqlx::Error> {
    let states = || won.iter().map(|won| &won.told.report.state);
    sqlx::query(
        "insert into row_facts
             (relation, row_id, user_id, counted, amount, occurred_at, final, number, event_id, tied)
         select * from unnest($1::text[], $2::text[], $3::uuid[], $4::bool[], $5::bigint[], $6::timestamptz[], $7::bool[], $8::bigint[], $9::text[], $10::bool[])
         on conflict (relation, row_id) do update set
             user_id = excluded.user_id, counted = excluded.counted, amount = excluded.amount,
             occurred_at = excluded.occurred_at, final = excluded.final, number = excluded.number,
             event_id = excluded.event_id, tied = excluded.tied",
    )
    .bind(states().map(|row| row.relation.as_str()).collect::<Vec<_>>())
    .bind(states().map(|row| row.row_id.as_str()).collect::<Vec<_>>())
    .bind(states().map(|row| row.user_id).collect::<Vec<_>>())
    .bind(states().map(|row| row.counted).collect::<Vec<_>>())
    .bind(states().map(|row| row.amount).collect::<Vec<_>>())
    .bind(won.iter().map(|won| won.told.report.occurred_at).collect::<Vec<_>>())
    .bind(won.iter().map(|won| won.told.report.is_final).collect::<Vec<_>>())
    .bind(won.iter().map(|won| won.told.report.number).collect::<Vec<_>>())
    .bind(won.iter().map(|won| won.told.event_id.as_str()).collect::<Vec<_>>())
    .bind(won.iter().map(|won| won.tied).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// The report of a state that is not told by an event but found in the database. `is_gone`: it was known and
/// is not there any more.
pub(super) const fn found<T>(
    subject: String,
    state: T,
    occurred_at: OffsetDateTime,
    is_gone: bool,
) -> Report<T> {
    Report {
        subject,
        occurred_at,
        number: None,
        stage: if is_gone { order::Stage::Deleted } else { order::Stage::Created },
        is_final: is_gone,
        state,
        object: Value::Null,
        previous: None,
        corrects_after: None,
    }
}
