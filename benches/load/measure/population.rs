//! A database full of members: one member's events go through the service, and SQL copies all rows written for it.
//!
//! It knows no table: whatever holds the first member's tag is copied, with another tag.

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::client;
use super::service::{Queue, Service};
use super::traffic::{TAG_SQL, Traffic, tag};
use crate::durable::durable;
use crate::support::database::TestDatabase;

/// Copied at once.
const PAGE: u64 = 50_000;

/// Every table in which anything about a member may stand.
const TABLES: &str = "
    select format('%I.%I', schemaname, tablename) from pg_tables
    where schemaname in ('ingest', 'public', 'auth')
      and tablename not in ('schema_migrations', 'membership_tiers')
    order by 1";

/// The columns of a table that are written, each with how its copy is made of it. Ids of Stripe's, accounts and addresses
/// have the tag in them; other unique names are new, and the same wherever they stand.
const COLUMNS: &str = r"
    select quote_ident(attname),
           case
               when t.typname = 'uuid' then format(
                   'case when %1$s::text like ''%%'' || $3 then replace(%1$s::text, $3, copies.tag)::uuid
                         when exists (select from public.membership_tiers tier where tier.id = %1$s) then %1$s
                         else md5(%1$s::text || copies.tag)::uuid end', value)
               when t.typcategory = 'S' or t.typname in ('json', 'jsonb', '_text') then
                   format('replace(%s::text, $3, copies.tag)::%s', value, format_type(t.oid, null))
               else value
           end
    from pg_attribute a
    cross join lateral format('prototype.%I', attname) as value
    join pg_type t on t.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = '' and attidentity = ''
      and coalesce(pg_get_expr(d.adbin, d.adrelid), '') not like 'nextval(%'
    order by attnum";

/// A database without members.
pub async fn empty() -> TestDatabase {
    durable(TestDatabase::migrated().await).await
}

/// A database with so many members, each of whom has had so many events.
pub async fn populated(members: u64, history: u64) -> (TestDatabase, Traffic) {
    let database = empty().await;
    let traffic = Traffic::of(members, history);
    sign_up_prototype(&database.pool).await;
    let service = Service::start(&database, Queue::Postgres).await;
    let prototype = traffic.prototype();
    let (before, count) = (service.applied().await, prototype.len() as u64);
    client::flood(service.address(), prototype, 1).await;
    service.wait_until_applied(before + count).await;
    drop(service);
    copy(&database.pool, members).await;
    (database, traffic)
}

/// Without the events of triggers: only the traffic is measured.
async fn sign_up_prototype(pool: &PgPool) {
    let user = Traffic::prototype_user();
    let sign_up = format!(
        "set session_replication_role = replica;
         insert into public.membership_tiers (name, tier_type, stripe_price_id)
         values ('Pro', 'pro', 'price_1LProMonthly4900');
         insert into auth.users (instance_id, id, aud, role, email, email_confirmed_at, created_at, updated_at)
         values ('00000000-0000-0000-0000-000000000000', '{user}', 'authenticated', 'authenticated',
                 'm{tag}@bench.example', now(), now() - interval '100 days', now());
         insert into public.user_profiles (id, user_id, first_name, last_name, email, is_active, is_draft)
         values ('be9c0000-0000-4000-8002-{tag}', '{user}', 'Anna', 'Berger {tag}', 'm{tag}@bench.example', true, false);
         reset session_replication_role",
        tag = tag(0)
    );
    sqlx::raw_sql(AssertSqlSafe(sign_up)).execute(&mut *pool.acquire().await.unwrap()).await.unwrap();
}

async fn copy(pool: &PgPool, members: u64) {
    let tables: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(pool).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("set session_replication_role = replica").execute(&mut *connection).await.unwrap();
    for table in &tables {
        copy_rows(&mut connection, table, members).await;
    }
    sqlx::query("reset session_replication_role").execute(&mut *connection).await.unwrap();
    // As autovacuum would leave it, which therefore has nothing to do while the clock runs.
    sqlx::query("vacuum (analyze)").execute(&mut *connection).await.unwrap();
    sqlx::query("checkpoint").execute(&mut *connection).await.unwrap();
}

async fn copy_rows(connection: &mut PgConnection, table: &str, members: u64) {
    let columns: Vec<(String, String)> =
        sqlx::query_as(COLUMNS).bind(table).fetch_all(&mut *connection).await.unwrap();
    let (names, copies): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let copy = format!(
        "with prototype as materialized (select * from {table} t where t::text like '%' || $3 || '%')
         insert into {table} ({}) select {}
         from (select {TAG_SQL} as tag from generate_series($1::bigint, $2::bigint) n) copies, prototype",
        names.join(", "),
        copies.join(", ")
    );
    let mut first = 1;
    while first <= members {
        let last = members.min(first + PAGE - 1);
        let copied = sqlx::query(AssertSqlSafe(copy.clone()));
        let copied =
            copied.bind(i64::try_from(first).unwrap()).bind(i64::try_from(last).unwrap()).bind(tag(0));
        if copied.execute(&mut *connection).await.unwrap().rows_affected() == 0 {
            return;
        }
        first = last + 1;
    }
}
