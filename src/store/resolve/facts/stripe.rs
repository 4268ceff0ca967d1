//! The stored facts about Stripe objects, and the fields that stick from earlier states.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;

use super::{ChangedObject, HistoryPosition, Reported, Resolvable as _, Stored, Winner};
use crate::project::stripe::{KNOWN_STATUSES, StripeObject, Subscription};
use crate::store::parked::Reason;
use crate::store::resolve::preexisting;
use crate::store::resolve::versions::{NewVersion, Revised};

/// The stored state of some objects.
#[derive(Default)]
pub(in crate::store) struct StoredFacts {
    /// Their facts, by id.
    pub facts: HashMap<String, Stored<StripeObject>>,
    /// Positions that have a winner already: all at the reported seconds.
    pub decided_positions: HashSet<(String, HistoryPosition)>,
    /// Those that are parked because the newest event about them came without a state.
    pub parked_as_thin: BTreeSet<String>,
    /// Customers with a subscription whose amounts only invoices show: at least those of the invoices among them.
    pub need_invoice_lines: BTreeSet<String>,
}

#[derive(FromRow)]
struct LoadedObject {
    id: String,
    is_thin: bool,
    /// The customers of an invoice that have a subscription whose amounts only invoices show.
    need_invoice_lines: Option<Vec<String>>,
    /// `None` without a fact, as the following.
    state: Option<Json<StripeObject>>,
    is_final: Option<bool>,
    occurred_at: Option<OffsetDateTime>,
    event_id: Option<String>,
    /// The versions at the reported seconds; `None` without any.
    version_seconds: Option<Vec<OffsetDateTime>>,
    /// Which of them are final.
    version_finals: Option<Vec<bool>>,
}

/// Loads the stored state of the reported objects.
pub(in crate::store) async fn load(
    tx: &mut PgConnection,
    reported: &[Reported<StripeObject>],
) -> Result<StoredFacts, sqlx::Error> {
    let versioned_second =
        |one: &Reported<StripeObject>| one.report.state.has_history().then_some(one.report.occurred_at);
    let rows: Vec<LoadedObject> = sqlx::query_as(
        "select w.id, f.final as is_final, f.occurred_at, f.event_id, f.state, v.version_seconds, v.version_finals,
                (select true from parked p where p.subject = w.id and p.reason = $4 limit 1) is not null as is_thin,
                l.need_invoice_lines
         from (select id, array_agg(second) as seconds, array_agg(invoiced) as invoiced
               from unnest($1::text[], $2::timestamptz[], $3::text[]) as r (id, second, invoiced)
               group by id) w
         left join lateral (select * from stripe_facts f where f.id = w.id offset 0) f on true
         left join lateral (
             select array_agg(v.occurred_at) as version_seconds, array_agg(v.final) as version_finals
             from (select distinct unnest(w.seconds) as second) s
             cross join lateral (
                 select * from stripe_versions v where v.id = w.id and v.occurred_at = s.second offset 0
             ) v
         ) v on true
         left join lateral (
             select array_agg(distinct s.customer_id) as need_invoice_lines
             from (select distinct unnest(w.invoiced || case when f.kind = 'invoice' then f.customer_id end) as customer_id) i
             cross join lateral (
                 select s.id, s.customer_id from stripe_facts s
                 where s.customer_id = i.customer_id and s.kind = 'subscription' offset 0
             ) s
             cross join lateral (select from stripe_versions v where v.id = s.id and v.wants_lines limit 1) v
         ) l on true",
    )
    .bind(reported.iter().map(|one| one.report.subject.as_str()).collect::<Vec<_>>())
    .bind(reported.iter().map(versioned_second).collect::<Vec<_>>())
    .bind(reported.iter().map(invoiced_customer).collect::<Vec<_>>())
    .bind(Reason::ThinEvent.as_str())
    .fetch_all(tx)
    .await?;
    let position = |is_final, occurred_at| HistoryPosition { is_final, sequence: None, occurred_at };
    let mut loaded = StoredFacts::default();
    for row in rows {
        let LoadedObject { id, state, is_final, occurred_at, event_id, .. } = row;
        if row.is_thin {
            loaded.parked_as_thin.insert(id.clone());
        }
        loaded.need_invoice_lines.extend(row.need_invoice_lines.into_iter().flatten());
        let versions =
            row.version_finals.into_iter().flatten().zip(row.version_seconds.into_iter().flatten());
        loaded.decided_positions.extend(versions.map(|(is_final, at)| (id.clone(), position(is_final, at))));
        if let (Some(Json(state)), Some(is_final), Some(occurred_at), Some(event_id)) =
            (state, is_final, occurred_at, event_id)
        {
            loaded.facts.insert(id, Stored { position: position(is_final, occurred_at), event_id, state });
        }
    }
    Ok(loaded)
}

