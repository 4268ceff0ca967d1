//! The MRR ledger: revises the current movements from the versions.
//!
//! Only the movements from the earliest affected second on are recomputed. For an event in order that is one
//! movement; a late one costs what came after it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::project::movements::{self, CALC_VERSION, History, Movement};
use crate::project::mrr::Catalogue;
use crate::store::from_unix_seconds;
use crate::store::resolve::versions::{self, LedgerFrom};

/// Identifies a movement: there is one per customer, currency and second.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct MovementKey {
    customer: String,
    currency: String,
    effective_at: OffsetDateTime,
}

/// A movement as stored.
#[derive(Debug, PartialEq, Eq, FromRow)]
struct Entry {
    kind: String,
    delta: i64,
    mrr_before: i64,
    mrr_after: i64,
    cause_event_id: Option<String>,
}

impl From<Movement> for Entry {
    fn from(it: Movement) -> Self {
        Self {
            kind: it.kind.as_str().to_owned(),
            delta: it.delta,
            mrr_before: it.mrr_before,
            mrr_after: it.mrr_after,
            cause_event_id: it.cause_event_id,
        }
    }
}

/// Recomputes the customers' ledgers, each from its second in `ledger_from` on: movements that no longer hold are
/// superseded, new ones recorded. `owners`: each customer's user, if it exists.
pub async fn revise(
    tx: &mut PgConnection,
    ledger_from: &LedgerFrom,
    catalogue: Catalogue,
    owners: &HashMap<String, Uuid>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if ledger_from.is_empty() {
        return Ok(());
    }
    let (mut versions, mut catalogue) = versions::load(tx, ledger_from, catalogue).await?;
    let Recorded { mut prior_currencies, current } = recorded(tx, ledger_from).await?;
    let mut entries = BTreeMap::<MovementKey, Entry>::new();
    for (customer, &since) in ledger_from {
        let history = History {
            versions: versions.remove(customer).unwrap_or_default(),
            prior_currencies: prior_currencies.remove(customer).unwrap_or_default(),
        };
        for movement in movements::movements(history, &mut catalogue, since, now.unix_timestamp()) {
            let key = MovementKey {
                customer: customer.clone(),
                currency: movement.currency.clone(),
                effective_at: from_unix_seconds(movement.effective_at),
            };
            entries.insert(key, movement.into());
        }
    }
    let mut outdated = Vec::new();
    for CurrentMovement { id, key, entry } in current {
        if entries.get(&key) == Some(&entry) {
            entries.remove(&key);
        } else {
            outdated.push(id);
        }
    }
    supersede(tx, &outdated, now).await?;
    record(tx, &entries, owners, now).await
}

/// The stored ledger of some customers.
#[derive(Default)]
struct Recorded {
    /// The currencies in which each customer had revenue before its second in `ledger_from`.
    prior_currencies: HashMap<String, BTreeSet<String>>,
    /// The current movements from that second on.
    current: Vec<CurrentMovement>,
}

/// A movement that is not superseded.
struct CurrentMovement {
    /// The id of its row.
    id: i64,
    key: MovementKey,
    entry: Entry,
}

#[derive(FromRow)]
struct StoredMovement {
    id: i64,
    customer_id: String,
    currency: String,
    effective_at: OffsetDateTime,
    /// It is earlier than the customer's second in `ledger_from`, and the first in its currency.
    is_before: bool,
    #[sqlx(flatten)]
    entry: Entry,
}

/// Subqueries that cannot be flattened (`offset 0`) force an index lookup per customer: its movements from
/// its second in `ledger_from` on, and its first in each currency.
async fn recorded(tx: &mut PgConnection, ledger_from: &LedgerFrom) -> Result<Recorded, sqlx::Error> {
    let movements: Vec<StoredMovement> = sqlx::query_as(
        "select w.customer_id, m.currency, m.effective_at, m.id, m.kind, m.delta, m.mrr_before, m.mrr_after,
                m.cause_event_id, m.effective_at < w.since as is_before
         from unnest($1::text[], $2::timestamptz[]) as w (customer_id, since)
         cross join lateral (
             (select m.* from mrr_movements m
              where m.customer_id = w.customer_id and m.effective_at >= w.since and m.superseded_at is null offset 0)
             union all
             (select m.* from mrr_movements m
              where m.customer_id = w.customer_id and m.effective_at < w.since and m.superseded_at is null
                and m.kind = 'new' offset 0)
         ) m",
    )
    .bind(ledger_from.keys().map(String::as_str).collect::<Vec<_>>())
    .bind(ledger_from.values().map(|at| from_unix_seconds(*at)).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let mut recorded = Recorded::default();
    for StoredMovement { id, customer_id, currency, effective_at, is_before, entry } in movements {
        if is_before {
            recorded.prior_currencies.entry(customer_id).or_default().insert(currency);
        } else {
            let key = MovementKey { customer: customer_id, currency, effective_at };
            recorded.current.push(CurrentMovement { id, key, entry });
        }
    }
    Ok(recorded)
}

async fn supersede(tx: &mut PgConnection, ids: &[i64], now: OffsetDateTime) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    // Another machine's clock may be ahead of ours.
    sqlx::query(
        "update mrr_movements set superseded_at = greatest($2, recorded_at) where ctid = any(array(
             select m.ctid from unnest($1::bigint[]) as i (id)
             cross join lateral (select m.ctid from mrr_movements m where m.id = i.id offset 0) m
         ))",
    )
    .bind(ids)
    .bind(now)
    .execute(tx)
    .await?;
    Ok(())
}

