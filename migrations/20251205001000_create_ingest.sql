-- The service's own schema, and what all of it turns on: events, each once, from acceptance to its end; how consumers hear
-- of them; what waits or cannot be read; users; and what operators do.
--
-- Private: no grant to anon or authenticated, and not a schema that PostgREST exposes.

-- A database that an earlier version made, and not with its last file, lacks what later ones added; `create table if not
-- exists` would pass over that.
do $$
begin
    if to_regclass('ingest.inbox') is not null and to_regclass('ingest.inbox_without_subject') is null then
        raise exception 'an earlier version of memberflow migrated this database, and not to its last file'
            using hint = 'Build revision 70e741f of memberflow, run its `memberflow migrate` once, then apply these files.';
    end if;
end $$;

create schema if not exists ingest;
revoke all on schema ingest from public;
comment on schema ingest is 'memberflow''s own tables. Not for PostgREST; written by the service alone.';

do $$
begin
    -- Only there where memberflow itself migrates; the Supabase CLI keeps its own record.
    if to_regclass('ingest.schema_migrations') is not null then
        comment on table ingest.schema_migrations is 'The migrations applied by memberflow, with the checksums of their files.';
    end if;
end $$;

-- -------------------------------------------------------------------------------------------- events

create sequence if not exists ingest.event_ids;
comment on sequence ingest.event_ids is 'Numbers events as they come, above the dead letters of earlier versions.';

-- The table has the name that processes of earlier versions know; `ingest.events` is what to say.
create table if not exists ingest.inbox (
    source text not null,
    event_id text not null,
    event_type text not null,
    subject text,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    applied_at timestamptz,
    body bytea not null,
    pruned_at timestamptz,
    not_counted text,
    -- What a process of an earlier version inserts is applied.
    state text not null default 'applied',
    id bigint default nextval('ingest.event_ids'),
    attempts integer not null default 0,
    alone boolean not null default false,
    next_attempt_at timestamptz,
    reason text,
    dead_at timestamptz,
    primary key (source, event_id)
);
comment on table ingest.inbox is
    'Every event once, with its exact bytes: those applied are the set that all other tables are a function of. Use it as ingest.events.';
comment on column ingest.inbox.subject is 'The provider''s object that the event is about (sub_…, in_…, public.vision_versions/<id>); null where the event changes no fact, and until it is applied.';
comment on column ingest.inbox.occurred_at is 'The event''s place in its subject''s history: Stripe''s created, a row''s updated_at.';
comment on column ingest.inbox.pruned_at is
    'When the body was removed, by age or to forget a person; it is empty since then. What the event told is in the facts about its subject, which a rebuild then takes as they stand.';
comment on column ingest.inbox.not_counted is
    'Why the event changes nothing: test_mode, live_mode, other_account:<id> or no_account, as MEMBERFLOW_STRIPE_MODE and MEMBERFLOW_STRIPE_ACCOUNT were when it was applied, or when all was last rebuilt. Null: it counts.';
comment on column ingest.inbox.state is 'pending (accepted, not applied yet), applied, or dead (given up until it is redriven).';
comment on column ingest.inbox.id is 'Names a dead letter, and orders pending events that are due alike. Null where the event was applied before there were such numbers.';
comment on column ingest.inbox.attempts is 'Attempts that failed or did not come to an end. One that may end the process is counted before it is made.';
comment on column ingest.inbox.alone is 'A pending event that is to be tried alone: it has failed, or consumers did not survive the batch that it was in.';
comment on column ingest.inbox.next_attempt_at is 'When a pending event is due.';
comment on column ingest.inbox.reason is 'What the last attempt said, or why the event is dead.';

alter sequence ingest.event_ids owned by ingest.inbox.id;

create index if not exists inbox_subject on ingest.inbox (subject, occurred_at) where subject is not null;
create index if not exists inbox_applied_at on ingest.inbox (applied_at);
create index if not exists inbox_pending on ingest.inbox (alone, next_attempt_at, id) where state = 'pending';
create index if not exists inbox_dead on ingest.inbox (id) where state = 'dead';
create index if not exists inbox_dead_at on ingest.inbox (dead_at, source, event_id) where state = 'dead';
-- These cost nothing where nothing is pruned and everything counts: a new event is in none of them.
create index if not exists inbox_pruned on ingest.inbox (subject) where pruned_at is not null;
create index if not exists inbox_not_counted on ingest.inbox (not_counted) where not_counted is not null;
-- What is about several objects or about none (logins, users, rows that were read from a table, matches by address) has no
-- subject to be found by; `replay --from-inbox` reads it whole.
create index if not exists inbox_without_subject on ingest.inbox (source, event_id)
    where subject is null and state = 'applied';

