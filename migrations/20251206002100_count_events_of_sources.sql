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
