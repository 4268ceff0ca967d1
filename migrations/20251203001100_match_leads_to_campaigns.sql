-- Leads without a campaign_id belong to the campaign that their UTM fields name.
--
-- The application writes utm_campaign, utm_source and utm_medium and leaves campaign_id null, so its campaigns stayed at
-- zero. Which campaign such a lead belongs to is asked of the two rows each time and written nowhere in them: a
-- campaign_id that somebody sets wins, and a campaign made, renamed or deleted later takes or loses its leads whenever
-- that happens.

-- Expressions of built-in functions alone: whoever writes a row needs the right to execute what an index calls.
create index if not exists leads_utm_campaign on public.leads (lower(btrim(utm_campaign))) where campaign_id is null;
create index if not exists marketing_campaigns_utm_key on public.marketing_campaigns
    (coalesce(nullif(lower(btrim(utm_campaign)), ''), nullif(lower(btrim(slug)), ''), lower(btrim(name))));
create index if not exists marketing_campaigns_name_key on public.marketing_campaigns (lower(btrim(name)));
create index if not exists counted_leads_campaign on ingest.counted_leads (campaign_id);

create table if not exists ingest.ambiguous_leads (
    lead_id uuid primary key references public.leads (id) on delete cascade,
    campaigns uuid[] not null,
    since timestamptz not null default now()
);
comment on table ingest.ambiguous_leads is 'Leads whose UTM fields several campaigns name: they count in none.';
comment on column ingest.ambiguous_leads.campaigns is 'The campaigns that name them.';
alter table ingest.ambiguous_leads enable row level security;
revoke all on ingest.ambiguous_leads from public, anon, authenticated;

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

create or replace function ingest.count_leads(changed uuid[]) returns void
language plpgsql set search_path = '' as $$
begin
    -- In one order, so that two who change leads of several campaigns cannot wait for each other.
    perform from public.marketing_campaigns m
    where m.id in (select campaign_id from ingest.counted_leads where lead_id = any (changed)
                   union
                   select ingest.campaign_of(campaign_id, utm_campaign, utm_source, utm_medium)
                   from public.leads where id = any (changed))
    order by m.id for no key update;

    with placed as materialized (
        select l.id, l.status, l.converted_to_user_id, l.currency, l.conversion_value,
               case when l.campaign_id is not null then array[l.campaign_id]
                    else ingest.matching_campaigns(l.utm_campaign, l.utm_source, l.utm_medium) end as campaigns
        from public.leads l where l.id = any (changed)
    ), now_counts as (
        select l.id as lead_id, m.id as campaign_id,
               -- A member who is gone stays counted as the one it was.
               case when l.converted_to_user_id is not null then l.converted_to_user_id
                    when l.status = 'converted' then coalesce(c.member, l.id) end as member,
               case when lower(l.currency) = lower(m.currency) then
                   coalesce(l.conversion_value, 0) * ingest.minor_units_in(m.currency, pg_typeof(l.conversion_value))
               else 0 end as value
        from placed l
        join public.marketing_campaigns m on cardinality(l.campaigns) = 1 and m.id = l.campaigns[1]
        left join ingest.counted_leads c on c.lead_id = l.id
    ), counted as (
        select lead_id, campaign_id, member, value from ingest.counted_leads where lead_id = any (changed)
    ), touched as (
        select campaign_id, member from now_counts where member is not null
        union
        select campaign_id, member from counted where member is not null
    ), others as (
        select campaign_id, member, o.value from touched join ingest.counted_leads o using (campaign_id, member)
        where o.lead_id <> all (changed)
    ), difference as (
        select campaign_id, sum(leads) as leads, sum(conversions) as conversions, sum(value) as value
        from (
            select campaign_id, 1 as leads, 0 as conversions, 0::numeric as value from now_counts
            union all
            select campaign_id, -1, 0, 0 from counted
            union all
            select campaign_id, 0, 1, max(value) from (
                select campaign_id, member, value from now_counts where member is not null
                union all select * from others
            ) after group by campaign_id, member
            union all
            select campaign_id, 0, -1, -max(value) from (
                select campaign_id, member, value from counted where member is not null
                union all select * from others
            ) before group by campaign_id, member
        ) parts
        group by campaign_id
    ), gone as (
        delete from ingest.counted_leads
        where lead_id = any (changed) and lead_id not in (select lead_id from now_counts)
    ), kept as (
        insert into ingest.counted_leads as c (lead_id, campaign_id, member, value)
        select lead_id, campaign_id, member, value from now_counts
        on conflict (lead_id) do update set
            campaign_id = excluded.campaign_id, member = excluded.member, value = excluded.value
    ), cleared as (
        delete from ingest.ambiguous_leads a using placed p where p.id = a.lead_id and cardinality(p.campaigns) < 2
    ), flagged as (
        insert into ingest.ambiguous_leads as a (lead_id, campaigns)
        select id, campaigns from placed where cardinality(campaigns) > 1
        on conflict (lead_id) do update set campaigns = excluded.campaigns where a.campaigns <> excluded.campaigns
    )
    update public.marketing_campaigns m set
        total_leads = coalesce(m.total_leads, 0) + d.leads,
        total_conversions = coalesce(m.total_conversions, 0) + d.conversions,
        revenue_generated = coalesce(m.revenue_generated, 0)
            + d.value / ingest.minor_units_in(m.currency, pg_typeof(m.revenue_generated))
    from difference d
    where m.id = d.campaign_id and (d.leads, d.conversions, d.value) <> (0, 0, 0);