create or replace view ingest.events with (security_invoker = true) as
select source, event_id, event_type, subject, occurred_at, received_at, applied_at, body, pruned_at, not_counted,
       state, id, attempts, alone, next_attempt_at, reason, dead_at
from ingest.inbox;
comment on view ingest.events is 'Every event once: pending, applied or dead.';

-- Events' bytes are compressed by lz4 where the server has it (Supabase's does): a fraction of the processor time that the
-- default takes, which was most of what writing an event costs.
do $$
begin
    if exists (
        select from pg_catalog.pg_attribute
        where attrelid = 'ingest.inbox'::regclass and attname = 'body' and attcompression <> 'l'
    ) then
        alter table ingest.inbox alter column body set compression lz4;
    end if;
exception
    when feature_not_supported then
        raise notice 'this server is built without lz4: the bytes of events stay compressed by pglz';
end $$;

-- -------------------------------------------------------------------------------- who is told of them

create sequence if not exists ingest.last_wake;
comment on sequence ingest.last_wake is 'When a user''s transaction notified last, in Unix milliseconds.';

-- Called by whoever inserts pending events, and not by a trigger on the table, which every applied event would pay for.
--
-- Whoever notifies commits alone: Postgres lets one such commit go on at a time. Users must not line up for us, so that of
-- their transactions (which get here by way of a trigger) one in 5 ms notifies; the consumers look again 6 ms after they
-- were woken, and now and then in any case.
--
-- A queue of notifications that is full fails the commit. It fills where a listener stands still in a transaction.
create or replace function ingest.wake_consumers() returns void
language plpgsql set search_path = '' as $$
declare
    now_ms constant bigint := extract(epoch from clock_timestamp()) * 1000;
    last_ms bigint;
begin
    if pg_catalog.pg_trigger_depth() > 0 then
        select last_value into last_ms from ingest.last_wake;
        if last_ms between now_ms - 5 and now_ms then
            return;
        end if;
        perform pg_catalog.setval('ingest.last_wake', now_ms);
    end if;
    if pg_catalog.pg_notification_queue_usage() < 0.5 then
        perform pg_catalog.pg_notify('memberflow_events', '');
    end if;
end
$$;
comment on function ingest.wake_consumers() is 'Tells the consumers that there are pending events.';

-- Whoever listens to `memberflow_changes` hears after each commit which tables changed for which members, whoever wrote
-- them: {"table": "user_revenue_metrics", "members": ["<user id>", …]}. Where there are too many to name, members is null.
-- The triggers that call this are made on request (`memberflow supabase install --realtime`): Postgres lets only one
-- transaction that notifies commit at a time.
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
end
$$;
comment on function ingest.notify_changes() is
    'Notifies memberflow_changes of the table and the members whose rows a statement changed.';

create sequence if not exists ingest.change_numbers;
comment on sequence ingest.change_numbers is
    'Numbers the changes that triggers tell of, each while its row is held: the order of a row''s changes. It never begins again, for events are named by it.';

-- After a restore of the database to an earlier moment the sequence would give numbers a second time that the lost hours
-- gave before: to events that may still be on the broker. So the numbers run ahead with the clock: whenever the triggers
-- are installed they go on from the microseconds since 1970, which no earlier number can have reached. (The names of the
-- events hold the moment as well, and are therefore never given twice.)
create or replace function ingest.advance_change_numbers() returns void
language plpgsql set search_path = '' as $$
declare
    clock_us bigint;
begin
    -- One at a time: the clock is read after whoever advanced them before.
    perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('ingest.change_numbers', 0));
    clock_us := (extract(epoch from pg_catalog.clock_timestamp()) * 1000000)::bigint;
    -- Never back, and not by so little that a number taken meanwhile could lie above.
    perform pg_catalog.setval('ingest.change_numbers', clock_us)
    from ingest.change_numbers where last_value < clock_us - 1000000;
