//! Traces an event: how it arrived, what it decided and what it changed, as far as that is stored.

use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::types::Json;
use sqlx::{FromRow, PgPool, Postgres, Transaction};
use time::OffsetDateTime;

use super::{Event, about, find, find_one};
use crate::store::begin_read_only;

/// The trace of one event.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = EventTrace)]
pub struct Trace {
    /// The event and its state.
    pub event: Event,
    /// How it arrived: `webhook`, `trigger` or `memberflow itself`.
    pub via: &'static str,
    /// Facts that it decided.
    pub won: Vec<Fact>,
    /// Facts about its object that other events decided.
    pub lost: Vec<Fact>,
    /// What it changed, before and after.
    pub changes: Vec<Change>,
    /// The objects that are linked with its object, at most 100: what belongs to one payment, or depends on a price.
    pub related: Vec<String>,
    /// What is parked about its object.
    pub parked: Vec<Parked>,
    /// What operators did with it.
    pub acts: Vec<AuditEntry>,
    /// What is not stored.
    #[schema(value_type = Vec<String>)]
    pub not_kept: &'static [&'static str],
}

/// A fact, and the event that decided it.
#[derive(Clone, Debug, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = EventFact)]
pub struct Fact {
    /// The table.
    pub table: String,
    /// The object.
    pub id: String,
    /// The event that decided it.
    pub by: String,
    /// That event's moment in the object's history.
    #[serde(with = "time::serde::rfc3339")]
    pub occurred_at: OffsetDateTime,
}

/// A row that it changed; for rows with several events only the columns that differ.
#[derive(Clone, Debug, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = EventChange)]
pub struct Change {
    /// The table; `event`: the changes of its object as reported by the event itself.
    pub table: String,
    /// The key of the row.
    pub id: String,
    /// Before it; `None` if there was no such row.
    #[schema(value_type = Option<HashMap<String, Value>>)]
    pub before: Option<Json<Map<String, Value>>>,
    /// After it.
    #[schema(value_type = HashMap<String, Value>)]
    pub after: Json<Map<String, Value>>,
}

/// A parked item.
#[derive(Clone, Debug, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = EventParked)]
pub struct Parked {
    /// The object.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// The detail.
    pub detail: String,
}

/// A line of the audit log.
#[derive(Clone, Debug, Serialize, FromRow, utoipa::ToSchema)]
#[schema(as = EventAct)]
pub struct AuditEntry {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who.
    pub actor: String,
    /// What.
    pub act: String,
}

const NOT_KEPT: &[&str] = &[
    "whether it went through the broker or Postgres",
    "how often it was delivered: repeats leave no trace",
    "the former values of the members' rows: each is derived from all facts at once",
];

/// Traces the events with this id.
pub async fn trace(pool: &PgPool, event_id: &str) -> Result<Vec<Trace>, sqlx::Error> {
    let mut traces = Vec::new();
    for (event, body) in find(pool, event_id).await? {
        traces.push(traced(pool, event, &body).await?);
    }
    Ok(traces)
}

/// The event with this id and source, with its trace and body; `None` if there is none.
pub async fn show(
    pool: &PgPool,
    source: &str,
    event_id: &str,
) -> Result<Option<(Trace, Vec<u8>)>, sqlx::Error> {
    let Some((event, body)) = find_one(pool, source, event_id).await? else { return Ok(None) };
    Ok(Some((traced(pool, event, &body).await?, body)))
}

async fn traced(pool: &PgPool, event: Event, body: &[u8]) -> Result<Trace, sqlx::Error> {
    let mut tx = begin_read_only(pool).await?;
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut changes: Vec<Change> = reported_change(&event, &body).into_iter().collect();
    let (won, lost) = facts(&mut tx, &event).await?;
    changes.extend(changed(&mut tx, &event).await?);
    let parked = parked(&mut tx, &event).await?;
    let related = match &event.subject {
        Some(subject) => about::related(&mut *tx, subject).await?,
        None => Vec::new(),
    };
    let acts = acts(&mut tx, &event).await?;
    Ok(Trace { via: via(&event), event, won, lost, changes, related, parked, acts, not_kept: NOT_KEPT })
}

