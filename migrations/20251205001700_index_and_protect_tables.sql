-- Indexes of the application's tables, and who may do what in all of them.
--
-- The last of the files that make the schema: what it says of "all tables" and "all functions" is of everything above.

-- ------------------------------------------------------------------------------------------ indexes

-- Every foreign key (or deleting its target reads the whole table), and what lists are sorted and filtered by, each with the
-- key that makes the order total, so that pages can continue from a row. An index that is there already under another name
-- is not made again: it would only cost writes.
do $$
declare
    wanted record;
begin
    for wanted in
        -- `keys` as PostgreSQL itself prints them, for they are compared.
        select relation, relation || '_' || suffix as name, keys
        from (values
            ('user_profiles', 'user_id_idx', '(user_id)'),
            ('customer_subscriptions', 'user_id_idx', '(user_id)'),
            ('customer_subscriptions', 'membership_tier_id_idx', '(membership_tier_id)'),
            ('customer_subscriptions', 'status_idx', '(status, user_id)'),
            ('customer_subscriptions', 'stripe_customer_id_idx', '(stripe_customer_id)'),
            ('payment_history', 'user_id_idx', '(user_id, created_at DESC)'),
            ('payment_history', 'subscription_id_idx', '(subscription_id)'),
            -- Not unique: a deployment's rows may name one invoice twice.
            ('payment_history', 'stripe_invoice_id_idx', '(stripe_invoice_id)'),
            ('vision_versions', 'user_id_idx', '(user_id)'),
            ('vision_versions', 'parent_id_idx', '(parent_id)'),
            ('journal_entries', 'user_id_idx', '(user_id)'),

            ('user_activity_metrics', 'engagement_status_idx', '(engagement_status, user_id)'),
            ('user_activity_metrics', 'health_status_idx', '(health_status, user_id)'),
            -- Value and id run in the same direction, so that one comparison of both finds the next page,
            -- however many members share a value; read backwards they serve the other direction.
            ('user_activity_metrics', 'last_login_at_idx', '(last_login_at, user_id)'),
            -- The daily refresh takes the oldest first.
            ('user_activity_metrics', 'last_calculated_at_idx', '(last_calculated_at)'),
            ('user_revenue_metrics', 'mrr_idx', '(mrr, user_id)'),
            ('user_revenue_metrics', 'ltv_idx', '(ltv, user_id)'),
            ('user_revenue_metrics', 'total_spent_idx', '(total_spent, user_id)'),

            ('marketing_campaigns', 'status_idx', '(status, created_at DESC)'),
            ('marketing_campaigns', 'created_by_idx', '(created_by)'),
            ('leads', 'status_idx', '(status, created_at DESC, id DESC)'),
            ('leads', 'created_at_idx', '(created_at DESC, id DESC)'),
            ('leads', 'email_idx', '(lower(email))'),
            ('leads', 'session_id_idx', '(session_id)'),
            ('leads', 'campaign_id_idx', '(campaign_id)'),
            ('leads', 'assigned_to_idx', '(assigned_to)'),
            ('leads', 'converted_to_user_id_idx', '(converted_to_user_id)'),
            ('support_tickets', 'status_idx', '(status, created_at DESC, id DESC)'),
            ('support_tickets', 'user_id_idx', '(user_id, created_at DESC)'),
            ('support_tickets', 'assigned_to_idx', '(assigned_to)'),
            ('support_ticket_replies', 'ticket_id_idx', '(ticket_id, created_at)'),
            ('support_ticket_replies', 'user_id_idx', '(user_id)'),
            ('sms_messages', 'lead_id_idx', '(lead_id, created_at DESC)'),
            ('sms_messages', 'ticket_id_idx', '(ticket_id, created_at DESC)'),
            ('sms_messages', 'user_id_idx', '(user_id, created_at DESC)'),
            ('lead_tracking_events', 'session_id_idx', '(session_id, created_at)'),
            ('lead_tracking_events', 'lead_id_idx', '(lead_id, created_at)'),
            ('lead_tracking_events', 'user_id_idx', '(user_id)')
        ) as listed (relation, suffix, keys)
        where not exists (
            select from pg_catalog.pg_indexes i
            where i.schemaname = 'public' and i.tablename = relation
                and (i.indexname = relation || '_' || suffix
                    or split_part(i.indexdef, ' USING ', 2) = 'btree ' || keys)
        )
    loop
        execute format('create index %I on public.%I using btree %s',
            wanted.name, wanted.relation, wanted.keys);
    end loop;
end $$;

-- The member list asks for the subscribers of a tier, and of those with a status: few of them are found without reading all.
create index if not exists customer_subscriptions_tier_status_idx
    on public.customer_subscriptions (membership_tier_id, status, user_id);

-- The name as the member list shows it: the query has this very expression.
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

-- ----------------------------------------------------------------------------------- who may do what