fn invoiced_customer(reported: &Reported<StripeObject>) -> Option<&str> {
    if let StripeObject::Invoice(invoice) = &reported.report.state {
        invoice.customer.as_deref()
    } else {
        None
    }
}

/// Stores the winners as facts, the `versions`, and which objects belong together. Returns the versions that are new or
/// have changed.
pub(in crate::store) async fn write(
    tx: &mut PgConnection,
    winners: &[Winner<StripeObject>],
    versions: &[NewVersion],
    links: &BTreeSet<(String, String)>,
) -> Result<Vec<Revised>, sqlx::Error> {
    if winners.is_empty() && versions.is_empty() && links.is_empty() {
        return Ok(Vec::new());
    }
    let reports = || winners.iter().map(|winner| &winner.reported.report);
    sqlx::query_as(WRITE)
        .bind(reports().map(|r| r.subject.as_str()).collect::<Vec<_>>())
        .bind(reports().map(|r| r.state.kind()).collect::<Vec<_>>())
        .bind(reports().map(|r| r.state.customer_id()).collect::<Vec<_>>())
        .bind(reports().map(|r| r.occurred_at).collect::<Vec<_>>())
        .bind(reports().map(|r| r.is_final).collect::<Vec<_>>())
        .bind(winners.iter().map(|winner| winner.reported.event_id.as_str()).collect::<Vec<_>>())
        .bind(winners.iter().map(|winner| winner.tied).collect::<Vec<_>>())
        .bind(reports().map(|r| Json(&r.state)).collect::<Vec<_>>())
        .bind(links.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>())
        .bind(links.iter().map(|(_, other)| other.as_str()).collect::<Vec<_>>())
        .bind(versions.iter().map(|version| version.id.as_str()).collect::<Vec<_>>())
        .bind(versions.iter().map(|version| version.occurred_at).collect::<Vec<_>>())
        .bind(versions.iter().map(|version| version.is_final).collect::<Vec<_>>())
        .bind(versions.iter().map(|version| version.state.kind()).collect::<Vec<_>>())
        .bind(versions.iter().map(|version| version.event_id.as_str()).collect::<Vec<_>>())
        .bind(versions.iter().map(|version| version.wants_lines).collect::<Vec<_>>())
        .bind(versions.iter().map(|version| Json(&version.state)).collect::<Vec<_>>())
        .fetch_all(tx)
        .await
}

const WRITE: &str = "
    with linked as (
        insert into stripe_links (id, other)
        select * from unnest($9::text[], $10::text[]) on conflict do nothing
    ), facts as (
        insert into stripe_facts (id, kind, customer_id, occurred_at, final, event_id, tied, state)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bool[], $6::text[], $7::bool[],
                             $8::jsonb[])
        on conflict (id) do update set
            kind = excluded.kind, customer_id = excluded.customer_id, occurred_at = excluded.occurred_at,
            final = excluded.final, event_id = excluded.event_id, tied = excluded.tied, state = excluded.state
    )
    insert into stripe_versions as v (id, occurred_at, final, kind, event_id, wants_lines, state)
    select * from unnest($11::text[], $12::timestamptz[], $13::bool[], $14::text[], $15::text[], $16::bool[],
                         $17::jsonb[])
    on conflict (id, occurred_at, final) do update set
        kind = excluded.kind, event_id = excluded.event_id, wants_lines = excluded.wants_lines,
        state = excluded.state
    where (v.event_id, v.state) is distinct from (excluded.event_id, excluded.state)
    returning id, occurred_at, kind = 'discount' and not exists (
        select from stripe_versions e where e.id = v.id and e.occurred_at < v.occurred_at) as is_first_of_discount";

