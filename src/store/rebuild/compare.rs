//! What differs between the live tables and the shadow tables.

use serde::Serialize;
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, Executor as _, FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Counts, Rebuild, RebuildError, begin_shadow, catch_up, rows, subset, totals};
use crate::project::supabase::ActivityTables;
use crate::project::supabase::tables::Metric;
use crate::store::events::not_counted;
use crate::store::tables::{ComputedTable, TABLES, Tables};
use crate::store::{StoreSettings, sms};

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, utoipa::ToSchema)]
pub struct RowDifference {
    /// The place among the differences found.
    #[serde(skip)]
    pub id: i64,
    /// The live table.
    #[sqlx(rename = "relation")]
    pub table: String,
    /// What the row is found by.
    #[schema(value_type = HashMap<String, Value>)]
    #[sqlx(json)]
    pub key: Map<String, Value>,
    /// The live row's columns that differ; nothing: there is no such row.
    #[sqlx(json(nullable))]
    #[schema(value_type = Option<HashMap<String, Value>>)]
    pub before: Option<Map<String, Value>>,
    /// The same columns as derived from the inbox; nothing: there should be no such row.
    #[sqlx(json(nullable))]
    #[schema(value_type = Option<HashMap<String, Value>>)]
    pub after: Option<Map<String, Value>>,
}

impl Rebuild {
    /// Compares, at one moment, all tables as all events that have been applied by then make them. Changes
    /// nothing and keeps nobody waiting.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn compare(&mut self) -> Result<Counts, RebuildError> {
        // As `serve` does once a minute: until then the live tables rightly say something else.
        self.store.recompute_due().await?;
        let (now, since) = (self.clock().now(), self.since);
        // An event and what it changed are committed together, so any snapshot holds both or neither.
        let mut tx = begin_shadow(&mut self.connection, "begin isolation level repeatable read").await?;
        catch_up::all(&mut tx, &self.store.settings, since, now).await?;
        find_lasting(&mut tx, &self.store.settings, now).await?;
        let counts = count(&mut tx).await?;
        tx.commit().await?;
        Ok(counts)
    }

    /// The differences found last, after the one with this id.
    ///
    /// # Errors
    /// [`RebuildError`]
    pub async fn differences(&mut self, after: i64, limit: i64) -> Result<Vec<RowDifference>, RebuildError> {
        let differences: Vec<RowDifference> = sqlx::query_as(
            "select id, relation, key, before, after from ingest_rebuild.differences
             where id > $1 order by id limit $2",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(&mut self.connection)
        .await?;
        Ok(differences.into_iter().map(RowDifference::without_equal_columns).collect())
    }
}

impl RowDifference {
    fn without_equal_columns(mut self) -> Self {
        if let (Some(before), Some(after)) = (&mut self.before, &mut self.after) {
            before.retain(|column, value| after.get(column) != Some(value));
            after.retain(|column, _| before.contains_key(column));
        }
        self
    }
}

/// Finds the differences. Those that are new since the last comparison may come from what changed without an
/// event after their rows were derived (a tier, a user, the clock): these rows are derived once more.
pub(super) async fn find_lasting(
    tx: &mut PgConnection,
    settings: &StoreSettings,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    find(tx, settings).await?;
    let (customers, users) = suspects(tx).await?;
    if !customers.is_empty() || !users.is_empty() {
        catch_up::rederive(tx, Tables::Shadow, settings, now, customers, users).await?;
        find(tx, settings).await?;
    }
    tx.execute(
        "truncate known_differences;
         insert into known_differences overriding system value select * from differences",
    )
    .await?;
    Ok(())
}

async fn find(tx: &mut PgConnection, settings: &StoreSettings) -> Result<(), sqlx::Error> {
    align(tx).await?;
    leave_to_the_application(tx, &settings.decoding.tables).await?;
    tx.execute("truncate differences").await?;
    let is_subset: bool = sqlx::query_scalar("select exists (select from scope)").fetch_one(&mut *tx).await?;
    for table in &TABLES {
        let live = if is_subset { rows::of_subset(table) } else { rows::all(table) };
        tx.execute(AssertSqlSafe(statement(table, &live))).await?;
    }
    not_counted::compare_flags(tx).await?;
    sms::compare(tx).await?;
    if !is_subset {
        totals::compare(tx).await?;
    }
    subset::retain_differences(tx).await
}

