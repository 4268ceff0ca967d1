-- What the member list is sorted and searched by, beyond the columns that have an index already.

-- The name as the list shows it: the query has this very expression.
create index if not exists user_profiles_active_name on public.user_profiles (
    lower(nullif(btrim(coalesce(first_name, '') || ' ' || coalesce(last_name, '')), '')), user_id
) where is_active;

-- auth.users is Supabase's own. Supabase Auth makes these two indexes there itself, under these names,
-- and lets nobody else; elsewhere they are ours to make.
do $$
begin
    create index if not exists idx_users_created_at_desc on auth.users (created_at desc);
    create index if not exists idx_users_email on auth.users (email);
exception
    when insufficient_privilege then
        raise notice 'auth.users belongs to Supabase: it keeps its indexes itself';
end $$;

-- Text that stands anywhere in a name or number is found by its trigrams, where the extension can be
-- had. Without it a search reads all of them: slower, but the same.
do $$
declare
    home text := case when to_regnamespace('extensions') is null then 'public' else 'extensions' end;
begin
    execute format('create extension if not exists pg_trgm with schema %I', home);
    select n.nspname into home
    from pg_catalog.pg_extension e join pg_catalog.pg_namespace n on n.oid = e.extnamespace
    where e.extname = 'pg_trgm';
    execute format(
        'create index if not exists user_profiles_active_name_trigrams on public.user_profiles using gin (
            nullif(btrim(coalesce(first_name, '''') || '' '' || coalesce(last_name, '''')), '''') %I.gin_trgm_ops
        ) where is_active', home);
    execute format(
        'create index if not exists user_profiles_active_phone_trigrams on public.user_profiles
            using gin (phone %I.gin_trgm_ops) where is_active', home);
    -- The last of those that Supabase Auth makes itself.
    execute format(
        'create index if not exists idx_users_email_trgm on auth.users using gin (email %I.gin_trgm_ops)', home);
exception
    when feature_not_supported or undefined_file then
        raise notice 'pg_trgm is not available: the member list searches text without an index';
    when insufficient_privilege then
        raise notice 'not all of the indexes for text search could be made: some searches read every member';
end $$;
