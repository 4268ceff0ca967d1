-- What nothing in this version needs. Processes of earlier versions that run beside it during an upgrade, and triggers that
-- they made, may still write here; consumers move what comes in to ingest.events.

create table if not exists ingest.outbox (
    id bigint generated always as identity primary key,
    source text not null check (source in ('stripe', 'supabase.auth', 'supabase.database', 'twilio')),
    event_id text not null,
    event_type text not null,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    body bytea not null
);
comment on table ingest.outbox is 'Written by triggers and processes of earlier versions; consumers move its events to ingest.events.';
create index if not exists outbox_source on ingest.outbox (source, id);

create table if not exists ingest.failing (
    source text not null,
    event_id text not null,
    event_type text not null,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    body bytea not null,
    attempts integer not null,
    last_error text,
    next_at timestamptz not null,
    primary key (source, event_id)
);
comment on table ingest.failing is 'Written by processes of earlier versions; consumers move its events to ingest.events.';
comment on column ingest.failing.attempts is 'Attempts begun alone: one that ends the process counts, too.';
create index if not exists failing_next_at on ingest.failing (next_at);

create table if not exists ingest.dead_letters (
    id bigint generated always as identity primary key,
    source text not null,
    event_id text not null,
    event_type text not null,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    body bytea not null,
    reason text not null,
    dead_at timestamptz not null,
    unique (source, event_id)
);
comment on table ingest.dead_letters is 'Written by processes of earlier versions; consumers move its events to ingest.events.';

create table if not exists ingest.consumers (
    id uuid primary key,
    started_at timestamptz not null
);
comment on table ingest.consumers is 'No longer used.';

-- Compressed as in ingest.inbox.
do $$
declare
    relation regclass;
begin
    for relation in
        select attrelid from pg_catalog.pg_attribute
        where attrelid in ('ingest.outbox'::regclass, 'ingest.dead_letters'::regclass)
            and attname = 'body' and attcompression <> 'l'
    loop
        execute format('alter table %s alter column body set compression lz4', relation);
    end loop;
exception
    when feature_not_supported then
        null;
end $$;

-- Of the users' transactions (which get here by way of another trigger) one in 20 ms notifies: see ingest.wake_consumers.
create or replace function ingest.wake_outbox_readers() returns trigger
language plpgsql set search_path = '' as $$
declare
    now_ms constant bigint := extract(epoch from clock_timestamp()) * 1000;
    last_ms bigint;
begin
    if pg_catalog.pg_trigger_depth() > 1 then
        select last_value into last_ms from ingest.last_wake;
        if last_ms between now_ms - 20 and now_ms then
            return null;
        end if;
        perform pg_catalog.setval('ingest.last_wake', now_ms);
    end if;
    if pg_catalog.pg_notification_queue_usage() < 0.5 then
        perform pg_catalog.pg_notify('memberflow_outbox', '');
    end if;
    return null;
end
$$;
comment on function ingest.wake_outbox_readers() is
    'Tells the relay and the consumers that there is news in the outbox, whoever wrote it.';
create or replace trigger outbox_wakes_readers after insert on ingest.outbox
    for each statement execute function ingest.wake_outbox_readers();

-- What a member's leads were worth before they counted from their moment.
create or replace function ingest.lead_value(member uuid, in_currency text, column_type regtype) returns numeric
language sql stable set search_path = '' as $$
    select coalesce(sum(r.ltv), 0) / ingest.minor_units_in(in_currency, column_type)
    from public.user_revenue_by_currency r where r.user_id = member and r.currency = lower(in_currency)
$$;

revoke all on all functions in schema ingest from public, anon, authenticated;