end
$$;
comment on function ingest.advance_change_numbers() is
    'Lets the numbers of row changes go on from the clock, so that none is given twice after a restore.';
select ingest.advance_change_numbers();

-- ------------------------------------------------------------------- what waits, and what cannot be read

create table if not exists ingest.parked (
    subject text not null,
    reason text not null,
    detail text not null,
    parked_at timestamptz not null,
    primary key (subject, reason)
);
comment on table ingest.parked is
    'What is known and counted where it can be, but cannot be shown yet (a customer without a user, a price without a tier). A row goes away by itself once the missing piece is there.';
comment on column ingest.parked.reason is
    'unknown_user, user_gone, ambiguous_email, disputed_user, no_tier, unknown_status, needs_stripe, items_truncated, unresolved_discount, estimated_mrr, overdue, amount_out_of_range, thin_event.';
-- Listed from what waits longest, all of it or of one reason.
create index if not exists parked_at on ingest.parked (parked_at, subject, reason);
create index if not exists parked_reason_at on ingest.parked (reason, parked_at, subject);

create table if not exists ingest.unrecognised (
    what text not null,
    value text not null,
    events bigint not null,
    example text not null,
    primary key (what, value)
);
comment on table ingest.unrecognised is
    'Words in Stripe''s objects that were not known when their events were applied, and needed fields that were in none of the places where they are looked for. Few rows: one for each such word.';
comment on column ingest.unrecognised.what is 'The field: subscription.status, invoice.currency, …';
comment on column ingest.unrecognised.value is 'The word that stood there; empty where nothing did.';
comment on column ingest.unrecognised.events is 'How many events said so.';
comment on column ingest.unrecognised.example is 'One of them, to look at in ingest.inbox.';

-- ------------------------------------------------------------- what the application's tables held before

create table if not exists ingest.switched_on (
    one boolean primary key default true check (one),
    at timestamptz not null,
    completed boolean not null default false
);
comment on table ingest.switched_on is 'When memberflow first consumed here. What the tables held before that was read into the inbox then.';

create table if not exists ingest.backfills (
    id bigint generated always as identity primary key,
    scope text not null check (scope in ('activity', 'revenue')),
    at timestamptz not null,
    is_first boolean not null,
    part text not null,
    position text,
    looked_at jsonb not null default '{}',
    found jsonb not null default '{}',
    completed_at timestamptz
);
comment on table ingest.backfills is
    'Each reading of what stands in the application''s tables. One that was interrupted goes on where it was; several processes share one.';
comment on column ingest.backfills.at is 'The moment that its events carry.';
comment on column ingest.backfills.is_first is 'At the first start: nothing can be out of date yet.';
comment on column ingest.backfills.position is 'The last key read of the part; null at its beginning.';
comment on column ingest.backfills.looked_at is 'Rows looked at, by part.';
comment on column ingest.backfills.found is 'Rows that no event had told of, or told otherwise, by part.';
create unique index if not exists backfills_under_way on ingest.backfills (scope) where completed_at is null;

-- --------------------------------------------------------------------------------------------- users

create table if not exists ingest.users (
    id uuid primary key,
    gone_at timestamptz
);
comment on table ingest.users is 'Users that memberflow has seen: tells one that is gone from one that never was.';

-- Who writes rows of several users waits for the deletion of one of them before the first of those rows is written, and never
-- in the middle: a deletion that has taken the user and now wants the rows would wait for the writer, and the writer for the
-- user. Holding a row takes more than reading it; a role that may only read goes without.
create or replace function ingest.hold_users(users uuid[]) returns setof uuid
language plpgsql set search_path = '' as $$
begin
    if pg_catalog.has_any_column_privilege('auth.users', 'update') then
        return query
            select u.id from (select distinct w.id from unnest(users) as w (id) order by w.id) w
            cross join lateral (select u.id from auth.users u where u.id = w.id for key share) u;
    else
        return query
            select u.id from unnest(users) as w (id)
            cross join lateral (select u.id from auth.users u where u.id = w.id offset 0) u;
    end if;
end
$$;
comment on function ingest.hold_users(uuid[]) is
    'Those of the users who are there. Nobody deletes them before the transaction ends, where its role may hold them.';

