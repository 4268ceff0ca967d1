//! Making the live tables equal, in one transaction and with no more writes than there are differences: so
//! policies, foreign keys, triggers and everything that people have added stay.

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Counts, Rebuild, RebuildError, begin_shadow, catch_up, compare, totals};
use crate::store::audit::{self, Act};
use crate::store::events::not_counted;
use crate::store::tables::{ComputedTable, LEDGER, SHADOW, TABLES, Tables};
use crate::store::{SmsSettings, StoreSettings, locks, sms};

/// Fewer new events than this are left to resolve under the lock.
const LEFT_FOR_LOCK: usize = 500;
/// How often to catch up before the lock; what comes later is resolved under it.
const ROUNDS: usize = 20;

impl Rebuild {
    /// Makes the live tables equal to what all events that have been applied make of them; returns how many rows differed.
    /// The audit log says that `actor` did `act`. Consumers wait for the end of the one transaction that compares and writes.
    ///
    /// # Errors
    /// [`RebuildError`]; nothing was changed then.
    pub async fn repair(&mut self, actor: &str, act: &str, arguments: Value) -> Result<Counts, RebuildError> {
        self.store.recompute_due().await?;
        for _ in 0..ROUNDS {
            if self.catch_up().await? < LEFT_FOR_LOCK {
                break;
            }
        }
        self.compare_ahead().await?;
        let (now, since) = (self.clock().now(), self.since);
        let settings = self.settings().clone();
        let mut tx = begin_shadow(&mut self.connection, "begin").await?;
        locks::lock(&mut tx).await?;
        Tables::Shadow.set_search_path(&mut tx).await?;
        catch_up::all(&mut tx, &settings, since, now).await?;
        let counts = fix(&mut tx, &settings, now).await?;
        let outcome = json!({"differing": counts});
        audit::record(&mut tx, Act { actor, act, arguments, outcome }, now).await?;
        tx.commit().await?;
        Ok(counts)
    }

    /// The work of a first comparison, before anybody has to wait for it.
    async fn compare_ahead(&mut self) -> Result<(), RebuildError> {
        let now = self.clock().now();
        let mut tx = begin_shadow(&mut self.connection, "begin isolation level repeatable read").await?;
        compare::find_lasting(&mut tx, &self.store.settings, now).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Compares, and makes the live tables equal; returns how many rows differed.
pub(super) async fn fix(
    tx: &mut PgConnection,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<Counts, sqlx::Error> {
    compare::find_lasting(tx, settings, now).await?;
    let counts = compare::count(tx).await?;
    write(tx, &settings.sms, now).await?;
    let customers = to_rederive(tx).await?;
    let users = with_other_revenue(tx).await?;
    Tables::Live.set_search_path(tx).await?;
    assign_ledger(tx).await?;
    catch_up::rederive(tx, Tables::Live, settings, now, customers, users).await?;
    Ok(counts)
}

async fn write(
    tx: &mut PgConnection,
    settings: &SmsSettings,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    tx.execute("analyze differences").await?;
    let written = || TABLES.iter().filter(|table| table.name != LEDGER);
    for table in written().rev() {
        tx.execute(AssertSqlSafe(deletion(table))).await?;
    }
    for table in written() {
        if let Some(column) = table.unique {
            tx.execute(AssertSqlSafe(emptying(table, column))).await?;
        }
        tx.execute(AssertSqlSafe(upsert(table))).await?;
    }
    not_counted::repair_flags(tx).await?;
    totals::repair(tx).await?;
    sms::repair(tx, settings, now).await
}

/// "The row `alias` differs, and `this`."
fn differs(table: &ComputedTable, alias: &str, this: &str) -> String {
    let key: Vec<_> = table.key.iter().map(|column| format!("'{column}', {alias}.{column}")).collect();
    format!("d.relation = '{}' and {this} and d.key = jsonb_build_object({})", table.live(), key.join(", "))
}

/// The key is read back into the table's own types, so that the row is found by its index.
fn deletion(table: &ComputedTable) -> String {
    let live = table.live();
    let same_row: Vec<_> = table.key.iter().map(|column| format!("l.{column} = k.{column}")).collect();
    format!(
        "delete from {live} l
         using {SHADOW}.differences d cross join lateral jsonb_populate_record(null::{live}, d.key) k
         where d.relation = '{live}' and d.after is null and {}",
        same_row.join(" and ")
    )
}

/// Values may have to change places, and rows that are not ours may stand in their way.
fn emptying(table: &ComputedTable, column: &str) -> String {
    let differs = differs(table, "s", "d.after is not null");
    let same_row: Vec<_> = table.key.iter().map(|column| format!("s.{column} = l.{column}")).collect();
    format!(
        "update {} l set {column} = null
         from {SHADOW}.{} s join {SHADOW}.differences d on {differs}
         where ({}) and l.{column} is distinct from s.{column} or l.{column} = s.{column} and not ({})",
        table.live(),
        table.name,
        same_row.join(" and "),
        same_row.join(" and "),
    )
}

fn upsert(table: &ComputedTable) -> String {
    let ComputedTable { name, key, columns, insert_columns, .. } = table;
    let all: Vec<_> = key.iter().chain(*columns).chain(*insert_columns).copied().collect();
    let selected: Vec<_> = all.iter().map(|column| format!("s.{column}")).collect();
    let new = |column: &str| match table.manual_flag(column) {
        Some(flag) => format!("{column} = case when l.{flag} then l.{column} else excluded.{column} end"),
        None => format!("{column} = excluded.{column}"),
    };
    let moving = insert_columns.iter().filter(|column| **column == "updated_at");
    let set: Vec<_> = columns.iter().chain(moving).map(|column| new(column)).collect();
    let conflict =
        if set.is_empty() { "nothing".to_owned() } else { format!("update set {}", set.join(", ")) };
    format!(
        "insert into {} as l ({}) select {} from {SHADOW}.{name} s join {SHADOW}.differences d on {}
         on conflict ({}) do {conflict}",
        table.live(),
        all.join(", "),
        selected.join(", "),
        differs(table, "s", "d.after is not null"),
        key.join(", "),
    )
}

/// Customers that are derived once more in the live tables: those whose ledger differs, so that its
/// movements are superseded and not overwritten; and those that the shadow gave to a user for their address and
/// the live tables did not, so that the match is kept as an event like any other.
async fn to_rederive(tx: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select key ->> 'customer_id' from differences where relation = 'public.mrr_movements'
         union
         select key ->> 'id' from differences
         where relation = 'ingest.customers' and after ->> 'matched_by' = 'email'",
    )
    .fetch_all(tx)
    .await
}

/// Users whose revenue differs: what depends on it besides their rows (their leads) follows.
async fn with_other_revenue(tx: &mut PgConnection) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select (key ->> 'user_id')::uuid from differences where relation = 'public.user_revenue_metrics'",
    )
    .fetch_all(tx)
    .await
}

/// Gives the movements of customers whose ledger differs to the users that they have now.
async fn assign_ledger(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    tx.execute(
        "with differing as (
             select distinct key ->> 'customer_id' as id from ingest_rebuild.differences
             where relation = 'public.mrr_movements'
         ), owned as (
             select d.id, u.id as user_id from differing d
             join ingest.customers c using (id) left join auth.users u on u.id = c.user_id
         )
         update public.mrr_movements m set user_id = o.user_id from owned o
         where m.customer_id = o.id and m.user_id is distinct from o.user_id",
    )
    .await?;
    Ok(())
}