fn via(event: &Event) -> &'static str {
    match event.source.as_str() {
        "internal" => "memberflow itself",
        _ if event.event_id.starts_with("trigger/") => "trigger",
        _ => "webhook",
    }
}

/// The change as reported by Stripe.
fn reported_change(event: &Event, body: &Value) -> Option<Change> {
    let before = body.pointer("/data/previous_attributes")?.as_object()?.clone();
    let object = body.pointer("/data/object")?;
    let after = before.keys().map(|key| (key.clone(), object.get(key).cloned().unwrap_or_default()));
    let id = object.get("id").and_then(Value::as_str).unwrap_or(&event.event_id).to_owned();
    Some(Change { table: "event".to_owned(), id, after: Json(after.collect()), before: Some(Json(before)) })
}

type ReadTransaction = Transaction<'static, Postgres>;

async fn facts(tx: &mut ReadTransaction, event: &Event) -> Result<(Vec<Fact>, Vec<Fact>), sqlx::Error> {
    let facts: Vec<Fact> = sqlx::query_as(
        "select 'ingest.stripe_facts' as table, id, event_id as by, occurred_at from stripe_facts
         where id = $1
         union all
         select 'ingest.stripe_versions', id, event_id, occurred_at from stripe_versions
         where id = $1 and occurred_at = $2
         union all
         select 'ingest.claims', object_id, event_id, reported_at from claims where object_id = $1
         union all
         select 'ingest.customer_emails', object_id, event_id, reported_at from customer_emails where object_id = $1
         union all
         select 'ingest.row_facts', relation || '/' || row_id, event_id, occurred_at from row_facts
         where relation = split_part($1, '/', 1) and row_id = substr($1, length(split_part($1, '/', 1)) + 2)",
    )
    .bind(&event.subject)
    .bind(event.occurred_at)
    .fetch_all(&mut **tx)
    .await?;
    Ok(facts.into_iter().partition(|fact| fact.by == event.event_id))
}

/// The versions that it created, compared with those before, and the movements that it caused, including
/// superseded ones.
async fn changed(tx: &mut ReadTransaction, event: &Event) -> Result<Vec<Change>, sqlx::Error> {
    sqlx::query_as(
        "select 'ingest.stripe_versions' as table, v.id,
                (select jsonb_object_agg(key, value) from jsonb_each(b.state)
                 where value is distinct from v.state -> key) as before,
                coalesce((select jsonb_object_agg(key, value) from jsonb_each(v.state)
                 where b.state is null or value is distinct from b.state -> key), '{}') as after
         from stripe_versions v
         left join lateral (
             select state from stripe_versions e
             where e.id = v.id and (e.final, e.occurred_at) < (v.final, v.occurred_at)
             order by e.final desc, e.occurred_at desc limit 1
         ) b on true
         where v.id = $2 and v.event_id = $1
         union all
         select 'public.mrr_movements', customer_id,
                jsonb_build_object('mrr', mrr_before),
                jsonb_build_object('mrr', mrr_after, 'currency', currency, 'kind', kind, 'delta', delta,
                                   'believed', superseded_at is null)
         from mrr_movements
         where cause_event_id = $1 and customer_id in (
             select customer_id from stripe_facts where id = $2 union all select $2)",
    )
    .bind(&event.event_id)
    .bind(&event.subject)
    .fetch_all(&mut **tx)
    .await
}

async fn parked(tx: &mut ReadTransaction, event: &Event) -> Result<Vec<Parked>, sqlx::Error> {
    sqlx::query_as(
        "select subject, reason, detail from parked
         where subject = any(array(select $1 union all select customer_id from stripe_facts where id = $1))
         order by subject, reason",
    )
    .bind(&event.subject)
    .fetch_all(&mut **tx)
    .await
}

async fn acts(tx: &mut ReadTransaction, event: &Event) -> Result<Vec<AuditEntry>, sqlx::Error> {
    sqlx::query_as(
        "select at, actor, act from audit_log
         where outcome -> 'events' ? ($1 || '/' || $2) or arguments -> 'ids' ? $2 order by id",
    )
    .bind(&event.source)
    .bind(&event.event_id)
    .fetch_all(&mut **tx)
    .await
}