-- Through Supabase's API. anon: nothing. authenticated: a member reads the own rows; an admin reads them all and writes the
-- CRM's. service_role: everything in the tables of this service, by grants and not by luck. An admin is who has the role in
-- app_metadata; user_metadata is writable by the user and proves nothing.
--
-- A table that has policies already is the deployment's to protect: it gets row level security if that was off, and the
-- grants of service_role, and is otherwise left alone, but for the two restrictive policies below.
do $$
declare
    is_own constant text := '(select auth.uid()) = user_id';
    is_admin constant text := '((select auth.jwt()) -> ''app_metadata'' ->> ''role'') = ''admin''';
    is_own_or_admin constant text := is_own || ' or ' || is_admin;
    in_own_ticket constant text :=
        'ticket_id in (select t.id from public.support_tickets t where t.user_id = (select auth.uid()))';
    rule record;
    deployments_own text[];
begin
    select array_agg(distinct tablename::text) into deployments_own
    from pg_catalog.pg_policies
    where schemaname = 'public' and policyname not like 'memberflow: %';

    for rule in
        -- read: rows that authenticated may see; insert: rows it may make; change: rows it may change or
        -- delete. Null: none. insertable: the columns it may fill, null for all.
        select *, relation = any (deployments_own) is true as is_the_deployments
        from (values
            ('membership_tiers', 'true', null, null, null),
            ('user_profiles', is_own_or_admin, null, null, null),
            ('customer_subscriptions', is_own_or_admin, null, null, null),
            ('payment_history', is_own_or_admin, null, null, null),
            -- What members write for themselves is not the CRM's to read.
            ('vision_versions', is_own, null, null, null),
            ('journal_entries', is_own, null, null, null),

            ('user_activity_metrics', is_admin, is_admin, is_admin, null),
            ('user_revenue_metrics', is_own_or_admin, is_admin, is_admin, null),
            ('user_revenue_by_currency', is_own_or_admin, is_admin, is_admin, null),
            ('marketing_campaigns', is_admin, is_admin, is_admin, null),
            ('leads', is_admin, is_admin, is_admin, null),
            ('sms_messages', is_admin, is_admin, is_admin, null),
            ('sms_consents', is_admin, null, null, null),
            ('mrr_movements', is_admin, null, null, null),
            ('lead_tracking_events', is_admin, is_admin, is_admin, null),
            -- Nobody chooses a ticket's number: one taken ahead would make a later ticket collide.
            ('support_tickets', is_own_or_admin,
                is_own || ' and status = ''open'' and assigned_to is null'
                    || ' and resolved_at is null and closed_at is null or ' || is_admin,
                is_admin,
                'user_id, guest_email, subject, description, status, priority, category, assigned_to, updated_at, resolved_at, closed_at'),
            ('support_ticket_replies', in_own_ticket || ' or ' || is_admin,
                is_own || ' and not is_staff and ' || in_own_ticket || ' or ' || is_admin,
                is_admin, null)
        ) as listed (relation, read, "insert", change, insertable)
    loop
        execute format('alter table public.%I enable row level security', rule.relation);
        execute format('grant select, insert, update, delete on public.%I to service_role', rule.relation);
        if rule.is_the_deployments then
            raise notice 'public.% keeps its own policies and grants', rule.relation;
            continue;
        end if;

        -- Supabase used to grant everything on new tables to everybody, truncate included.
        execute format('revoke all on public.%I from public, anon, authenticated', rule.relation);
        execute format('grant select on public.%I to authenticated', rule.relation);
        if rule."insert" is not null then
            execute format('grant insert%s, update%s, delete on public.%I to authenticated',
                ' (' || rule.insertable || ')', ' (' || rule.insertable || ')', rule.relation);
        end if;

        -- One policy per action: several would all be evaluated for every row.
        execute format('drop policy if exists "memberflow: read" on public.%I', rule.relation);
        execute format('create policy "memberflow: read" on public.%I for select to authenticated using (%s)',
            rule.relation, rule.read);
        continue when rule."insert" is null;
        execute format('drop policy if exists "memberflow: insert" on public.%I', rule.relation);
        execute format('create policy "memberflow: insert" on public.%I for insert to authenticated with check (%s)',
            rule.relation, rule."insert");
        execute format('drop policy if exists "memberflow: update" on public.%I', rule.relation);
        execute format('create policy "memberflow: update" on public.%I for update to authenticated using (%s) with check (%s)',
            rule.relation, rule.change, rule.change);
        execute format('drop policy if exists "memberflow: delete" on public.%I', rule.relation);
        execute format('create policy "memberflow: delete" on public.%I for delete to authenticated using (%s)',
            rule.relation, rule.change);
    end loop;
end $$;

-- Who may make a ticket takes its number; nothing tells them how far the numbers are.
revoke all on sequence public.support_ticket_numbers from public, anon, authenticated;
grant usage on sequence public.support_ticket_numbers to authenticated, service_role;
do $$
begin
    execute format('revoke all on sequence %s from public, anon, authenticated',
        pg_get_serial_sequence('public.mrr_movements', 'id'));
