//! The MRR ledger: brings what is believed into line with what the versions say.
//!
//! Only what follows from the change is worked out: the movements from the earliest second that it touches
//! to now. For an event in its turn that is the one movement it makes; a late one costs what came after it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;
use uuid::Uuid;

use super::claims::moment;
use super::versions::{self, Since};
use crate::project::movements::{self, CALC_VERSION, History, Movement};

/// A customer's movement: by customer, currency and second there is one.
type Key = (String, String, OffsetDateTime);

/// What the ledger says of one movement.
#[derive(Debug, PartialEq, Eq)]
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

/// Works the customers' ledgers out anew, each from its second on: what is not believed any more is
/// superseded, what is new is recorded. `owners`: the users who are there.
///
/// # Errors
/// Whatever the database says.
pub async fn revise(
    tx: &mut PgConnection,
    since: &Since,
    owners: &HashMap<String, Uuid>,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    if since.is_empty() {
        return Ok(());
    }
    let (mut versions, mut catalogue) = versions::load(tx, since).await?;
    let mut seen = seen_before(tx, since).await?;
    let mut entries = BTreeMap::<Key, Entry>::new();
    for (customer, &at) in since {
        let history = History {
            versions: versions.remove(customer).unwrap_or_default(),
            seen: seen.remove(customer).unwrap_or_default(),
        };
        for movement in movements::movements(history, &mut catalogue, at, now.unix_timestamp()) {
            let key = (customer.clone(), movement.currency.clone(), moment(movement.effective_at));
            entries.insert(key, movement.into());
        }
    }
    let mut outdated = Vec::new();
    for (key, (id, believed)) in believed(tx, since).await? {
        if entries.get(&key) == Some(&believed) {
            entries.remove(&key);
        } else {
            outdated.push(id);
        }
    }
    supersede(tx, &outdated, now).await?;
    record(tx, &entries, owners, now).await
}

/// The currencies in which each customer had revenue before its second.
async fn seen_before(
    tx: &mut PgConnection,
    since: &Since,
) -> Result<HashMap<String, BTreeSet<String>>, sqlx::Error> {
    let rows = sqlx::query(
        "select m.customer_id, m.currency from unnest($1::text[], $2::timestamptz[]) as w (customer_id, since)
         join mrr_movements m on m.customer_id = w.customer_id and m.effective_at < w.since
         where m.superseded_at is null and m.kind = 'new'",
    )
    .bind(since.keys().map(String::as_str).collect::<Vec<_>>())
    .bind(since.values().map(|at| moment(*at)).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let mut seen = HashMap::<String, BTreeSet<String>>::new();
    for row in &rows {
        seen.entry(row.try_get(0)?).or_default().insert(row.try_get(1)?);
    }
    Ok(seen)
}

/// What is believed of each customer from its second on, with the rows' ids.
async fn believed(tx: &mut PgConnection, since: &Since) -> Result<Vec<(Key, (i64, Entry))>, sqlx::Error> {
    let rows = sqlx::query(
        "select m.customer_id, m.currency, m.effective_at, m.id, m.kind, m.delta, m.mrr_before, m.mrr_after,
                m.cause_event_id
         from unnest($1::text[], $2::timestamptz[]) as w (customer_id, since)
         join mrr_movements m on m.customer_id = w.customer_id and m.effective_at >= w.since
         where m.superseded_at is null",
    )
    .bind(since.keys().map(String::as_str).collect::<Vec<_>>())
    .bind(since.values().map(|at| moment(*at)).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let entry = |row: &sqlx::postgres::PgRow| {
        let entry = Entry {
            kind: row.try_get(4)?,
            delta: row.try_get(5)?,
            mrr_before: row.try_get(6)?,
            mrr_after: row.try_get(7)?,
            cause_event_id: row.try_get(8)?,
        };
        Ok(((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?), (row.try_get(3)?, entry)))
    };
    rows.iter().map(entry).collect()
}

async fn supersede(tx: &mut PgConnection, ids: &[i64], now: OffsetDateTime) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    // Another machine's clock may have recorded it in our future.
    sqlx::query("update mrr_movements set superseded_at = greatest($2, recorded_at) where id = any($1)")
        .bind(ids)
        .bind(now)
        .execute(tx)
        .await?;
    Ok(())
}

async fn record(
    tx: &mut PgConnection,
    entries: &BTreeMap<Key, Entry>,
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
    .bind(entries.keys().map(|key| key.0.as_str()).collect::<Vec<_>>())
    .bind(entries.keys().map(|key| owners.get(&key.0).copied()).collect::<Vec<_>>())
    .bind(entries.keys().map(|key| key.1.as_str()).collect::<Vec<_>>())
    .bind(entries.keys().map(|key| key.2).collect::<Vec<_>>())
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

/// Gives the movements of `moved` customers to their users of now (`owners`), those of the past too; and
/// those that nobody has to whoever has the customer: a deleted user may have come back.
///
/// # Errors
/// Whatever the database says.
pub async fn assign(
    tx: &mut PgConnection,
    moved: &BTreeSet<String>,
    owners: &HashMap<String, Uuid>,
) -> Result<(), sqlx::Error> {
    if !moved.is_empty() {
        sqlx::query(
            "update mrr_movements m set user_id = n.user_id
             from unnest($1::text[], $2::uuid[]) as n (customer_id, user_id)
             where m.customer_id = n.customer_id and m.user_id is distinct from n.user_id",
        )
        .bind(moved.iter().map(String::as_str).collect::<Vec<_>>())
        .bind(moved.iter().map(|customer| owners.get(customer).copied()).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
    }
    if !owners.is_empty() {
        sqlx::query(
            "update mrr_movements m set user_id = n.user_id
             from unnest($1::text[], $2::uuid[]) as n (customer_id, user_id)
             where m.customer_id = n.customer_id and m.user_id is null",
        )
        .bind(owners.keys().map(String::as_str).collect::<Vec<_>>())
        .bind(owners.values().copied().collect::<Vec<_>>())
        .execute(tx)
        .await?;
    }
    Ok(())
}
