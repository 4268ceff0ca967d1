-- A lead counts from the moment it was made.
--
-- A lead with the address of somebody who had paid before it was made led to nothing: it used to be converted at once,
-- with everything that the member had ever paid, so that whoever is paid by conversions only had to know addresses.
-- Now such a lead stays as it is, and the value of every other one is what the member paid from its moment on. Payments
-- arrive in any order, so a conversion that memberflow made is taken back once an earlier payment becomes known; one
-- that a person made stays. Nobody reads from an insert whose address it was: a lead is converted after that.
--
-- Conversions made before this stay, too; their value follows when their member is next derived, within a day.

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
alter table ingest.lead_conversions enable row level security;
revoke all on ingest.lead_conversions from public, anon, authenticated;

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

create or replace function ingest.convert_lead() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    -- Who fills in a form does not choose when that was.
    if tg_op = 'INSERT' and current_setting('role', true) in ('anon', 'authenticated')
        and (auth.jwt() -> 'app_metadata' ->> 'role') is distinct from 'admin'
        and (new.created_at is null or new.created_at < now()) then
        new.created_at := now();
    end if;
    if new.converted_to_user_id is not null
        and (tg_op = 'INSERT'
             or (new.converted_to_user_id, new.campaign_id, new.created_at)
                 is distinct from (old.converted_to_user_id, old.campaign_id, old.created_at)) then
        new.currency := ingest.lead_currency(new.campaign_id, new.converted_to_user_id, new.currency);
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

-- Converts the leads with the members' addresses that came before their first payment, and takes back those that turned
-- out to have come after it. One lead, or all of them.
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
        cross join lateral ingest.lead_currency(d.campaign_id, d.converted_to_user_id, d.currency) as c (currency)
        where d.converted_to_user_id = any (members)
    ) w
    where l.id = w.id and (l.currency, l.conversion_value) is distinct from (w.currency, w.value);
end
$$;
comment on function ingest.convert_leads(uuid[]) is
    'The members named have changed: converts the leads that led to them, and gives their leads the value that they have now.';

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
