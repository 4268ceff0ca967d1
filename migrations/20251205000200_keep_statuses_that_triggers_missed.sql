-- A status that somebody gave a ticket while the triggers were off, or failed, is a decision like any other: the next time
-- the ticket is derived it is noted, and never taken back.

alter table ingest.ticket_changes add column if not exists shown_status text;
comment on column ingest.ticket_changes.shown_status is
    'Of a first status: the one that the ticket was left with. Another one there was given by somebody who was not noticed.';

create or replace function ingest.derive_tickets(tickets uuid[]) returns void
language plpgsql set search_path = '' as $$
begin
    -- Who replies at the same time waits here, and then sees this reply.
    perform from public.support_tickets where id = any (tickets) order by id for no key update;
    insert into ingest.ticket_changes (ticket_id, at, status, is_first, settled_until, resolved_at, closed_at)
    select t.id, null, t.status, true, clock_timestamp(), t.resolved_at, t.closed_at from public.support_tickets t
    where t.id = any (tickets)
        and not exists (select from ingest.ticket_changes c where c.ticket_id = t.id and c.is_first)
    on conflict do nothing;
    -- A status other than the one left here: somebody decided it while the triggers were off or failed.
    insert into ingest.ticket_changes (ticket_id, at, status)
    select t.id, case when t.updated_at > coalesce(told.last_at, t.created_at, 'infinity')
                      then least(clock_timestamp(), t.updated_at) else clock_timestamp() end, t.status
    from public.support_tickets t
    join ingest.ticket_changes f on f.ticket_id = t.id and f.is_first
    cross join lateral (select max(c.at) as last_at from ingest.ticket_changes c where c.ticket_id = t.id) told
    where t.id = any (tickets) and f.shown_status is not null and t.status is distinct from f.shown_status;
    perform set_config('memberflow.derives_tickets', 'yes', true);
    update public.support_tickets t set
        status = s.status, first_response_at = s.first_response_at, last_member_reply_at = s.last_member_reply_at,
        last_staff_reply_at = s.last_staff_reply_at, waiting_since = s.waiting_since, waiting_for = s.waiting_for,
        reply_count = s.reply_count, reopened_count = s.reopened_count, resolved_at = s.resolved_at,
        closed_at = s.closed_at, resolution_seconds = s.resolution_seconds
    from unnest(tickets) as w (id) cross join lateral ingest.ticket_story(w.id) s
    where t.id = w.id
        and (t.status, t.first_response_at, t.last_member_reply_at, t.last_staff_reply_at, t.waiting_since, t.waiting_for,
             t.reply_count, t.reopened_count, t.resolved_at, t.closed_at, t.resolution_seconds)
            is distinct from
            (s.status, s.first_response_at, s.last_member_reply_at, s.last_staff_reply_at, s.waiting_since, s.waiting_for,
             s.reply_count, s.reopened_count, s.resolved_at, s.closed_at, s.resolution_seconds);
    perform set_config('memberflow.derives_tickets', 'no', true);
    update ingest.ticket_changes f set shown_status = t.status
    from public.support_tickets t
    where f.is_first and f.ticket_id = t.id and t.id = any (tickets) and f.shown_status is distinct from t.status;
end
$$;

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
    from new_rows n join old_rows o on o.id = n.id where n.status is distinct from o.status;
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

revoke all on all functions in schema ingest from public, anon, authenticated;

select ingest.derive_tickets(array(select id from public.support_tickets));
