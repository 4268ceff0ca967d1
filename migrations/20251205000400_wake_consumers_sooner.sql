-- An event of a trigger was seen up to 50 ms late, where another transaction had notified 20 ms before.
--
-- Whoever notifies commits alone: Postgres lets one such commit go on at a time. Users must not line up for us,
-- so that of their transactions (which get here by way of a trigger) one in 5 ms notifies; the consumers look
-- again 6 ms after they were woken, and now and then in any case.
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
