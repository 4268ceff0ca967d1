-- A ticket that is resolved, reopened by a reply and resolved again has two ends, in whatever order they are written: where
-- both are written before the reply, the second changes no status, and only its moment says that it is another.

create or replace function ingest.note_tickets() returns trigger
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as $$
begin
    if current_setting('memberflow.derives_tickets', true) = 'yes' then
        return null;
    end if;
    if tg_op = 'INSERT' then
        insert into ingest.ticket_changes (ticket_id, at, status, is_first, resolved_at, closed_at)
        select id, created_at, status, true,
               coalesce(resolved_at, case when status = 'resolved' then created_at end),
               coalesce(closed_at, case when status = 'closed' then created_at end)
        from new_rows on conflict do nothing;
        perform ingest.derive_tickets(array(select distinct id from new_rows));
        return null;
    end if;
    insert into ingest.ticket_changes (ticket_id, at, status, is_first, settled_until, resolved_at, closed_at)
    select o.id, null, o.status, true, clock_timestamp(), o.resolved_at, o.closed_at
    from old_rows o join new_rows n on n.id = o.id
    where not exists (select from ingest.ticket_changes c where c.ticket_id = o.id and c.is_first)
    on conflict do nothing;
    -- The moment is the one that the application gives, where it gives one.
    insert into ingest.ticket_changes (ticket_id, at, status)
    select n.id, least(clock_timestamp(), coalesce(
               case when n.status = 'resolved' and n.resolved_at is distinct from o.resolved_at then n.resolved_at
                    when n.status = 'closed' and n.closed_at is distinct from o.closed_at then n.closed_at end,
               case when n.updated_at is distinct from o.updated_at then n.updated_at end,
               clock_timestamp())), n.status
    from new_rows n join old_rows o on o.id = n.id
    where n.status is distinct from o.status
        or n.status = 'resolved' and n.resolved_at is not null and n.resolved_at is distinct from o.resolved_at
        or n.status = 'closed' and n.closed_at is not null and n.closed_at is distinct from o.closed_at;
    update ingest.ticket_changes f set shown_status = n.status
    from new_rows n join old_rows o on o.id = n.id
    where f.is_first and f.ticket_id = n.id and n.status is distinct from o.status;
    perform ingest.derive_tickets(array(select id from new_rows));
    return null;
exception when others then
    -- A deadlock: whoever changed the tickets tries again.
    if sqlstate like '40%' then raise; end if;
    raise warning 'memberflow: what follows from this change of tickets is not derived yet: %', sqlerrm;
    return null;
end
$$;

-- A text that few tickets have is found by its trigrams, where the extension can be had (`index_and_protect_tables` has asked
-- for it). Without it a search reads all tickets: slower, but the same.
do $$
declare
    home text := (select n.nspname from pg_catalog.pg_extension e
                  join pg_catalog.pg_namespace n on n.oid = e.extnamespace where e.extname = 'pg_trgm');
begin
    if home is null then
        raise notice 'pg_trgm is not available: the ticket list searches text without an index';
        return;
    end if;
    execute format(
        'create index if not exists support_tickets_text_trigrams on public.support_tickets using gin (
            lower(coalesce(ticket_number::text, '''') || coalesce('' '' || subject::text, '''')
                  || coalesce('' '' || description::text, '''') || coalesce('' '' || guest_email::text, ''''))
            %I.gin_trgm_ops)', home);
end $$;
