-- Tokens by which programs use the API. What makes a token one is shown to whoever makes it and stored nowhere.

create table if not exists ingest.api_tokens (
    id bigint generated always as identity primary key,
    name text not null,
    hash bytea not null unique,
    scopes text[] not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
comment on table ingest.api_tokens is 'Tokens by which programs use the API.';
comment on column ingest.api_tokens.name is 'What the audit log calls it: token:<name>.';
comment on column ingest.api_tokens.hash is 'SHA-256 of the token.';
comment on column ingest.api_tokens.scopes is 'What it allows: members:read, events:act, …';
comment on column ingest.api_tokens.last_used_at is 'Written at most once a minute.';
create unique index if not exists api_tokens_name on ingest.api_tokens (name) where revoked_at is null;
alter table ingest.api_tokens enable row level security;
revoke all on ingest.api_tokens from public, anon, authenticated;
revoke all on sequence ingest.api_tokens_id_seq from public, anon, authenticated;
