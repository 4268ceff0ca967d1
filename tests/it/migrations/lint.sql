-- What Supabase's linter would say at WARN or ERROR (and, for foreign keys, below that): one row per
-- finding. To be run with an empty search_path, so that policies name their functions in full.

with tables as (
    select c.oid, n.nspname || '.' || c.relname as name, n.nspname, c.relrowsecurity
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname in ('public', 'ingest')
), policies as (
    select *, concat(qual, ' ', with_check) as condition from pg_catalog.pg_policies where schemaname = 'public'
), functions as (
    select p.*, n.nspname from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('public', 'ingest')
)
select 'rls_disabled: ' || name as finding from tables where not relrowsecurity

union all
select 'no_policy: ' || t.name from tables t
where t.nspname = 'public' and not exists (select from pg_catalog.pg_policy p where p.polrelid = t.oid)

union all
select 'no_primary_key: ' || t.name from tables t
where not exists (select from pg_catalog.pg_index i where i.indrelid = t.oid and i.indisprimary)

union all
select format('unindexed_foreign_key: %s %s', t.name, f.conname)
from tables t join pg_catalog.pg_constraint f on f.conrelid = t.oid and f.contype = 'f'
where not exists (
    select from pg_catalog.pg_index i
    where i.indrelid = t.oid and (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey
)

union all
select format('multiple_permissive_policies: %s %s %s', p.tablename, r.role, a.action)
from policies p,
    unnest(p.roles) as r (role),
    unnest(case p.cmd when 'ALL' then array['SELECT', 'INSERT', 'UPDATE', 'DELETE'] else array[p.cmd] end) as a (action)
where p.permissive = 'PERMISSIVE'
group by p.tablename, r.role, a.action having count(*) > 1

union all
select format('auth_rls_initplan: %s %s', tablename, policyname) from policies
where regexp_replace(condition, 'SELECT auth\.\w+\(\)', '', 'g') ~ 'auth\.\w+\(\)'

union all
select format('rls_references_user_metadata: %s %s', tablename, policyname) from policies
where condition ~ 'user_meta_?data'

union all
select format('rls_policy_always_true: %s %s', tablename, policyname) from policies
where cmd <> 'SELECT' and (qual = 'true' or with_check = 'true')

union all
select format('policy_for_anybody: %s %s', tablename, policyname) from policies
where roles && array['public', 'anon']::name[]

union all
select 'duplicate_index: ' || string_agg(indexname, ', ' order by indexname)
from pg_catalog.pg_indexes where schemaname in ('public', 'ingest')
group by schemaname, tablename, replace(indexdef, indexname, '') having count(*) > 1

union all
select 'function_search_path_mutable: ' || proname from functions
where not exists (select from unnest(proconfig) as setting where setting like 'search\_path=%')

union all
select 'security_definer_function_executable: ' || proname from functions
where prosecdef and (has_function_privilege('anon', oid, 'execute') or has_function_privilege('authenticated', oid, 'execute'))

union all
select 'view_not_security_invoker: ' || c.relname
from pg_catalog.pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'v'
    and not coalesce('security_invoker=true' = any (c.reloptions) or 'security_invoker=on' = any (c.reloptions), false)

union all
select 'extension_in_public: ' || extname from pg_catalog.pg_extension where extnamespace = 'public'::regnamespace

union all
select 'foreign_key_to_auth_other_than_id: ' || conname
from pg_catalog.pg_constraint f
where f.contype = 'f' and f.confrelid = 'auth.users'::regclass and f.confkey <> (
    select conkey from pg_catalog.pg_constraint where conrelid = 'auth.users'::regclass and contype = 'p'
)