async fn record(
    tx: &mut PgConnection,
    entries: &BTreeMap<MovementKey, Entry>,
    owners: &HashMap<String, Uuid>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into mrr_movements
             (customer_id, user_id, currency, effective_at, kind, delta, mrr_before, mrr_after, cause_event_id,
              recorded_at, calc_version)
         select e.*, $10, $11
         from unnest($1::text[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[], $6::bigint[], $7::bigint[],
                     $8::bigint[], $9::text[]) as e",
    )
    .bind(entries.keys().map(|key| key.customer.as_str()).collect::<Vec<_>>())
    .bind(entries.keys().map(|key| owners.get(&key.customer).copied()).collect::<Vec<_>>())
    .bind(entries.keys().map(|key| key.currency.as_str()).collect::<Vec<_>>())
    .bind(entries.keys().map(|key| key.effective_at).collect::<Vec<_>>())
    .bind(entries.values().map(|entry| entry.kind.as_str()).collect::<Vec<_>>())
    .bind(entries.values().map(|entry| entry.delta).collect::<Vec<_>>())
    .bind(entries.values().map(|entry| entry.mrr_before).collect::<Vec<_>>())
    .bind(entries.values().map(|entry| entry.mrr_after).collect::<Vec<_>>())
    .bind(entries.values().map(|entry| entry.cause_event_id.as_deref()).collect::<Vec<_>>())
    .bind(now)
    .bind(CALC_VERSION)
    .execute(tx)
    .await?;
    Ok(())
}

/// Assigns the movements of `reassigned` customers, past ones too, to their present users (`owners`); and the unassigned
/// movements of customers `with_unassigned_movements` to the customer's user: a deleted user may have come back.
pub async fn assign(
    tx: &mut PgConnection,
    reassigned: &BTreeSet<String>,
    owners: &HashMap<String, Uuid>,
    with_unassigned_movements: &HashMap<String, Uuid>,
) -> Result<(), sqlx::Error> {
    let reassigned = reassigned.iter().map(|customer| (customer, owners.get(customer).copied(), false));
    let owned = with_unassigned_movements.iter().map(|(customer, &user)| (customer, Some(user), true));
    let assigned: Vec<_> = reassigned.chain(owned).collect();
    if assigned.is_empty() {
        return Ok(());
    }
    // Found by index and updated by ctid, as in `parked::replace`.
    sqlx::query(
        "with assigned as materialized (
             select * from unnest($1::text[], $2::uuid[], $3::bool[]) as a (customer_id, user_id, unassigned_only)
         )
         update mrr_movements m
         set user_id = (select a.user_id from assigned a where a.customer_id = m.customer_id limit 1)
         where m.ctid = any(array(
             (select m.ctid from assigned a
              cross join lateral (
                  select m.ctid, m.user_id from mrr_movements m where m.customer_id = a.customer_id offset 0
              ) m
              where not a.unassigned_only and m.user_id is distinct from a.user_id)
             union all
             (select m.ctid from assigned a
              cross join lateral (
                  select m.ctid from mrr_movements m where m.customer_id = a.customer_id and m.user_id is null offset 0
              ) m
              where a.unassigned_only)
         ))",
    )
    .bind(assigned.iter().map(|(customer, ..)| customer.as_str()).collect::<Vec<_>>())
    .bind(assigned.iter().map(|(_, user, _)| *user).collect::<Vec<_>>())
    .bind(assigned.iter().map(|(.., unassigned_only)| *unassigned_only).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
