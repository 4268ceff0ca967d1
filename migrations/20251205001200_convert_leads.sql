-- Leads become members.
--
-- A lead whose address is that of one confirmed user is converted to that user, whichever of the two was there first; its
-- value is what the member has paid since the lead was made, and kept, in the campaign's currency. A lead of somebody who
-- had paid before leads nowhere: whoever is paid by conversions would only have to know addresses. Payments arrive in any
-- order, so a conversion that memberflow made is taken back once an earlier payment becomes known; one that a person made
-- stays.
--
-- A lead without a campaign_id belongs to the campaign that its UTM fields name. Which one that is, is asked of the two rows
-- each time and written nowhere in them: a campaign_id that somebody sets wins, and a campaign made, renamed or deleted later
-- takes or loses its leads whenever that happens.

-- Expressions of built-in functions alone: whoever writes a row needs the right to execute what an index calls.
create index if not exists leads_utm_campaign on public.leads (lower(btrim(utm_campaign))) where campaign_id is null;
create index if not exists marketing_campaigns_utm_key on public.marketing_campaigns
    (coalesce(nullif(lower(btrim(utm_campaign)), ''), nullif(lower(btrim(slug)), ''), lower(btrim(name))));
create index if not exists marketing_campaigns_name_key on public.marketing_campaigns (lower(btrim(name)));

create table if not exists ingest.lead_conversions (
    lead_id uuid primary key references public.leads (id) on delete cascade,
    user_id uuid not null,
    status_before text,
    currency_before text,
    value_before numeric
);
comment on table ingest.lead_conversions is
    'Leads that memberflow converted, and what they said before: what is taken back where an earlier payment becomes known.';
create index if not exists lead_conversions_user on ingest.lead_conversions (user_id);

-- ------------------------------------------------------------------ whose a lead is, and what it is worth

create or replace function ingest.member_with_address(address text) returns uuid
language sql stable set search_path = '' as $$
    select (array_agg(u.user_id))[1] from ingest.users_with_email(array[ingest.folded_email(address)], false) u
    having count(*) = 1
$$;

create or replace function ingest.matching_campaigns(campaign text, source text, medium text) returns uuid[]
language sql stable set search_path = '' as $$
    with fitting as (
        select m.id, true as by_key from public.marketing_campaigns m
        where coalesce(nullif(lower(btrim(m.utm_campaign)), ''), nullif(lower(btrim(m.slug)), ''), lower(btrim(m.name)))
                = nullif(lower(btrim(campaign)), '')
            and (coalesce(btrim(m.utm_source), '') = '' or lower(btrim(m.utm_source)) = lower(btrim(source)))
            and (coalesce(btrim(m.utm_medium), '') = '' or lower(btrim(m.utm_medium)) = lower(btrim(medium)))
        union all
        select m.id, false from public.marketing_campaigns m
        where lower(btrim(m.name)) = nullif(lower(btrim(campaign)), '') and coalesce(btrim(m.utm_campaign), '') = ''
            and (coalesce(btrim(m.utm_source), '') = '' or lower(btrim(m.utm_source)) = lower(btrim(source)))
            and (coalesce(btrim(m.utm_medium), '') = '' or lower(btrim(m.utm_medium)) = lower(btrim(medium)))
    )
    select coalesce(array_agg(id order by id), '{}') from fitting where by_key = (select bool_or(by_key) from fitting)
$$;
comment on function ingest.matching_campaigns(text, text, text) is
    'The campaigns whose utm_campaign (else slug, and where no slug fits, name) is the lead''s, and whose utm_source and utm_medium are where they have them.';

create or replace function ingest.campaign_of(campaign_id uuid, campaign text, source text, medium text) returns uuid
language sql stable set search_path = '' as $$
    select coalesce(campaign_id, (
        select case when cardinality(fitting) = 1 then fitting[1] end
        from ingest.matching_campaigns(campaign, source, medium) as m (fitting)))
$$;
comment on function ingest.campaign_of(uuid, text, text, text) is
    'The campaign that a lead belongs to: the one that somebody set, else the only one that its UTM fields name.';