/// How many rows differ.
pub(super) async fn count(tx: &mut PgConnection) -> Result<Counts, sqlx::Error> {
    let counts: Vec<(String, i64)> =
        sqlx::query_as("select relation, count(*) from differences group by relation").fetch_all(tx).await?;
    Ok(counts.into_iter().collect())
}

/// The statement that notes how `table` differs from these `live_rows`, a query.
fn statement(table: &ComputedTable, live_rows: &str) -> String {
    let ComputedTable { name, key, columns, row_filter, ownership_filter, .. } = table;
    let live = table.live();
    let each = |names: &[&str], one: &dyn Fn(&str) -> String, between: &str| {
        names.iter().map(|name| one(name)).collect::<Vec<_>>().join(between)
    };
    let on = each(key, &|column| format!("l.{column} = s.{column}"), " and ");
    let keys = each(key, &|column| format!("coalesce(l.{column}, s.{column}) as {column}"), ", ");
    let named = each(key, &|column| format!("'{column}', k.{column}"), ", ");
    let derived = |column: &str| match table.manual_flag(column) {
        Some(flag) => format!("case when l.{flag} then l.{column} else s.{column} end"),
        None => format!("s.{column}"),
    };
    let before = each(columns, &|column| format!("'{column}', l.{column}"), ", ");
    let after = each(columns, &|column| format!("'{column}', {}", derived(column)), ", ");
    let differs = each(columns, &|column| format!("or l.{column} is distinct from {}", derived(column)), " ");
    let first = key[0];
    format!(
        "insert into differences (relation, key, before, after)
         select '{live}', jsonb_build_object({named}),
                case when l.{first} is not null then jsonb_build_object({before}) end,
                case when s.{first} is not null then jsonb_build_object({after}) end
         from ({live_rows}) l full join (select * from {name} where {row_filter}) s on {on}
         cross join lateral (select {keys}) as k
         where (l.{first} is null or s.{first} is null {differs}) and ({ownership_filter})"
    )
}

/// Ids that are chosen when a row is written first, and not derived: the shadow's rows take those of their
/// live counterparts. Nor does anything stand in the live tables about a user who is not there.
async fn align(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    tx.execute(ALIGN).await?;
    Ok(())
}

/// Counts that no table feeds are the application's: the shadow's rows say what the live ones do.
async fn leave_to_the_application(tx: &mut PgConnection, tables: &ActivityTables) -> Result<(), sqlx::Error> {
    let unfed = Metric::ALL.into_iter().filter(|metric| !tables.feed(*metric)).map(Metric::column);
    let set: Vec<_> = unfed.map(|column| (format!("s.{column}"), format!("l.{column}"), column)).collect();
    if set.is_empty() {
        return Ok(());
    }
    let sets: Vec<_> = set.iter().map(|(_, live, column)| format!("{column} = {live}")).collect();
    let differ: Vec<_> =
        set.iter().map(|(shadow, live, _)| format!("{shadow} is distinct from {live}")).collect();
    let statement = format!(
        "update user_activity_metrics s set {} from public.user_activity_metrics l
         where l.user_id = s.user_id and ({})",
        sets.join(", "),
        differ.join(" or ")
    );
    tx.execute(AssertSqlSafe(statement)).await?;
    Ok(())
}