end $$;

-- What staff write is not the member's to read. Members and admins are one role of Postgres, and protection is by row: whoever
-- may read the own row of user_activity_metrics reads admin_notes and custom_tags in it. They stay where the application's
-- admins read and write them. Members read their metrics in a view without them; a deployment's own policies grant what they
-- granted less the own row, once there is something in it that was not written for the member.
do $$
declare
    is_admin constant text := '((select auth.jwt()) -> ''app_metadata'' ->> ''role'') = ''admin''';
begin
    drop policy if exists "memberflow: notes" on public.user_activity_metrics;
    execute format('create policy "memberflow: notes" on public.user_activity_metrics as restrictive for select
        to authenticated using (
            user_id is distinct from (select auth.uid())
            or coalesce(admin_notes, '''') = '''' and coalesce(custom_tags, ''{}'') = ''{}''
            or %s)', is_admin);
    -- Whatever another policy grants, internal notes are for admins, and theirs to write.
    drop policy if exists "memberflow: internal notes" on public.support_ticket_replies;
    execute format('create policy "memberflow: internal notes" on public.support_ticket_replies as restrictive for all
        to authenticated using (not is_internal or %1$s) with check (not is_internal or %1$s)', is_admin);
end $$;

-- Not a schema that PostgREST exposes: what is in it serves views alone.
create schema if not exists memberflow;
revoke all on schema memberflow from public, anon;
grant usage on schema memberflow to authenticated, service_role;
comment on schema memberflow is 'Functions behind memberflow''s views. Not for PostgREST.';

create or replace function memberflow.own_activity_metrics() returns table (
    user_id uuid, profile_completion_percent integer, vision_count integer, vision_refinement_count integer,
    audio_generated_count integer, journal_entry_count integer, vision_board_image_count integer,
    last_login_at timestamptz, total_logins integer, days_since_last_login integer, s3_file_count integer,
    total_storage_mb numeric, tokens_used bigint, tokens_remaining bigint, engagement_status text, health_status text,
    last_calculated_at timestamptz, updated_at timestamptz
)
language sql stable security definer set search_path = '' as $$
    select m.user_id, m.profile_completion_percent::integer, m.vision_count::integer, m.vision_refinement_count::integer,
           m.audio_generated_count::integer, m.journal_entry_count::integer, m.vision_board_image_count::integer,
           m.last_login_at::timestamptz, m.total_logins::integer, m.days_since_last_login::integer,
           m.s3_file_count::integer, m.total_storage_mb::numeric, m.tokens_used::bigint, m.tokens_remaining::bigint,
           m.engagement_status::text, m.health_status::text, m.last_calculated_at::timestamptz, m.updated_at::timestamptz
    from public.user_activity_metrics m where m.user_id = (select auth.uid())
$$;
comment on function memberflow.own_activity_metrics() is
    'The row of whoever asks, without admin_notes and custom_tags. Reads past row level security, which hides the row.';
revoke all on function memberflow.own_activity_metrics() from public, anon;
grant execute on function memberflow.own_activity_metrics() to authenticated, service_role;

create or replace view public.own_activity_metrics with (security_invoker = true) as
    select * from memberflow.own_activity_metrics();
revoke all on public.own_activity_metrics from public, anon, authenticated;
grant select on public.own_activity_metrics to authenticated, service_role;
comment on view public.own_activity_metrics is
    'A member''s own metrics: user_activity_metrics without what staff write.';

-- ------------------------------------------------------------------------------- the private schema

-- Out of reach, now and for tables to come; row level security stands behind that, should somebody expose the schema one day.
revoke all on schema ingest from public, anon, authenticated;
revoke all on all tables in schema ingest from public, anon, authenticated;
revoke all on all sequences in schema ingest from public, anon, authenticated;
alter default privileges in schema ingest revoke all on tables from public, anon, authenticated;
alter default privileges in schema ingest revoke all on sequences from public, anon, authenticated;
alter default privileges in schema ingest revoke all on functions from public, anon, authenticated;

do $$
declare
    relation regclass;
begin
    for relation in
        select oid from pg_catalog.pg_class
        where relnamespace = 'ingest'::regnamespace and relkind in ('r', 'p') and not relrowsecurity
    loop
        execute format('alter table %s enable row level security', relation);
    end loop;
end $$;

-- Whoever may use a schema may execute its functions, unless that is taken from PUBLIC. Default privileges of one schema only
-- add to those of the role, so taking it back "in schema ingest" changes nothing. The role's own default is the only place:
-- there PUBLIC loses EXECUTE, and every other schema that exists gets it back by a default of its own, so that functions of
-- the application are what they were. Where the role's default has been closed already, nothing is opened again.
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
