-- What operators read is found by index, a page at a time: dead letters by when they were given up, and what operators did
-- by when, by whom, by act, and by the event that it was done with. The first is a partial index, for which the table is
-- read once; events that come in pay nothing for it.
create index if not exists inbox_dead_at on ingest.inbox (dead_at, source, event_id) where state = 'dead';

create index if not exists audit_log_at_id on ingest.audit_log (at, id);
-- The index above finds a moment just as well.
drop index if exists ingest.audit_log_at;
create index if not exists audit_log_actor on ingest.audit_log (actor, at, id);
create index if not exists audit_log_act on ingest.audit_log (act, at, id);
create index if not exists audit_log_events on ingest.audit_log using gin ((outcome -> 'events'));
create index if not exists audit_log_ids on ingest.audit_log using gin ((arguments -> 'ids'));
