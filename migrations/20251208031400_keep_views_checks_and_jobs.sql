-- What operators have in the console, the API and the commands: sessions, saved lists, what comparisons found, jobs, triggers
-- that can be restored, and what was forgotten.

-- -------------------------------------------------------------------------------- the first import

-- The first reading of activity has a name of its own: it counts what it has read at its end, and processes of the version
-- before, which count page by page, must not go on with it. An import locks its row here before anything else, and so does
-- this file.
alter table ingest.backfills
    drop constraint if exists backfills_scope_check,
    add constraint backfills_scope_check check (scope in ('activity', 'revenue', 'first activity'));

-- ------------------------------------------------------------------------------ sessions and views

-- Whose a session of the console is, where somebody signed in by Supabase. What such a person may do is looked up at each
-- request; the session ends with the user's right to the console, and with the session at Supabase that it came from.

alter table ingest.console_sessions
    add column if not exists user_id uuid,
    add column if not exists auth_session_id uuid;
comment on column ingest.console_sessions.role is
    'viewer, operator or admin. Where user_id is set: viewer, and what the person may do is looked up at each request.';
comment on column ingest.console_sessions.user_id is
    'The user in auth.users who signed in by Supabase; null: by the admin token or a link made with it.';
comment on column ingest.console_sessions.auth_session_id is
    'The session in auth.sessions that signing in made; when that ends, so does this one.';
-- No foreign keys: they would hold locks on tables of Supabase. A session of a user who is gone is found and ended.
create index if not exists console_sessions_user_id on ingest.console_sessions (user_id);

-- Lists as people of the console want to see them again: the query string of each, by person.
create table if not exists ingest.saved_views (
    actor text not null,
    list text not null,
    name text not null,
    query text not null,
    saved_at timestamptz not null,
    primary key (actor, list, name)
);
comment on table ingest.saved_views is 'Filters, orders and columns of the console''s lists that people saved, each for themselves.';
comment on column ingest.saved_views.actor is 'What the audit log calls whose it is.';
comment on column ingest.saved_views.list is 'members or events.';
comment on column ingest.saved_views.query is 'The query string of the list''s address.';
alter table ingest.saved_views enable row level security;
revoke all on ingest.saved_views from public, anon, authenticated;

-- --------------------------------------------------------------------------------- checks and jobs

-- What the last comparison of each kind found, so that pages and /metrics tell of drift without looking for it again.
create table if not exists ingest.last_checks (
    name text primary key,
    at timestamptz not null,
    actor text not null,
    is_fix boolean not null,
    found bigint not null,
    remaining bigint not null,
    differences jsonb not null
);
comment on table ingest.last_checks is 'The last comparison of each kind and what it found.';
comment on column ingest.last_checks.name is 'The command: reconcile stripe, reconcile supabase, reconcile twilio or rebuild.';
comment on column ingest.last_checks.actor is 'Who ran it: the operating system''s user and host.';
comment on column ingest.last_checks.is_fix is 'Whether it fixed what it found.';
comment on column ingest.last_checks.found is 'How many objects, fields or rows differed.';
comment on column ingest.last_checks.remaining is 'How many of them differ still.';
comment on column ingest.last_checks.differences is 'The first of them, each with both values; emptied when a person is forgotten.';
alter table ingest.last_checks enable row level security;
revoke all on ingest.last_checks from public, anon, authenticated;