const ALIGN: &str = "
    delete from payment_history m
    where user_id is not null and not exists (select from auth.users u where u.id = m.user_id);
    delete from customer_subscriptions m
    where user_id is not null and not exists (select from auth.users u where u.id = m.user_id);
    delete from user_revenue_metrics m
    where user_id is not null and not exists (select from auth.users u where u.id = m.user_id);
    delete from user_revenue_by_currency m
    where user_id is not null and not exists (select from auth.users u where u.id = m.user_id);
    delete from user_activity_metrics m
    where user_id is not null and not exists (select from auth.users u where u.id = m.user_id);
    update mrr_movements m set user_id = null
    where user_id is not null and not exists (select from auth.users u where u.id = m.user_id);

    update payment_history h set subscription_id = l.id
    from customer_subscriptions s
    join public.customer_subscriptions l using (stripe_subscription_id)
    where h.subscription_id = s.id and l.id <> s.id;
    update customer_subscriptions s set id = l.id
    from public.customer_subscriptions l
    where l.stripe_subscription_id = s.stripe_subscription_id and l.id <> s.id;

    -- A payment's row that existed before memberflow: the one that was matched to it, else one that
    -- says the same already, else the one that would be taken.
    with adopted as (
        select distinct on (there.id) p.id, p.history_id, there.id as there_id
        from payment_history h join payments p on p.history_id = h.id
        left join ingest.payments t on t.id = p.id
        cross join lateral (
            select l.id,
                   l.id is not distinct from t.history_id as taken,
                   (l.user_id, l.amount, l.status, l.created_at)
                       is not distinct from (h.user_id, h.amount, h.status, h.created_at) as same
            from public.payment_history l
            where (l.id = t.history_id or l.stripe_invoice_id = h.stripe_invoice_id
                or l.stripe_payment_intent_id = h.stripe_payment_intent_id)
              and not exists (select from payments other where other.history_id = l.id)
            order by taken desc, same desc, l.created_at, l.id
            limit 1
        ) as there
        where not exists (select from public.payment_history mine where mine.id = h.id)
        order by there.id, there.taken desc, p.id
    ), rows as (
        update payment_history h set id = a.there_id from adopted a where h.id = a.history_id
    )
    update payments p set history_id = a.there_id from adopted a where p.id = a.id;

    -- Which row a payment would have is open as long as it has none.
    update payments p set history_id = l.history_id
    from ingest.payments l
    where l.id = p.id and l.history_id <> p.history_id and p.id not like 'found/%'
      and not exists (select from payment_history h where h.id = p.history_id)";

/// The customers and users whose rows differ in a way that they did not at the last comparison.
async fn suspects(tx: &mut PgConnection) -> Result<(Vec<String>, Vec<Uuid>), sqlx::Error> {
    tx.execute("analyze differences").await?;
    let customers = sqlx::query_scalar(SUSPECT_CUSTOMERS).fetch_all(&mut *tx).await?;
    let users = sqlx::query_scalar(SUSPECT_USERS).fetch_all(tx).await?;
    Ok((customers, users))
}

const SUSPECT_CUSTOMERS: &str = "
    with fresh as (
        select relation, key, before, after from differences
        except
        select relation, key, before, after from known_differences
    ), named (relation, id) as (
        select relation, coalesce(key ->> 'customer_id', key ->> 'id', key ->> 'subject') from fresh
        where relation in ('ingest.customers', 'ingest.customer_revenue', 'ingest.parked', 'ingest.payments',
                           'public.payment_history', 'public.mrr_movements')
        union
        select relation, coalesce(after, before) ->> 'stripe_customer_id' from fresh
        where relation = 'public.customer_subscriptions'
    )
    select c.id from named n join customers c using (id)
    union
    select f.customer_id from named n join stripe_facts f using (id)
    where n.relation = 'ingest.parked' and f.customer_id is not null
    union
    select p.customer_id from named n join payments p using (id)
    where n.relation in ('ingest.parked', 'ingest.payments')
    union
    select p.customer_id from named n join payments p on p.history_id::text = n.id
    where n.relation = 'public.payment_history'";

const SUSPECT_USERS: &str = "
    select distinct (key ->> 'user_id')::uuid from (
        select relation, key, before, after from differences
        except
        select relation, key, before, after from known_differences
    ) as fresh
    where relation in ('public.user_revenue_metrics', 'public.user_revenue_by_currency',
                       'public.user_activity_metrics')";
