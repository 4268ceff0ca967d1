-- Leads become members, and campaigns know what came of them.
--
-- A lead whose address is that of one confirmed user is converted to that user, whichever of the two was
-- there first; its value is what the member has paid and kept (ltv), in the campaign's currency. A campaign's
-- counts move by the difference that each changed lead makes, whoever changed it. A member counts once in a
-- campaign, however many leads it left there.

-- None of the triggers names a column: one that a trigger names could not be altered any more.

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
alter table ingest.counted_leads enable row level security;
revoke all on ingest.counted_leads from public, anon, authenticated;

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

create or replace function ingest.member_with_address(address text) returns uuid
language sql stable set search_path = '' as $$
    select (array_agg(u.id))[1] from auth.users u
    where u.instance_id = '00000000-0000-0000-0000-000000000000' and lower(u.email) = lower(address)
      and u.email_confirmed_at is not null
    having count(*) = 1
$$;

-- What the lead is worth: the currency is the campaign's, else the member's main one.
create or replace function ingest.lead_currency(campaign uuid, member uuid, present text) returns text
language sql stable set search_path = '' as $$
    select coalesce((select c.currency from public.marketing_campaigns c where c.id = campaign),
                    (select m.currency from public.user_revenue_metrics m where m.user_id = member),
                    present)
$$;

create or replace function ingest.lead_value(member uuid, in_currency text, column_type regtype) returns numeric
language sql stable set search_path = '' as $$
    select coalesce(sum(r.ltv), 0) / ingest.minor_units_in(in_currency, column_type)
    from public.user_revenue_by_currency r where r.user_id = member and r.currency = lower(in_currency)
$$;

create or replace function ingest.convert_lead() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if new.converted_to_user_id is null
        and (tg_op = 'INSERT' or lower(new.email) is distinct from lower(old.email)) then
        new.converted_to_user_id := ingest.member_with_address(new.email);
        if new.converted_to_user_id is not null then
            new.status := 'converted';
        end if;
    end if;
    if new.converted_to_user_id is not null
        and (tg_op = 'INSERT'
             or (new.converted_to_user_id, new.campaign_id) is distinct from (old.converted_to_user_id, old.campaign_id)) then
        new.currency := ingest.lead_currency(new.campaign_id, new.converted_to_user_id, new.currency);
        new.conversion_value :=
            ingest.lead_value(new.converted_to_user_id, new.currency, pg_typeof(new.conversion_value));
    end if;
    return new;
exception when others then
    if sqlstate like '40%' then raise; end if;
    raise warning 'memberflow: lead % is kept as it is: %', new.id, sqlerrm;
    return new;
end
$$;
comment on function ingest.convert_lead() is 'Attaches a lead to the member whose address it has. Never makes the statement fail.';
create or replace trigger memberflow_convert_lead before insert or update on public.leads
    for each row execute function ingest.convert_lead();

-- The members named have changed: leads that wait for their addresses, and what their leads are worth.
create or replace function ingest.convert_leads(members uuid[]) returns void
language plpgsql set search_path = '' as $$
begin
    update public.leads l set status = 'converted', converted_to_user_id = u.id, updated_at = now()
    from auth.users u
    where u.id = any (members) and l.converted_to_user_id is null and lower(l.email) = lower(u.email)
      and ingest.member_with_address(u.email) = u.id;

    update public.leads l set currency = w.currency, conversion_value = w.value, updated_at = now()
    from (
        select d.id, c.currency, ingest.lead_value(d.converted_to_user_id, c.currency, pg_typeof(d.conversion_value)) as value
        from public.leads d
        cross join lateral ingest.lead_currency(d.campaign_id, d.converted_to_user_id, d.currency) as c (currency)
        where d.converted_to_user_id = any (members)
    ) w
    where l.id = w.id and (l.currency, l.conversion_value) is distinct from (w.currency, w.value);
end
$$;

-- Takes the named leads' old contributions from their campaigns' sums and adds the new ones.
create or replace function ingest.count_leads(changed uuid[]) returns void
language plpgsql set search_path = '' as $$
begin
    -- In one order, so that two who change leads of several campaigns cannot wait for each other.
    perform from public.marketing_campaigns m
    where m.id in (select campaign_id from ingest.counted_leads where lead_id = any (changed)
                   union select campaign_id from public.leads where id = any (changed))
    order by m.id for no key update;

    with now_counts as (
        select l.id as lead_id, l.campaign_id,
               -- A member who is gone stays counted as the one it was.
               case when l.converted_to_user_id is not null then l.converted_to_user_id
                    when l.status = 'converted' then coalesce(c.member, l.id) end as member,
               case when lower(l.currency) = lower(m.currency) then
                   coalesce(l.conversion_value, 0) * ingest.minor_units_in(m.currency, pg_typeof(l.conversion_value))
               else 0 end as value
        from public.leads l
        join public.marketing_campaigns m on m.id = l.campaign_id
        left join ingest.counted_leads c on c.lead_id = l.id
        where l.id = any (changed)
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
        perform ingest.count_leads((select array_agg(id) from old_rows where campaign_id is not null));
    elsif tg_op = 'INSERT' then
        perform ingest.count_leads((select array_agg(id) from new_rows where campaign_id is not null));
    else
        perform ingest.count_leads((
            select array_agg(n.id) from new_rows n join old_rows o on o.id = n.id
            where (n.campaign_id, n.status, n.converted_to_user_id, n.conversion_value, n.currency)
                is distinct from (o.campaign_id, o.status, o.converted_to_user_id, o.conversion_value, o.currency)));
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

create or replace function ingest.value_leads_of_campaign() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    if lower(old.currency) <> lower(new.currency) then
        perform ingest.convert_leads(array(
            select distinct converted_to_user_id from public.leads
            where campaign_id = new.id and converted_to_user_id is not null));
    end if;
    return null;
exception when others then
    if sqlstate like '40%' then raise; end if;
    raise warning 'memberflow: the leads of campaign % keep their old currency: %', new.id, sqlerrm;
    return null;
end
$$;
create or replace trigger memberflow_value_leads_of_campaign after update on public.marketing_campaigns
    for each row execute function ingest.value_leads_of_campaign();

-- Sets every campaign that has leads to what its leads say.
create or replace function ingest.recount_leads() returns void
language plpgsql set search_path = '' as $$
begin
    update public.marketing_campaigns m set total_leads = 0, total_conversions = 0, revenue_generated = 0
    where exists (select from public.leads l where l.campaign_id = m.id)
       or exists (select from ingest.counted_leads c where c.campaign_id = m.id);
    delete from ingest.counted_leads;
    perform ingest.count_leads(array(select id from public.leads where campaign_id is not null));
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