/// Stores states of facts that stay in their place in the history.
pub(in crate::store) async fn update_states(
    tx: &mut PgConnection,
    states: Vec<(&str, &StripeObject)>,
) -> Result<(), sqlx::Error> {
    if states.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update stripe_facts f set state = r.state
         from unnest($1::text[], $2::jsonb[]) as r (id, state) where f.id = r.id",
    )
    .bind(states.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(states.iter().map(|(_, state)| Json(*state)).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// By object: the sticky fields of its reports, whether or not they become its fact.
pub(in crate::store) fn sticky_by_id(reported: &[Reported<StripeObject>]) -> BTreeMap<String, StripeObject> {
    let mut sticky_by_id = BTreeMap::<String, StripeObject>::new();
    for one in reported.iter().filter(|one| one.report.state.has_sticky_fields()) {
        let state = &one.report.state;
        sticky_by_id
            .entry(one.report.subject.clone())
            .and_modify(|it| it.merge_sticky(state))
            .or_insert(state.clone());
    }
    sticky_by_id
}

/// Merges the sticky fields into the winners. Returns the facts that stay but gained some.
pub(in crate::store) fn merge_sticky(
    winners: &mut [Winner<StripeObject>],
    mut sticky_by_id: BTreeMap<String, StripeObject>,
    stored: &HashMap<String, Stored<StripeObject>>,
) -> BTreeMap<String, ChangedObject> {
    for Winner { reported, .. } in winners {
        let subject = &reported.report.subject;
        let now_reported = sticky_by_id.remove(subject);
        if let Some(fact) = stored.get(subject) {
            reported.report.state.merge_sticky(&fact.state);
        }
        if let Some(now_reported) = &now_reported {
            reported.report.state.merge_sticky(now_reported);
        }
    }
    // What is left is of objects whose fact stays.
    let extended = sticky_by_id.into_iter().filter_map(|(subject, now_reported)| {
        let before = stored.get(&subject)?.state.clone();
        let mut after = before.clone();
        after.merge_sticky(&now_reported);
        (after != before).then_some((subject, ChangedObject { before: Some(before), after }))
    });
    extended.collect()
}

/// Subscriptions in an unknown status keep the last known one: an event's, else that of the pre-existing row. Their facts,
/// which are stored with all versions by now, are updated.
pub(in crate::store) async fn inherit_statuses(
    tx: &mut PgConnection,
    winners: &mut [Winner<StripeObject>],
) -> Result<(), sqlx::Error> {
    let mut unknown: Vec<(OffsetDateTime, &mut Subscription)> = winners
        .iter_mut()
        .filter_map(|Winner { reported: Reported { report, .. }, .. }| {
            Some((report.occurred_at, subscription(&mut report.state)?))
        })
        .filter(|(_, subscription)| subscription.effective_status().is_none())
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = unknown.iter().map(|(_, it)| it.id.as_str()).collect();
    let mut known = preexisting::statuses(tx, &ids).await?;
    let reported: Vec<(String, String)> = sqlx::query_as(
        "select w.id, v.status from unnest($1::text[], $2::timestamptz[]) as w (id, at)
         cross join lateral (
             select coalesce(state ->> 'known_status', state ->> 'status') as status from stripe_versions
             where id = w.id and occurred_at < w.at
               and (state ->> 'known_status' is not null or state ->> 'status' = any($3))
             order by occurred_at desc limit 1
         ) v",
    )
    .bind(&ids)
    .bind(unknown.iter().map(|(at, _)| *at).collect::<Vec<_>>())
    .bind(KNOWN_STATUSES.as_slice())
    .fetch_all(&mut *tx)
    .await?;
    known.extend(reported);
    for (_, subscription) in &mut unknown {
        subscription.known_status = known.remove(&subscription.id);
    }
    let inherited = unknown.into_iter().filter(|(_, subscription)| subscription.known_status.is_some());
    let states: Vec<(String, StripeObject)> = inherited
        .map(|(_, subscription)| (subscription.id.clone(), StripeObject::Subscription(subscription.clone())))
        .collect();
    update_states(tx, states.iter().map(|(id, state)| (id.as_str(), state)).collect()).await
}

const fn subscription(state: &mut StripeObject) -> Option<&mut Subscription> {
    if let StripeObject::Subscription(subscription) = state { Some(subscription) } else { None }
}
