-- How many of a campaign's leads are in which status, and which are the newest, is read from the leads that are counted: with
-- the status and the moment of each beside it one index has both, however many other leads there are.

alter table ingest.counted_leads
    add column if not exists status text,
    add column if not exists created_at timestamptz;
comment on column ingest.counted_leads.status is 'The lead''s.';
comment on column ingest.counted_leads.created_at is 'The lead''s.';

create or replace function ingest.complete_counted_lead() returns trigger
language plpgsql set search_path = '' as $$
begin
    select l.status::text, l.created_at into new.status, new.created_at from public.leads l where l.id = new.lead_id;
    return new;
end
$$;
comment on function ingest.complete_counted_lead() is 'Takes from the lead what is kept beside what it counts for.';
-- Whoever counts leads while this is made waits, and has the trigger then.
create or replace trigger memberflow_complete_counted_lead before insert or update on ingest.counted_leads
    for each row execute function ingest.complete_counted_lead();

-- As before, and where only created_at has changed.
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
                   n.status, n.converted_to_user_id, n.conversion_value, n.currency, n.created_at)
                is distinct from
                  (o.campaign_id, o.utm_campaign, o.utm_source, o.utm_medium,
                   o.status, o.converted_to_user_id, o.conversion_value, o.currency, o.created_at)));
    end if;
    return null;
exception when others then
    -- A deadlock: whoever changed the leads tries again.
    if sqlstate like '40%' then raise; end if;
    raise warning 'memberflow: campaigns do not count this change of leads yet: %', sqlerrm;
    return null;
end
$$;
revoke all on all functions in schema ingest from public, anon, authenticated;

-- The trigger takes the rest from the leads.
update ingest.counted_leads c set lead_id = c.lead_id
from public.leads l
where l.id = c.lead_id and (c.status, c.created_at) is distinct from (l.status::text, l.created_at);

create index if not exists counted_leads_newest
    on ingest.counted_leads (campaign_id, created_at desc nulls last, lead_id) include (status);
-- The newer one begins with the campaign, too.
drop index if exists ingest.counted_leads_campaign;

-- Decimal columns of a deployment hold major units: a Kuwaiti dinar has a thousand minor ones, not a hundred. Where campaigns
-- or leads in such a currency were counted before, `memberflow reconcile supabase --fix` counts them again.
create or replace function ingest.minor_units_in(currency text, column_type regtype) returns numeric
language sql immutable set search_path = '' as $$
    select case
        when column_type <> 'numeric'::regtype then 1
        when lower(currency) in ('bif', 'clp', 'djf', 'gnf', 'jpy', 'kmf', 'krw', 'mga', 'pyg', 'rwf', 'vnd', 'vuv',
                                 'xaf', 'xof', 'xpf') then 1
        when lower(currency) in ('bhd', 'jod', 'kwd', 'omr', 'tnd') then 1000
        else 100
    end
$$;
