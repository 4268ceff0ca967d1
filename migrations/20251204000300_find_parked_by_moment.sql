-- What is parked is listed from what waits longest, all of it or of one reason.
create index if not exists parked_at on ingest.parked (parked_at, subject, reason);
create index if not exists parked_reason_at on ingest.parked (reason, parked_at, subject);
-- The index above finds a reason just as well.
drop index if exists ingest.parked_reason;
create index if not exists ambiguous_leads_since on ingest.ambiguous_leads (since);
