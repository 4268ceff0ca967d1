-- One event, one row, from its acceptance to its end: what inbox, outbox, failing and dead letters each held is a state
-- of that row. Nothing is copied or rewritten: the inbox gets the columns, and `ingest.events` is its name from now on. The
-- table itself keeps the old name for as long as processes of the version before may write to it (what they insert is
-- applied), and so that every earlier file can be applied again. Their outbox, failing and dead_letters stay for them and
-- for triggers installed before; consumers move what comes in there. `ingest.consumers` is no longer used.

alter table ingest.inbox alter column applied_at drop not null;
alter table ingest.inbox
    add column if not exists state text not null default 'applied',
    add column if not exists id bigint,
    add column if not exists attempts integer not null default 0,
    add column if not exists alone boolean not null default false,
    add column if not exists next_attempt_at timestamptz,
    add column if not exists reason text,
    add column if not exists dead_at timestamptz;

comment on table ingest.inbox is
    'Every event once, with its exact bytes: those applied are the set that all other tables are a function of. Use it as ingest.events.';
comment on column ingest.inbox.subject is 'The provider''s object that the event is about (sub_…, in_…, public.vision_versions/<id>); null where the event changes no fact, and until it is applied.';
comment on column ingest.inbox.state is 'pending (accepted, not applied yet), applied, or dead (given up until it is redriven).';
comment on column ingest.inbox.id is 'Names a dead letter, and orders pending events that are due alike. Null where the event was applied before there were such numbers.';
comment on column ingest.inbox.attempts is 'Attempts that failed or did not come to an end. One that may end the process is counted before it is made.';
comment on column ingest.inbox.alone is 'A pending event that is to be tried alone: it has failed, or consumers did not survive the batch that it was in.';
comment on column ingest.inbox.next_attempt_at is 'When a pending event is due.';
comment on column ingest.inbox.reason is 'What the last attempt said, or why the event is dead.';

create sequence if not exists ingest.event_ids owned by ingest.inbox.id;
comment on sequence ingest.event_ids is 'Numbers events as they come, above the dead letters of earlier versions.';
select pg_catalog.setval('ingest.event_ids', greatest(
    (select last_value from ingest.event_ids),
    (select coalesce(max(id), 1) from ingest.dead_letters)));
alter table ingest.inbox alter column id set default nextval('ingest.event_ids');

create index if not exists inbox_pending on ingest.inbox (alone, next_attempt_at, id) where state = 'pending';
create index if not exists inbox_dead on ingest.inbox (id) where state = 'dead';

create or replace view ingest.events with (security_invoker = true) as
select source, event_id, event_type, subject, occurred_at, received_at, applied_at, body, pruned_at, not_counted,
       state, id, attempts, alone, next_attempt_at, reason, dead_at
from ingest.inbox;
comment on view ingest.events is 'Every event once: pending, applied or dead.';
revoke all on ingest.events from public, anon, authenticated;
revoke all on sequence ingest.event_ids from public, anon, authenticated;

-- Called by whoever inserts pending events, and not by a trigger on the table, which every applied event would pay for.
--
-- Whoever notifies commits alone: Postgres lets one such commit go on at a time. Users must not line up for us,
-- so that of their transactions (which get here by way of a trigger) one in 20 ms notifies; the consumers look
-- again shortly after they were woken, and now and then in any case.
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
        if last_ms between now_ms - 20 and now_ms then
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
revoke all on function ingest.wake_consumers() from public, anon, authenticated;

comment on table ingest.outbox is 'Written by triggers and processes of earlier versions; consumers move its events to ingest.events.';
comment on table ingest.failing is 'Written by processes of earlier versions; consumers move its events to ingest.events.';
comment on table ingest.dead_letters is 'Written by processes of earlier versions; consumers move its events to ingest.events.';
comment on table ingest.consumers is 'No longer used.';
