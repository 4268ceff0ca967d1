-- Who may do what through Supabase's API.
--
-- anon: nothing. authenticated: a member reads the own rows; an admin reads them all and writes the
-- CRM's. service_role: everything in the tables of this service, by grants and not by luck. An admin
-- is who has the role in app_metadata; user_metadata is writable by the user and proves nothing.
--
-- A table that has policies already is the deployment's to protect: it gets row level security if that
-- was off, and the grants of service_role, and is otherwise left alone.

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

            ('user_activity_metrics', is_own_or_admin, is_admin, is_admin, null),
            ('user_revenue_metrics', is_own_or_admin, is_admin, is_admin, null),
            ('user_revenue_by_currency', is_own_or_admin, is_admin, is_admin, null),
            ('marketing_campaigns', is_admin, is_admin, is_admin, null),
            ('leads', is_admin, is_admin, is_admin, null),
            ('sms_messages', is_admin, is_admin, is_admin, null),
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

-- The service's own schema is out of reach, now and for tables to come; row level security stands
-- behind that, should somebody expose the schema one day.
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