-- ------------------------------------------------------------------------- operators: console and API

create table if not exists ingest.audit_log (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    actor text not null,
    act text not null,
    arguments jsonb not null,
    outcome jsonb not null
);
comment on table ingest.audit_log is 'What operators did with memberflow''s commands, one line each, written with the act itself.';
comment on column ingest.audit_log.actor is 'The operating system''s user and host: ada@crm-1.';
comment on column ingest.audit_log.act is 'The command: rebuild.';
comment on column ingest.audit_log.arguments is 'What the command was asked for.';
comment on column ingest.audit_log.outcome is 'What came of it, in figures.';
-- Found by when, by whom, by act, and by the event that it was done with, a page at a time.
create index if not exists audit_log_at_id on ingest.audit_log (at, id);
create index if not exists audit_log_actor on ingest.audit_log (actor, at, id);
create index if not exists audit_log_act on ingest.audit_log (act, at, id);
create index if not exists audit_log_events on ingest.audit_log using gin ((outcome -> 'events'));
create index if not exists audit_log_ids on ingest.audit_log using gin ((arguments -> 'ids'));

-- Neither a session's id nor a link's code is stored, only what an HMAC under the admin token makes of it: who reads the
-- tables can use nothing, and another token ends all sessions.
create table if not exists ingest.console_sessions (
    id_hash bytea primary key,
    actor text not null,
    role text not null,
    created_at timestamptz not null,
    last_used_at timestamptz not null,
    expires_at timestamptz not null
);
comment on table ingest.console_sessions is 'Who is signed in to the console.';
comment on column ingest.console_sessions.id_hash is 'HMAC-SHA-256 of the session''s id, which only the browser has.';
comment on column ingest.console_sessions.actor is 'What the audit log calls this person.';
comment on column ingest.console_sessions.role is 'viewer, operator or admin.';
comment on column ingest.console_sessions.last_used_at is 'To the minute.';
comment on column ingest.console_sessions.expires_at is 'When the session ends at the latest.';
create index if not exists console_sessions_expires_at on ingest.console_sessions (expires_at);

create table if not exists ingest.console_links (
    code_hash bytea primary key,
    actor text not null,
    role text not null,
    expires_at timestamptz not null
);
comment on table ingest.console_links is 'Links that sign somebody in to the console once.';
comment on column ingest.console_links.code_hash is 'HMAC-SHA-256 of the code in the link.';
comment on column ingest.console_links.actor is 'What the audit log will call whoever uses it.';
comment on column ingest.console_links.role is 'viewer, operator or admin.';
create index if not exists console_links_expires_at on ingest.console_links (expires_at);

-- What makes a token one is shown to whoever makes it and stored nowhere.
create table if not exists ingest.api_tokens (
    id bigint generated always as identity primary key,
    name text not null,
    hash bytea not null unique,
    scopes text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
comment on table ingest.api_tokens is 'Tokens by which programs use the API.';
comment on column ingest.api_tokens.name is 'What the audit log calls it: token:<name>.';
comment on column ingest.api_tokens.hash is 'SHA-256 of the token.';
comment on column ingest.api_tokens.scopes is 'What it allows: members:read, events:act, …';
comment on column ingest.api_tokens.last_used_at is 'Written at most once a minute.';
create unique index if not exists api_tokens_name on ingest.api_tokens (name) where revoked_at is null;

-- Who asks again gets the same answer, and the act is done once.
create table if not exists ingest.idempotency_keys (
    actor text not null,
    key text not null,
    request_hash bytea not null,
    began_at timestamptz not null,
    status smallint,
    content_type text,
    body bytea,
    primary key (actor, key)
);
comment on table ingest.idempotency_keys is 'Acts asked for with an Idempotency-Key and what was answered, for a day.';
comment on column ingest.idempotency_keys.actor is 'Who asked: keys of others are others.';
comment on column ingest.idempotency_keys.request_hash is 'SHA-256 of method, path and body.';
comment on column ingest.idempotency_keys.status is 'What was answered; null while the act is under way.';
create index if not exists idempotency_keys_began_at on ingest.idempotency_keys (began_at);

-- protect_tables says this for all that is in the schema; until then nothing is open either.
revoke all on schema ingest from anon, authenticated;
revoke all on all functions in schema ingest from public, anon, authenticated;
