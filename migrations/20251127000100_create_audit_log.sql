-- What operators did: one line for each act that may change tables beside the events.

create table if not exists ingest.audit_log (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    actor text not null,
    act text not null,
    arguments jsonb not null,
    outcome jsonb not null
);
comment on table ingest.audit_log is 'What operators did with memberflow''s commands, one line each, written with the act itself.';
comment on column ingest.audit_log.actor is 'The operating system''s user and host: ada@crm-1.';
comment on column ingest.audit_log.act is 'The command: rebuild.';
comment on column ingest.audit_log.arguments is 'What the command was asked for.';
comment on column ingest.audit_log.outcome is 'What came of it, in figures.';
create index if not exists audit_log_at on ingest.audit_log (at);
alter table ingest.audit_log enable row level security;
revoke all on ingest.audit_log from public, anon, authenticated;
revoke all on sequence ingest.audit_log_id_seq from public, anon, authenticated;
