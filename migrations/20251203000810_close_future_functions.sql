-- Whoever may use a schema may execute its functions, unless that is taken from PUBLIC. Default privileges of one
-- schema only add to those of the role, so taking it back "in schema ingest" (20251126000400) changed nothing. The
-- role's own default is the only place: there PUBLIC loses EXECUTE, and every other schema that exists gets it back
-- by a default of its own, so that functions of the application are what they were. Where the role's default has
-- been closed already, nothing is opened again.

do $$
declare
    other regnamespace;
begin
    if exists (
        select from pg_catalog.pg_default_acl d
        where d.defaclnamespace = 0 and d.defaclobjtype = 'f' and d.defaclrole = current_user::regrole
          and not exists (select from pg_catalog.aclexplode(d.defaclacl) a where a.grantee = 0)
    ) then
        return;
    end if;
    for other in
        select oid from pg_catalog.pg_namespace
        where nspname not in ('ingest', 'information_schema') and not starts_with(nspname, 'pg_')
    loop
        execute format('alter default privileges in schema %s grant execute on functions to public', other);
    end loop;
    alter default privileges revoke execute on functions from public;
end $$;

revoke all on all functions in schema ingest from public, anon, authenticated;
