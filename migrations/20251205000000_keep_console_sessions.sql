-- Who is signed in to the console, and the links that sign somebody in once. Neither an id nor a code is stored, only what
-- an HMAC under the admin token makes of it: who reads the tables can use nothing, and another token ends all sessions.

create table if not exists ingest.console_sessions (
    id_hash bytea primary key,
    actor text not null,
    role text not null,
    created_at timestamptz not null,
    last_used_at timestamptz not null,
    expires_at timestamptz not null
);
comment on table ingest.console_sessions is 'Who is signed in to the console.';
comment on column ingest.console_sessions.id_hash is 'HMAC-SHA-256 of the session''s id, which only the browser has.';
comment on column ingest.console_sessions.actor is 'What the audit log calls this person.';
comment on column ingest.console_sessions.role is 'viewer, operator or admin.';
comment on column ingest.console_sessions.last_used_at is 'To the minute.';
comment on column ingest.console_sessions.expires_at is 'When the session ends at the latest.';
create index if not exists console_sessions_expires_at on ingest.console_sessions (expires_at);
alter table ingest.console_sessions enable row level security;
revoke all on ingest.console_sessions from public, anon, authenticated;

create table if not exists ingest.console_links (
    code_hash bytea primary key,
    actor text not null,
    role text not null,
    expires_at timestamptz not null
);
comment on table ingest.console_links is 'Links that sign somebody in to the console once.';
comment on column ingest.console_links.code_hash is 'HMAC-SHA-256 of the code in the link.';
comment on column ingest.console_links.actor is 'What the audit log will call whoever uses it.';
comment on column ingest.console_links.role is 'viewer, operator or admin.';
create index if not exists console_links_expires_at on ingest.console_links (expires_at);
alter table ingest.console_links enable row level security;
revoke all on ingest.console_links from public, anon, authenticated;
