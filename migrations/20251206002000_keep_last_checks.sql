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
