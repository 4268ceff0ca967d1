-- What was answered to acts that were asked for with an Idempotency-Key, for a day: who asks again gets the same answer,
-- and the act is done once.

create table if not exists ingest.idempotency_keys (
    actor text not null,
    key text not null,
    request_hash bytea not null,
    began_at timestamptz not null,
    status smallint,
    content_type text,
    body bytea,
    primary key (actor, key)
);
comment on table ingest.idempotency_keys is 'Acts asked for with an Idempotency-Key and what was answered, for a day.';
comment on column ingest.idempotency_keys.actor is 'Who asked: keys of others are others.';
comment on column ingest.idempotency_keys.request_hash is 'SHA-256 of method, path and body.';
comment on column ingest.idempotency_keys.status is 'What was answered; null while the act is under way.';
create index if not exists idempotency_keys_began_at on ingest.idempotency_keys (began_at);
alter table ingest.idempotency_keys enable row level security;
revoke all on ingest.idempotency_keys from public, anon, authenticated;
