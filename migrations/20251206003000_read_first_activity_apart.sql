-- The first reading of activity has a name of its own: it counts what it has read at its end, and processes of the version
-- before, which count page by page, must not go on with it.
alter table ingest.backfills
    drop constraint if exists backfills_scope_check,
    add constraint backfills_scope_check check (scope in ('activity', 'revenue', 'first activity'));
