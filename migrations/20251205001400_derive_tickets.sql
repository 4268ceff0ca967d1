-- Tickets know who waits for whom and since when, and staff can note what members never see.
--
-- What follows is worked out from three things: the ticket, its replies, and the statuses that people set, each with its
-- moment. It is the same in whatever order they are written. Triggers keep it, whoever writes; they never make a
-- statement fail. What stood there before keeps its status.

alter table public.support_tickets
    add column if not exists first_response_at timestamptz,
    add column if not exists last_member_reply_at timestamptz,
    add column if not exists last_staff_reply_at timestamptz,
    add column if not exists waiting_since timestamptz,
    add column if not exists waiting_for text,
    add column if not exists reply_count integer not null default 0,
    add column if not exists reopened_count integer not null default 0,
    add column if not exists resolution_seconds bigint;
alter table public.support_ticket_replies add column if not exists is_internal boolean not null default false;
comment on column public.support_tickets.first_response_at is 'When staff first replied to the member.';
comment on column public.support_tickets.last_member_reply_at is 'The member''s latest reply.';
comment on column public.support_tickets.last_staff_reply_at is 'The latest reply of staff, internal notes aside.';
comment on column public.support_tickets.waiting_since is
    'The earliest message of the member that staff have not replied to; null once resolved or closed.';
comment on column public.support_tickets.waiting_for is 'Whose turn it is: staff, member; null once resolved or closed.';
comment on column public.support_tickets.reply_count is 'Replies, internal notes aside.';
comment on column public.support_tickets.reopened_count is 'How often it left resolved or closed.';
comment on column public.support_tickets.resolution_seconds is 'From its making to resolved_at, else closed_at.';
comment on column public.support_ticket_replies.is_internal is 'A note among staff: no member sees it, and it is no response.';

-- Oldest waiting first.
create index if not exists support_tickets_waiting on public.support_tickets
    ((coalesce(waiting_since, 'infinity'::timestamptz)), (coalesce(created_at, '-infinity'::timestamptz)), id);

create table if not exists ingest.ticket_changes (
    number bigint generated always as identity primary key,
    ticket_id uuid not null references public.support_tickets (id) on delete cascade,
    at timestamptz,
    status text,
    is_first boolean not null default false,
    settled_until timestamptz,
    resolved_at timestamptz,
    closed_at timestamptz,
    shown_status text
);
comment on table ingest.ticket_changes is 'The statuses that people gave tickets, each with its moment.';
comment on column ingest.ticket_changes.is_first is 'The status that the ticket had when it was first seen.';
comment on column ingest.ticket_changes.settled_until is 'Replies up to here move no status: it stood when they were there already.';
comment on column ingest.ticket_changes.resolved_at is 'Of a first status: what the ticket said.';
comment on column ingest.ticket_changes.closed_at is 'Of a first status: what the ticket said.';
comment on column ingest.ticket_changes.shown_status is
    'Of a first status: the one that the ticket was left with. Another one there was given by somebody who was not noticed.';
create unique index if not exists ticket_changes_first on ingest.ticket_changes (ticket_id) where is_first;
create index if not exists ticket_changes_ticket on ingest.ticket_changes (ticket_id);

create table if not exists ingest.ticket_settings (
    is_here boolean primary key default true check (is_here),
    automatic_status boolean not null default true
);
comment on table ingest.ticket_settings is 'How tickets are kept: one row.';
comment on column ingest.ticket_settings.automatic_status is
    'Whether replies move the status. Set it by ingest.set_automatic_ticket_status.';
insert into ingest.ticket_settings default values on conflict do nothing;

-- Who has an urgent ticket that waits is looked for once a minute and kept here, so that a member's row and a rebuild of it
-- say the same.
create table if not exists ingest.urgent_waits (
    user_id uuid primary key
);
comment on table ingest.urgent_waits is
    'Members with an urgent ticket that has waited for staff for more than a day, as their health says.';
create index if not exists support_tickets_urgent on public.support_tickets (waiting_since)
    where priority = 'urgent' and waiting_for = 'staff';

create or replace function ingest.ticket_story(
    ticket uuid, out status text, out first_response_at timestamptz, out last_member_reply_at timestamptz,
    out last_staff_reply_at timestamptz, out waiting_since timestamptz, out waiting_for text, out reply_count integer,
    out reopened_count integer, out resolved_at timestamptz, out closed_at timestamptz, out resolution_seconds bigint
)
language plpgsql stable set search_path = '' as $$
declare
    ended constant text[] := array['resolved', 'closed'];
    made_at timestamptz;
    settled timestamptz;
    automatic boolean := (select automatic_status from ingest.ticket_settings);
    step record;
    next_status text;
