-- Events counted by day and by minute, and found by the member they are about.

-- ------------------------------------------------------------------------------------------ by day

-- How busy each source is by day, and its longest gap: what tells silence from a quiet hour. The consumer adds what was
-- applied since it last counted, once a minute and by index; events that come in pay nothing for it.
create table if not exists ingest.source_days (
    source text not null,
    day date not null,
    events bigint not null,
    longest_gap_s double precision not null,
    last_received_at timestamptz not null,
    primary key (source, day)
);
comment on table ingest.source_days is 'Events of each source by day (UTC), for 30 days.';
comment on column ingest.source_days.events is 'Events received that day and applied.';
comment on column ingest.source_days.longest_gap_s is 'The longest time that ended that day in which none was received, in seconds.';
comment on column ingest.source_days.last_received_at is 'When that day''s last one was received.';
alter table ingest.source_days enable row level security;
revoke all on ingest.source_days from public, anon, authenticated;

create table if not exists ingest.sources_counted (
    id boolean primary key default true check (id),
    until timestamptz not null
);
comment on table ingest.sources_counted is 'Until when applied events are counted in source_days; one row.';
insert into ingest.sources_counted (until) values ('1970-01-01Z') on conflict do nothing;
alter table ingest.sources_counted enable row level security;
revoke all on ingest.sources_counted from public, anon, authenticated;

-- --------------------------------------------------------------------------------------- by minute

-- How many events are applied, how soon, and how many wait: by minute for two days and by hour for a month, so that charts
-- read only the points they show. The consumer adds to both once a minute; events that come in pay nothing for it.
create table if not exists ingest.throughput (
    span_s integer not null,
    at timestamptz not null,
    source text not null,
    events bigint not null,
    freshness_p50_s double precision not null,
    freshness_p99_s double precision not null,
    primary key (span_s, at, source)
);
comment on table ingest.throughput is 'Events of each source by when they were applied: by minute for 48 hours, by hour for 31 days.';
comment on column ingest.throughput.span_s is 'The length of the row''s time in seconds: 60 or 3600.';
comment on column ingest.throughput.at is 'When that time began.';
comment on column ingest.throughput.events is 'Events applied in that time.';
comment on column ingest.throughput.freshness_p50_s is
    'From receipt until applied, in seconds: the median; of a time that was counted in parts, their mean by number of events.';
comment on column ingest.throughput.freshness_p99_s is
    'The same of the slowest in a hundred; of a time that was counted in parts, that of the slowest part.';
alter table ingest.throughput enable row level security;
revoke all on ingest.throughput from public, anon, authenticated;

create table if not exists ingest.backlog (
    span_s integer not null,
    at timestamptz not null,
    waiting bigint not null,
    oldest_s double precision not null,
    primary key (span_s, at)
);
comment on table ingest.backlog is 'The most events that waited in a minute (kept for 48 hours) or an hour (31 days), as measured once a minute.';
comment on column ingest.backlog.span_s is 'The length of the row''s time in seconds: 60 or 3600.';
comment on column ingest.backlog.at is 'When that time began.';
comment on column ingest.backlog.waiting is 'Pending events not tried yet; counting stops at 10,001.';
comment on column ingest.backlog.oldest_s is
    'The age of the oldest of them, or of those taken from the broker and not applied yet, in seconds; 0 where none waited.';
alter table ingest.backlog enable row level security;
revoke all on ingest.backlog from public, anon, authenticated;

-- --------------------------------------------------------------------------------------- by member

-- What is about a member is listed on the member's page, a page at a time: rows and files, operators' acts, and events that
-- name the member and no object. Each list is read by one of these indexes, however many rows others have. Consumers wait
-- while they are built: first for the table of events, because they write it before they write what events change.

-- Logins and changes of accounts. The account's own row is named by `id`, all else by `user_id`. Functions of Postgres alone:
-- a body that is not JSON gives null, and a role that inserts events needs no further right.
create index if not exists inbox_member on ingest.inbox (
    (substring(encode(body, 'escape') from
        case when event_type like 'auth.users.%' or event_type like '%user-created'
             then '"id" ?: ?"([0-9a-f-]{36})"' else '"user_id" ?: ?"([0-9a-f-]{36})"' end)),
    occurred_at
) where subject is null and state = 'applied' and source in ('supabase.auth', 'supabase.database');

create index if not exists row_facts_user on ingest.row_facts (user_id, occurred_at) where user_id is not null;

create index if not exists audit_log_member on ingest.audit_log ((arguments ->> 'user_id'), at, id)
    where arguments ->> 'user_id' is not null;
create index if not exists audit_log_ticket on ingest.audit_log ((arguments ->> 'ticket_id'), at, id)
    where arguments ->> 'ticket_id' is not null;
