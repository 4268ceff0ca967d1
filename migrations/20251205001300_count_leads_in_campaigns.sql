-- Campaigns know what came of them.
--
-- A campaign's counts move by the difference that each changed lead makes, whoever changed it. A member counts once in a
-- campaign, however many leads it left there.

-- What each lead counts for in its campaign at present: the differences are taken against it.
create table if not exists ingest.counted_leads (
    lead_id uuid primary key,
    campaign_id uuid not null,
    member uuid,
    value numeric not null
);
comment on table ingest.counted_leads is 'What each lead of a campaign counts for in the campaign''s sums.';
comment on column ingest.counted_leads.member is
    'Who converted: the user, else the lead itself where people converted it by hand. Outlives the user. Null: nobody yet.';
comment on column ingest.counted_leads.value is 'In minor units of the campaign''s currency; 0 where the lead''s is another.';
create index if not exists counted_leads_member on ingest.counted_leads (campaign_id, member) where member is not null;
create index if not exists counted_leads_campaign on ingest.counted_leads (campaign_id);

create table if not exists ingest.ambiguous_leads (
    lead_id uuid primary key references public.leads (id) on delete cascade,
    campaigns uuid[] not null,
    since timestamptz not null default now()
);
comment on table ingest.ambiguous_leads is 'Leads whose UTM fields several campaigns name: they count in none.';
comment on column ingest.ambiguous_leads.campaigns is 'The campaigns that name them.';
create index if not exists ambiguous_leads_since on ingest.ambiguous_leads (since);

-- Takes the named leads' old contributions from their campaigns' sums and adds the new ones.
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
comment on function ingest.count_changed_leads() is 'Keeps the campaigns'' sums. Never makes the statement fail; ingest.recount_leads() mends what was missed.';
create or replace trigger memberflow_count_new_leads after insert on public.leads
    referencing new table as new_rows for each statement execute function ingest.count_changed_leads();
create or replace trigger memberflow_count_changed_leads after update on public.leads
    referencing old table as old_rows new table as new_rows for each statement execute function ingest.count_changed_leads();
create or replace trigger memberflow_count_deleted_leads after delete on public.leads
    referencing old table as old_rows for each statement execute function ingest.count_changed_leads();

create or replace function ingest.value_campaign() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    spent numeric := new.total_spent * ingest.minor_units_in(new.currency, pg_typeof(new.total_spent));
    revenue numeric := new.revenue_generated * ingest.minor_units_in(new.currency, pg_typeof(new.revenue_generated));
begin
    -- Without leads, or without spending, there is nothing to divide by; ratios end where their column does.
    new.calculated_cpl := case when new.total_leads > 0 then
        spent / new.total_leads / ingest.minor_units_in(new.currency, pg_typeof(new.calculated_cpl)) end;
    new.calculated_roi := case when spent > 0 then least((revenue - spent) / spent, 99999999.9999) end;
    return new;
exception when others then
    raise warning 'memberflow: campaign % is not valued: %', new.id, sqlerrm;
    return new;
end
$$;
comment on function ingest.value_campaign() is 'Cost per lead and return on investment, from the sums beside them.';
create or replace trigger memberflow_value_campaign
    before insert or update on public.marketing_campaigns
    for each row execute function ingest.value_campaign();

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
comment on function ingest.recount_leads() is 'Sets every campaign that has leads to what its leads say.';

revoke all on all functions in schema ingest from public, anon, authenticated;

-- What campaigns said before stays; from here on they move by what changes.
insert into ingest.counted_leads (lead_id, campaign_id, member, value)
select l.id, l.campaign_id,
       case when l.converted_to_user_id is not null then l.converted_to_user_id
            when l.status = 'converted' then l.id end,
       case when lower(l.currency) = lower(m.currency) then
           coalesce(l.conversion_value, 0) * ingest.minor_units_in(m.currency, pg_typeof(l.conversion_value))
       else 0 end
from public.leads l join public.marketing_campaigns m on m.id = l.campaign_id
on conflict do nothing;
-- Leads that only their UTM fields lead to a campaign nobody has counted: the campaigns move by them now.
select ingest.count_leads(array(select id from public.leads where campaign_id is null and utm_campaign is not null));
