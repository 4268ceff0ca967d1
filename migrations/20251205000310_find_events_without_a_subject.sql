-- What is about several objects or about none (logins, users, rows that were read from a table, matches by address) has no
-- subject to be found by; `replay --from-inbox` reads it whole.
create index if not exists inbox_without_subject on ingest.inbox (source, event_id)
    where subject is null and state = 'applied';
