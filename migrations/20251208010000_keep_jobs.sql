-- Long operations that are requested in the console or through the API: a process takes each up, and pages follow it.
create table if not exists ingest.jobs (
    id bigint generated always as identity primary key,
    operation text not null
        check (operation in ('reconcile stripe', 'reconcile supabase', 'reconcile twilio', 'rebuild')),
    is_fix boolean not null,
    state text not null default 'waiting' check (state in ('waiting', 'running', 'done', 'failed', 'cancelled')),
    requested_by text not null,
    requested_at timestamptz not null,
    started_at timestamptz,
    ended_at timestamptz,
    heartbeat_at timestamptz,
    attempts integer not null default 0,
    part text,
    done bigint,
    total bigint,
    result jsonb,
    error text
);
comment on table ingest.jobs is 'Operations that were requested in the console or through the API, and what came of each.';
comment on column ingest.jobs.operation is 'The command: reconcile stripe, reconcile supabase, reconcile twilio or rebuild.';
comment on column ingest.jobs.is_fix is 'Whether it fixes what differs; otherwise it only compares.';
comment on column ingest.jobs.state is 'waiting, running, done, failed or cancelled. Whoever runs one holds an advisory lock: a running job whose lock is free was interrupted.';
comment on column ingest.jobs.requested_by is 'Who requested it, as the audit log calls them.';
comment on column ingest.jobs.started_at is 'When it was last taken up.';
comment on column ingest.jobs.heartbeat_at is 'When the process that runs it last reported.';
comment on column ingest.jobs.attempts is 'How often it was taken up, without those that a shutdown ended.';
comment on column ingest.jobs.part is 'What is being done.';
comment on column ingest.jobs.done is 'How many pieces of the part are done.';
comment on column ingest.jobs.total is 'How many pieces the part has; 0 if nobody knows.';
comment on column ingest.jobs.result is 'The summary that the command prints as JSON.';
comment on column ingest.jobs.error is 'Why it failed, and what to do.';
-- One of each operation at a time; and those that wait or run are found among all that have ended.
create unique index if not exists jobs_active on ingest.jobs (operation) where state in ('waiting', 'running');
alter table ingest.jobs enable row level security;
revoke all on ingest.jobs from public, anon, authenticated;
revoke all on sequence ingest.jobs_id_seq from public, anon, authenticated;
