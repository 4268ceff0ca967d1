//! Everything that a database is made of, one line each: to see whether it is as it was.

use sqlx::PgPool;

const EVERYTHING: &str = "
    with schemas as (
        select oid, nspname, nspacl, nspowner from pg_namespace
        where nspname not like 'pg\\_%' and nspname <> 'information_schema'
    ), relations as (
        select c.*, s.nspname from pg_class c join schemas s on s.oid = c.relnamespace
    )
    select format('schema %s %s %s', nspname, nspowner::regrole, nspacl) from schemas
    union all
    select format('relation %s.%s %s %s %s %s', nspname, relname, relkind, relowner::regrole, relacl, relrowsecurity)
    from relations where relkind <> 't'
    union all
    select format('column %s.%s.%s %s %s', r.nspname, r.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attacl)
    from relations r join pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
    where r.relkind <> 't'
    union all
    select format('trigger %s.%s %s %s', r.nspname, r.relname, pg_get_triggerdef(t.oid), t.tgenabled)
    from relations r join pg_trigger t on t.tgrelid = r.oid where not t.tgisinternal
    union all
    select format('function %s.%s(%s) %s %s %s %s %s', s.nspname, p.proname, pg_get_function_identity_arguments(p.oid),
                  p.proowner::regrole, p.proacl, p.prosecdef, p.proconfig, md5(p.prosrc))
    from pg_proc p join schemas s on s.oid = p.pronamespace
    union all
    select format('policy %s.%s.%s', schemaname, tablename, policyname) from pg_policies
    union all
    select format('default privileges %s %s %s %s', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl)
    from pg_default_acl
    order by 1";

pub async fn inventory(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(EVERYTHING).fetch_all(pool).await.unwrap()
}
