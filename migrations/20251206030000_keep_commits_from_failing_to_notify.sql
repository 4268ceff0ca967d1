-- A notification that cannot be made fails no statement of the application: `ingest.notify_changes` warns instead.

create or replace function ingest.notify_changes() returns trigger
language plpgsql security definer set search_path = '' as $$
declare
    -- A notification holds less than 8,000 bytes.
    named_at_most constant integer := 100;
    members uuid[];
    is_empty boolean;
begin
    -- A full queue would fail the commit. It fills where a listener stands still in a transaction.
    if pg_catalog.pg_notification_queue_usage() >= 0.5 then
        return null;
    end if;
    if tg_op = 'DELETE' then
        select count(*) = 0 into is_empty from (select from old_rows limit 1) r;
    else
        select count(*) = 0 into is_empty from (select from new_rows limit 1) r;
    end if;
    if is_empty then
        return null;
    end if;
    if tg_table_name = 'support_ticket_replies' then
        if tg_op = 'DELETE' then
            members := array(select distinct t.user_id from old_rows r join public.support_tickets t on t.id = r.ticket_id
                             where t.user_id is not null limit named_at_most + 1);
        else
            members := array(select distinct t.user_id from new_rows r join public.support_tickets t on t.id = r.ticket_id
                             where t.user_id is not null limit named_at_most + 1);
        end if;
    elsif tg_op = 'DELETE' then
        members := array(select distinct user_id from old_rows where user_id is not null limit named_at_most + 1);
    elsif tg_op = 'INSERT' then
        members := array(select distinct user_id from new_rows where user_id is not null limit named_at_most + 1);
    else
        -- A row that changes hands is news for both.
        members := array(select user_id from new_rows where user_id is not null
                         union select user_id from old_rows where user_id is not null limit named_at_most + 1);
    end if;
    if cardinality(members) > named_at_most then
        members := null;
    end if;
    perform pg_catalog.pg_notify('memberflow_changes',
                                 pg_catalog.json_build_object('table', tg_table_name, 'members', members)::text);
    return null;
exception when others then
    -- The row is worth more than the news of it.
    raise warning 'the change of % was not notified: %', tg_table_name, sqlerrm;
    return null;
end
$$;
