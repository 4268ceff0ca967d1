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
