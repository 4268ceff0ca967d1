//! The stored facts about Stripe objects, and the fields that stick from earlier states.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::types::Json;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;

use super::{Changed, HistoryPosition, Reported, Stored, Winner};
use crate::project::stripe::{KNOWN_STATUSES, StripeObject, Subscription};
use crate::store::parked::Reason;
use crate::store::resolve::preexisting;

/// The stored state of some objects.
#[derive(Default)]
pub(in crate::store) struct StoredFacts {
    /// Their facts, by id.
    pub facts: HashMap<String, Stored<StripeObject>>,
    /// Those that are parked because the newest event about them came without a state.
    pub parked_as_thin: BTreeSet<String>,
}

#[derive(FromRow)]
struct LoadedObject {
    id: String,
    is_thin: bool,
    /// `None` without a fact, as the following.
    state: Option<Json<StripeObject>>,
    is_final: Option<bool>,
    occurred_at: Option<OffsetDateTime>,
    event_id: Option<String>,
}

/// Loads the stored state of these objects.
pub(in crate::store) async fn load(
    tx: &mut PgConnection,
    ids: &[String],
) -> Result<StoredFacts, sqlx::Error> {
    let rows: Vec<LoadedObject> = sqlx::query_as(
        "select w.id, f.final as is_final, f.occurred_at, f.event_id, f.state,
                (select true from parked p where p.subject = w.id and p.reason = $2 limit 1) is not null as is_thin
         from unnest($1::text[]) as w (id)
         left join lateral (select * from stripe_facts f where f.id = w.id offset 0) f on true",
    )
    .bind(ids)
    .bind(Reason::ThinEvent.as_str())
    .fetch_all(tx)
    .await?;
    let mut loaded = StoredFacts::default();
    for LoadedObject { id, is_thin, state, is_final, occurred_at, event_id } in rows {
        if is_thin {
            loaded.parked_as_thin.insert(id.clone());
        }
        if let (Some(Json(state)), Some(is_final), Some(occurred_at), Some(event_id)) =
            (state, is_final, occurred_at, event_id)
        {
            let position = HistoryPosition { is_final, sequence: None, occurred_at };
            loaded.facts.insert(id, Stored { position, event_id, state });
        }
    }
    Ok(loaded)
}

/// Stores the winners as facts, and which objects belong together.
pub(in crate::store) async fn write(
    tx: &mut PgConnection,
    winners: &[Winner<StripeObject>],
    links: &BTreeSet<(String, String)>,
) -> Result<(), sqlx::Error> {
    if winners.is_empty() && links.is_empty() {
        return Ok(());
    }
    let reports = || winners.iter().map(|winner| &winner.reported.report);
    sqlx::query(
        "with linked as (
             insert into stripe_links (id, other)
             select * from unnest($9::text[], $10::text[]) on conflict do nothing
         )
         insert into stripe_facts (id, kind, customer_id, occurred_at, final, event_id, tied, state)
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
    .bind(winners.iter().map(|winner| winner.reported.event_id.as_str()).collect::<Vec<_>>())
    .bind(winners.iter().map(|winner| winner.tied).collect::<Vec<_>>())
    .bind(reports().map(|r| Json(&r.state)).collect::<Vec<_>>())
    .bind(links.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>())
    .bind(links.iter().map(|(_, other)| other.as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores facts that stay but gained sticky fields.
pub(in crate::store) async fn write_extended(
    tx: &mut PgConnection,
    extended: &BTreeMap<String, Changed<StripeObject>>,
) -> Result<(), sqlx::Error> {
    if extended.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update stripe_facts f set state = r.state
         from unnest($1::text[], $2::jsonb[]) as r (id, state) where f.id = r.id",
    )
    .bind(extended.keys().map(String::as_str).collect::<Vec<_>>())
    .bind(extended.values().map(|fact| Json(&fact.after)).collect::<Vec<_>>())
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
) -> BTreeMap<String, Changed<StripeObject>> {
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
        (after != before).then_some((subject, Changed { before: Some(before), after }))
    });
    extended.collect()
}

/// Subscriptions in an unknown status keep the last known one: an event's, else that of the pre-existing row.
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
    .fetch_all(tx)
    .await?;
    known.extend(reported);
    for (_, subscription) in &mut unknown {
        subscription.known_status = known.remove(&subscription.id);
    }
    Ok(())
}

const fn subscription(state: &mut StripeObject) -> Option<&mut Subscription> {
    if let StripeObject::Subscription(subscription) = state { Some(subscription) } else { None }
}