-- A lead and the campaign that it belongs to may be written at once: one of the two must see the other. Leads share the
-- lock, a campaign that changes what leads find it by takes it alone.
create or replace function ingest.hold_campaigns(alone boolean) returns void
language plpgsql set search_path = '' set lock_timeout = '2s' as $$
begin
    if alone then
        perform pg_advisory_xact_lock(7233189204417001100);
    else
        perform pg_advisory_xact_lock_shared(7233189204417001100);
    end if;
end
$$;

-- Stripe tells whole seconds, so a lead counts from the beginning of its second. A lead without a moment leads nowhere.
create or replace function ingest.lead_second(created_at timestamptz) returns numeric
language sql immutable set search_path = '' as $$
    select floor(extract(epoch from coalesce(created_at, 'infinity')))::numeric
$$;

create or replace function ingest.paid_second(payment jsonb) returns bigint
language sql immutable set search_path = '' as $$
    select coalesce((payment ->> 'paid_at')::bigint, (payment ->> 'created')::bigint)
$$;

create or replace function ingest.lead_came_first(created_at timestamptz, member uuid) returns boolean
language sql stable set search_path = '' as $$
    select not exists (
        select from ingest.customers c join ingest.payments p on p.customer_id = c.id
        where c.user_id = member and p.collected > 0 and ingest.paid_second(p.state) < ingest.lead_second(created_at))
$$;
comment on function ingest.lead_came_first(timestamptz, uuid) is 'Whether the member had paid nothing before the lead was made.';

-- Amounts are whole minor units; a deployment's own decimal columns hold major units.
create or replace function ingest.minor_units_in(currency text, column_type regtype) returns numeric
language sql immutable set search_path = '' as $$
    select case
        when column_type <> 'numeric'::regtype then 1
        when lower(currency) in ('bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv',
                                 'xaf', 'xof', 'xpf') then 1
        else 100
    end
$$;

-- The currency is the campaign's, else the member's main one.
create or replace function ingest.lead_currency(campaign uuid, member uuid, present text) returns text
language sql stable set search_path = '' as $$
    select coalesce((select c.currency from public.marketing_campaigns c where c.id = campaign),
                    (select m.currency from public.user_revenue_metrics m where m.user_id = member),
                    present)
$$;

create or replace function ingest.lead_value(member uuid, in_currency text, column_type regtype, since timestamptz)
returns numeric
language sql stable set search_path = '' as $$
    select coalesce(sum(p.collected - p.refunded - p.disputed), 0) / ingest.minor_units_in(in_currency, column_type)
    from ingest.customers c join ingest.payments p on p.customer_id = c.id
    where c.user_id = member and p.currency = lower(in_currency)
        and ingest.paid_second(p.state) >= ingest.lead_second(since)
$$;
comment on function ingest.lead_value(uuid, text, regtype, timestamptz) is
    'What the member has paid since then and kept, in the units of the column.';

-- ------------------------------------------------------------------------------------- conversions

-- Converts the leads with the members' addresses that came before their first payment, and takes back those that turned out
-- to have come after it. One lead, or all of them.
create or replace function ingest.revise_conversions(members uuid[], one_lead uuid) returns void
language plpgsql set search_path = '' as $$
begin
    with taken_back as (
        delete from ingest.lead_conversions c using public.leads l
        where c.user_id = any (members) and (one_lead is null or c.lead_id = one_lead) and l.id = c.lead_id
            and l.converted_to_user_id = c.user_id and not ingest.lead_came_first(l.created_at, c.user_id)
        returning c.*
    )
    update public.leads l set
        converted_to_user_id = null,
        status = case when l.status = 'converted' then t.status_before else l.status end,
        currency = coalesce(t.currency_before, l.currency),
        conversion_value = t.value_before,
        updated_at = now()
    from taken_back t where l.id = t.lead_id;

    with fitting as (
        select l.id, u.id as user_id, l.status, l.currency, l.conversion_value
        from auth.users u join public.leads l on lower(l.email) = lower(u.email)
        where u.id = any (members) and l.converted_to_user_id is null and (one_lead is null or l.id = one_lead)
            and ingest.member_with_address(u.email) = u.id and ingest.lead_came_first(l.created_at, u.id)
    ), noted as (
        insert into ingest.lead_conversions as c (lead_id, user_id, status_before, currency_before, value_before)
        select * from fitting
        on conflict (lead_id) do update set user_id = excluded.user_id
    )
    update public.leads l set status = 'converted', converted_to_user_id = f.user_id, updated_at = now()
    from fitting f where l.id = f.id;