end
$$;

create or replace function ingest.count_changed_leads() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if tg_op = 'DELETE' then
        perform ingest.count_leads((
            select array_agg(id) from old_rows where campaign_id is not null or utm_campaign is not null));
    elsif tg_op = 'INSERT' then
        perform ingest.count_leads((
            select array_agg(id) from new_rows where campaign_id is not null or utm_campaign is not null));
    else
        perform ingest.count_leads((
            select array_agg(n.id) from new_rows n join old_rows o on o.id = n.id
            where (n.campaign_id, n.utm_campaign, n.utm_source, n.utm_medium,
                   n.status, n.converted_to_user_id, n.conversion_value, n.currency)
                is distinct from
                  (o.campaign_id, o.utm_campaign, o.utm_source, o.utm_medium,
                   o.status, o.converted_to_user_id, o.conversion_value, o.currency)));
    end if;
    return null;
exception when others then
    -- A deadlock: whoever changed the leads tries again.
    if sqlstate like '40%' then raise; end if;
    raise warning 'memberflow: campaigns do not count this change of leads yet: %', sqlerrm;
    return null;
end
$$;

-- A campaign that leads find otherwise than before, or whose currency is another: its leads, and those that it had, are
-- placed, valued and counted again.
create or replace function ingest.value_leads_of_campaign() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    affected uuid[];
begin
    if tg_op = 'UPDATE'
        and (new.currency, new.utm_campaign, new.utm_source, new.utm_medium, new.slug, new.name)
            is not distinct from (old.currency, old.utm_campaign, old.utm_source, old.utm_medium, old.slug, old.name) then
        return null;
    end if;
    perform ingest.hold_campaigns(true);
    affected := array(
        select id from public.leads
        where campaign_id is null and lower(btrim(utm_campaign)) = any (array[
            lower(btrim(old.utm_campaign)), lower(btrim(old.slug)), lower(btrim(old.name)),
            lower(btrim(new.utm_campaign)), lower(btrim(new.slug)), lower(btrim(new.name))])
        union
        select lead_id from ingest.counted_leads where campaign_id in (old.id, new.id));
    perform ingest.convert_leads(array(
        select distinct converted_to_user_id from public.leads
        where id = any (affected) and converted_to_user_id is not null));
    perform ingest.count_leads(affected);
    return null;
exception when others then
    if sqlstate like '40%' then raise; end if;
    raise warning 'memberflow: the leads of campaign % are not counted again yet: %', coalesce(new.id, old.id), sqlerrm;
    return null;
end
$$;
create or replace trigger memberflow_value_leads_of_campaign after insert or update or delete on public.marketing_campaigns
    for each row execute function ingest.value_leads_of_campaign();

create or replace function ingest.recount_leads() returns void
language plpgsql set search_path = '' as $$
begin
    update public.marketing_campaigns m set total_leads = 0, total_conversions = 0, revenue_generated = 0
    where m.id in (select ingest.campaign_of(campaign_id, utm_campaign, utm_source, utm_medium) from public.leads
                   union select campaign_id from ingest.counted_leads);
    delete from ingest.counted_leads;
    perform ingest.count_leads(array(select id from public.leads where campaign_id is not null or utm_campaign is not null));
end
$$;

revoke all on all functions in schema ingest from public, anon, authenticated;

-- Nobody has counted these: the campaigns move by them now.
select ingest.count_leads(array(select id from public.leads where campaign_id is null and utm_campaign is not null));
