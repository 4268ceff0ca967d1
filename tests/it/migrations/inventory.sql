-- Everything in public and ingest that a migration can make, one line each.

with schemas as (
    select oid, nspname from pg_catalog.pg_namespace where nspname in ('public', 'ingest')
), relations as (
    select c.*, s.nspname from pg_catalog.pg_class c join schemas s on s.oid = c.relnamespace
)
select format('column %s.%s.%s %s %s default %s -- %s', r.nspname, r.relname, a.attname,
    format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' else 'null' end,
    pg_get_expr(d.adbin, d.adrelid), col_description(r.oid, a.attnum))
from relations r
join pg_catalog.pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
left join pg_catalog.pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
where r.relkind = 'r'
union all
select format('table %s.%s -- %s', nspname, relname, obj_description(oid, 'pg_class')) from relations
where relkind = 'r'
union all
select format('constraint %s.%s %s %s', r.nspname, r.relname, c.conname, pg_get_constraintdef(c.oid))
from relations r join pg_catalog.pg_constraint c on c.conrelid = r.oid
union all
select 'index ' || pg_get_indexdef(oid) from relations where relkind = 'i'
union all
select format('sequence %s.%s', nspname, relname) from relations where relkind = 'S'
union all
select format('trigger %s', pg_get_triggerdef(t.oid)) from relations r
join pg_catalog.pg_trigger t on t.tgrelid = r.oid where not t.tgisinternal
union all
select format('policy %s.%s %s %s %s using %s check %s', schemaname, tablename, policyname, roles, cmd, qual, with_check)
from pg_catalog.pg_policies where schemaname in ('public', 'ingest')
union all
select format('grant %s.%s %s to %s', r.nspname, r.relname, g.privilege_type, g.grantee::regrole)
from relations r cross join aclexplode(r.relacl) as g where g.grantee <> 0
union all
select format('type %s.%s %s', s.nspname, t.typname, e.enumlabel)
from pg_catalog.pg_enum e join pg_catalog.pg_type t on t.oid = e.enumtypid join schemas s on s.oid = t.typnamespace
union all
select format('function %s.%s', s.nspname, p.proname) from pg_catalog.pg_proc p join schemas s on s.oid = p.pronamespace
union all
select format('row security %s.%s', nspname, relname) from relations where relrowsecurity
order by 1
