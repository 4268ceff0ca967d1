-- After a restore of the database to an earlier moment the sequence would give numbers a second time that the lost
-- hours gave before: to events that may still be on the broker. So the numbers run ahead with the clock: whenever
-- the triggers are installed they go on from the microseconds since 1970, which no earlier number can have reached.
-- (The names of the events hold the moment as well, and are therefore never given twice.)

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
revoke all on function ingest.advance_change_numbers() from public, anon, authenticated;

select ingest.advance_change_numbers();
