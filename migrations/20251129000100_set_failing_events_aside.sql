-- Events that failed and are tried again one by one, and consumers that have not ended yet.

create table if not exists ingest.failing (
    source text not null,
    event_id text not null,
    event_type text not null,
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    body bytea not null,
    attempts integer not null,
    last_error text,
    next_at timestamptz not null,
    primary key (source, event_id)
);
comment on table ingest.failing is
    'Events that could not be applied and may be later: each is tried alone, less and less often, and becomes a dead letter in the end. Also what a consumer that follows one that crashed has under way.';
comment on column ingest.failing.attempts is 'Attempts begun alone: one that ends the process counts, too.';
create index if not exists failing_next_at on ingest.failing (next_at);
alter table ingest.failing enable row level security;
revoke all on ingest.failing from public, anon, authenticated;

create table if not exists ingest.consumers (
    id uuid primary key,
    started_at timestamptz not null
);
comment on table ingest.consumers is
    'Consumers that have begun and not ended by themselves. One that starts beside such a row goes carefully: an event may have ended the other.';
alter table ingest.consumers enable row level security;
revoke all on ingest.consumers from public, anon, authenticated;
