-- Reading in what stood in the application's tables: how far it is, and logins that are known from less than a
-- session.

create table if not exists ingest.backfills (
    id bigint generated always as identity primary key,
    scope text not null check (scope in ('activity', 'revenue')),
    at timestamptz not null,
    is_first boolean not null,
    part text not null,
    position text,
    looked_at jsonb not null default '{}',
    found jsonb not null default '{}',
    completed_at timestamptz
);
comment on table ingest.backfills is
    'Each reading of what stands in the application''s tables. One that was interrupted goes on where it was; several processes share one.';
comment on column ingest.backfills.at is 'The moment that its events carry.';
comment on column ingest.backfills.is_first is 'At the first start: nothing can be out of date yet.';
comment on column ingest.backfills.position is 'The last key read of the part; null at its beginning.';
comment on column ingest.backfills.looked_at is 'Rows looked at, by part.';
comment on column ingest.backfills.found is 'Rows that no event had told of, or told otherwise, by part.';
create unique index if not exists backfills_under_way on ingest.backfills (scope) where completed_at is null;
alter table ingest.backfills enable row level security;
revoke all on ingest.backfills from public, anon, authenticated;
revoke all on sequence ingest.backfills_id_seq from public, anon, authenticated;

alter table ingest.logins
    add column if not exists evidence smallint not null default 0,
    add column if not exists counted boolean not null default true;
comment on column ingest.logins.evidence is '0 a session, 1 an entry of the audit log, 2 the user''s last sign-in.';
comment on column ingest.logins.counted is
    'A login known from less than a session counts unless stronger evidence of the same user stands within one second: then it is that login.';
create index if not exists logins_weaker on ingest.logins (user_id, logged_in_at) where evidence > 0;