-- Long operations that are requested in the console or through the API: a process takes each up, and pages follow it.
create table if not exists ingest.jobs (
    id bigint generated always as identity primary key,
    operation text not null
        check (operation in ('reconcile stripe', 'reconcile supabase', 'reconcile twilio', 'rebuild')),
    is_fix boolean not null,
    state text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'failed', 'cancelled')),
    requested_by text not null,
    requested_at timestamptz not null,
    started_at timestamptz,
    ended_at timestamptz,
    heartbeat_at timestamptz,
    attempts integer not null default 0,
    part text,
    done bigint,
    total bigint,
    result jsonb,
    error text,
    object text
);
-- Where the table was made before a job could be about one object.
alter table ingest.jobs add column if not exists object text;
comment on table ingest.jobs is 'Operations that were requested in the console or through the API, and what came of each.';
comment on column ingest.jobs.operation is 'The command: reconcile stripe, reconcile supabase, reconcile twilio or rebuild.';
comment on column ingest.jobs.is_fix is 'Whether it fixes what differs; otherwise it only compares.';
comment on column ingest.jobs.state is 'waiting, running, done, failed or cancelled. Whoever runs one holds an advisory lock: a running job whose lock is free was interrupted.';
comment on column ingest.jobs.requested_by is 'Who requested it, as the audit log calls them.';
comment on column ingest.jobs.started_at is 'When it was last taken up.';
comment on column ingest.jobs.heartbeat_at is 'When the process that runs it last reported.';
comment on column ingest.jobs.attempts is 'How often it was taken up, without those that a shutdown ended.';
comment on column ingest.jobs.part is 'What is being done.';
comment on column ingest.jobs.done is 'How many pieces of the part are done.';
comment on column ingest.jobs.total is 'How many pieces the part has; 0 if nobody knows.';
comment on column ingest.jobs.result is 'The summary that the command prints as JSON.';
comment on column ingest.jobs.error is 'Why it failed, and what to do.';
comment on column ingest.jobs.object is 'The id of the only object that is compared; null: all.';
-- One of each operation at a time; and those that wait or run are found among all that have ended.
create unique index if not exists jobs_active on ingest.jobs (operation) where state in ('waiting', 'running');
alter table ingest.jobs enable row level security;
revoke all on ingest.jobs from public, anon, authenticated;
revoke all on sequence ingest.jobs_id_seq from public, anon, authenticated;

-- ---------------------------------------------------------------------------------------- triggers

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

-- The triggers by which what the application writes is completed (tickets, messages, leads, the sums of the ledger), each with
-- its definition: `memberflow doctor` names one that was dropped or disabled since, `memberflow supabase install` restores it.
-- A later migration that makes another adds it here.

create table if not exists ingest.deriving_triggers (
    relation text,
    name text,
    definition text not null,
    primary key (relation, name)
);
alter table ingest.deriving_triggers enable row level security;
revoke all on ingest.deriving_triggers from public, anon, authenticated;
comment on table ingest.deriving_triggers is 'The triggers that migrations made on tables of the application and the ledger.';

insert into ingest.deriving_triggers
select format('%I.%I', n.nspname, c.relname), t.tgname, pg_get_triggerdef(t.oid)
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace
join pg_proc p on p.oid = t.tgfoid
where not t.tgisinternal and t.tgname like 'memberflow\_%' and n.nspname in ('public', 'ingest')
    and p.pronamespace = 'ingest'::regnamespace and p.proname <> 'notify_changes'
on conflict do nothing;

-- ------------------------------------------------------------------------------- forgotten persons

-- The ids of what belonged to forgotten persons (Stripe's objects, Twilio's messages): what the providers' APIs still show of
-- them is not stored again.

create table if not exists ingest.forgotten_objects (
    id text primary key,
    forgotten_at timestamptz not null
);
comment on table ingest.forgotten_objects is
    'Stripe objects and text messages of forgotten persons, which are not imported again. Ids only.';
comment on column ingest.forgotten_objects.forgotten_at is 'When the person was last forgotten.';
alter table ingest.forgotten_objects enable row level security;
revoke all on ingest.forgotten_objects from public, anon, authenticated;

-- Forgetting a person removed their opt-outs from the ledger where others have the number, too, but left the answer. Without
-- its row a rebuild would take the answer back, and the number would be texted again.
insert into ingest.sms_consent_ledger (sid, number, opted_in, explicit, source, received_at)
select c.twilio_sid, c.number, c.opted_in, true, c.source, c.changed_at
from public.sms_consents c
where not c.opted_in and not exists (select from ingest.sms_consent_ledger l where l.sid = c.twilio_sid)
on conflict (sid) do nothing;

-- ------------------------------------------------------------ an index that is not needed any more

-- `mrr_movements_kind_at` is in its place: whoever looks for a moment says the currency and the kind, too. Dropping waits for
-- all who read the ledger, also for those who wait to write it. So it is not done in the file that keeps others from writing,
-- and here it comes last.
drop index if exists public.mrr_movements_effective_at;