end
$$;

create or replace function ingest.convert_leads(members uuid[]) returns void
language plpgsql set search_path = '' as $$
begin
    perform ingest.revise_conversions(members, null);
    update public.leads l set currency = w.currency, conversion_value = w.value, updated_at = now()
    from (
        select d.id, c.currency,
               ingest.lead_value(d.converted_to_user_id, c.currency, pg_typeof(d.conversion_value), d.created_at) as value
        from public.leads d
        cross join lateral ingest.lead_currency(
            ingest.campaign_of(d.campaign_id, d.utm_campaign, d.utm_source, d.utm_medium),
            d.converted_to_user_id, d.currency) as c (currency)
        where d.converted_to_user_id = any (members)
    ) w
    where l.id = w.id and (l.currency, l.conversion_value) is distinct from (w.currency, w.value);
end
$$;
comment on function ingest.convert_leads(uuid[]) is
    'The members named have changed: converts the leads that led to them, and gives their leads the value that they have now.';

-- None of the triggers names a column: one that a trigger names could not be altered any more.
create or replace function ingest.convert_lead() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- Who fills in a form does not choose when that was.
    if tg_op = 'INSERT' and current_setting('role', true) in ('anon', 'authenticated')
        and (auth.jwt() -> 'app_metadata' ->> 'role') is distinct from 'admin'
        and (new.created_at is null or new.created_at < now()) then
        new.created_at := now();
    end if;
    if new.campaign_id is null and new.utm_campaign is not null then
        perform ingest.hold_campaigns(false);
    end if;
    if new.converted_to_user_id is not null
        and (tg_op = 'INSERT'
             or (new.converted_to_user_id, new.campaign_id, new.utm_campaign, new.utm_source, new.utm_medium, new.created_at)
                 is distinct from
                (old.converted_to_user_id, old.campaign_id, old.utm_campaign, old.utm_source, old.utm_medium, old.created_at)
        ) then
        new.currency := ingest.lead_currency(
            ingest.campaign_of(new.campaign_id, new.utm_campaign, new.utm_source, new.utm_medium),
            new.converted_to_user_id, new.currency);
        new.conversion_value := ingest.lead_value(
            new.converted_to_user_id, new.currency, pg_typeof(new.conversion_value), new.created_at);
    end if;
    return new;
exception when others then
    if sqlstate like '40%' then raise; end if;
    raise warning 'memberflow: lead % is kept as it is: %', new.id, sqlerrm;
    return new;
end
$$;
comment on function ingest.convert_lead() is 'Gives a converted lead its value. Never makes the statement fail.';
create or replace trigger memberflow_convert_lead before insert or update on public.leads
    for each row execute function ingest.convert_lead();

create or replace function ingest.attach_lead() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if tg_op = 'INSERT' or (lower(new.email), new.created_at) is distinct from (lower(old.email), old.created_at) then
        perform ingest.revise_conversions(
            array_remove(array[ingest.member_with_address(new.email), new.converted_to_user_id], null), new.id);
    end if;
    return null;
exception when others then
    if sqlstate like '40%' then raise; end if;
    raise warning 'memberflow: lead % is kept as it is: %', new.id, sqlerrm;
    return null;
end
$$;
comment on function ingest.attach_lead() is
    'Attaches a lead to the member that it led to, after the insert: what that returns tells nothing of members. Never makes the statement fail.';
create or replace trigger memberflow_attach_lead after insert or update on public.leads
    for each row execute function ingest.attach_lead();

revoke all on all functions in schema ingest from public, anon, authenticated;