begin
    select t.created_at, t.status, t.resolved_at, t.closed_at into made_at, status, resolved_at, closed_at
    from public.support_tickets t where t.id = ticket;
    settled := (select max(c.settled_until) from ingest.ticket_changes c where c.ticket_id = ticket);
    -- The ticket itself is the member's first message.
    waiting_since := made_at;
    reply_count := 0;
    reopened_count := 0;
    for step in
        -- In one moment: what stood first, then replies, then what people decided.
        select case when c.is_first then '-infinity'::timestamptz else c.at end as place,
               case when c.is_first then 0 else 2 end as rank, c.number::text as tie, c.at,
               c.status, c.is_first, c.resolved_at, c.closed_at, null::boolean as is_staff
        from ingest.ticket_changes c where c.ticket_id = ticket
        union all
        select coalesce(r.created_at, made_at), 1, r.id::text, coalesce(r.created_at, made_at),
               null, false, null, null, coalesce(r.is_staff, false)
        from public.support_ticket_replies r where r.ticket_id = ticket and not r.is_internal
        order by place, rank, is_staff, tie
    loop
        next_status := status;
        if step.is_first then
            status := step.status;
            next_status := step.status;
            resolved_at := step.resolved_at;
            closed_at := step.closed_at;
        elsif step.is_staff is null then
            next_status := step.status;
        else
            reply_count := reply_count + 1;
            if step.is_staff then
                first_response_at := coalesce(first_response_at, step.at);
                last_staff_reply_at := step.at;
                waiting_since := null;
            else
                last_member_reply_at := step.at;
                waiting_since := coalesce(waiting_since, step.at);
            end if;
            if automatic and (settled is null or step.at > settled) then
                next_status := case
                    when step.is_staff and status in ('open', 'in_progress') then 'waiting_reply'
                    when not step.is_staff and status in ('resolved', 'waiting_reply') then 'open'
                    else status end;
            end if;
        end if;
        if next_status is distinct from status then
            if status = any (ended) and next_status <> all (ended) then
                reopened_count := reopened_count + 1;
                resolved_at := null;
                closed_at := null;
            elsif next_status = 'resolved' then
                resolved_at := step.at;
            elsif next_status = 'closed' then
                closed_at := step.at;
            end if;
            status := next_status;
        end if;
    end loop;
    if status = any (ended) then
        waiting_since := null;
        resolution_seconds := floor(extract(epoch from coalesce(resolved_at, closed_at) - made_at));
    else
        waiting_for := case when waiting_since is null then 'member' else 'staff' end;
    end if;
end
$$;
comment on function ingest.ticket_story(uuid) is
    'What follows from a ticket, its replies and the statuses that people gave it, whatever the ticket''s columns say.';

-- A status that somebody gave a ticket while the triggers were off, or failed, is a decision like any other: the next time
-- the ticket is derived it is noted, and never taken back.
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
comment on function ingest.derive_tickets(uuid[]) is 'Gives the tickets what follows from their replies and statuses.';

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
comment on function ingest.note_tickets() is
    'Keeps what follows from tickets. Never makes the statement fail; memberflow reconcile supabase --fix mends what was missed.';
create or replace trigger memberflow_note_new_tickets after insert on public.support_tickets
    referencing new table as new_rows for each statement execute function ingest.note_tickets();
create or replace trigger memberflow_note_changed_tickets after update on public.support_tickets
    referencing old table as old_rows new table as new_rows for each statement execute function ingest.note_tickets();

create or replace function ingest.note_replies() returns trigger
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as $$
begin
    if tg_op = 'INSERT' then
        perform ingest.derive_tickets(array(select distinct ticket_id from new_rows));
    elsif tg_op = 'DELETE' then
        perform ingest.derive_tickets(array(select distinct ticket_id from old_rows));
    else
        perform ingest.derive_tickets(array(select ticket_id from new_rows union select ticket_id from old_rows));
    end if;
    return null;
exception when others then
    if sqlstate like '40%' then raise; end if;
    raise warning 'memberflow: what follows from this change of replies is not derived yet: %', sqlerrm;
    return null;
end
$$;
comment on function ingest.note_replies() is
    'Keeps what follows from replies. Never makes the statement fail; memberflow reconcile supabase --fix mends what was missed.';
create or replace trigger memberflow_note_new_replies after insert on public.support_ticket_replies
    referencing new table as new_rows for each statement execute function ingest.note_replies();
create or replace trigger memberflow_note_changed_replies after update on public.support_ticket_replies
    referencing old table as old_rows new table as new_rows for each statement execute function ingest.note_replies();
create or replace trigger memberflow_note_deleted_replies after delete on public.support_ticket_replies
    referencing old table as old_rows for each statement execute function ingest.note_replies();

create or replace function ingest.set_automatic_ticket_status(is_on boolean) returns void
language plpgsql set search_path = '' as $$
begin
    -- What replies have moved so far stays, what they would have moved meanwhile does not come later.
    insert into ingest.ticket_changes (ticket_id, at, status, settled_until)
    select id, clock_timestamp(), status, clock_timestamp() from public.support_tickets;
    update ingest.ticket_settings set automatic_status = is_on;
end
$$;
comment on function ingest.set_automatic_ticket_status(boolean) is
    'Whether a reply moves the status from now on: a member''s to open, one of staff to waiting_reply.';

revoke all on all functions in schema ingest from public, anon, authenticated;

select ingest.derive_tickets(array(select id from public.support_tickets));
