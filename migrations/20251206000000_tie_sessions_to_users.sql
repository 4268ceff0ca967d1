-- Whose a session of the console is, where somebody signed in by Supabase. What such a person may do is looked up at each
-- request; the session ends with the user's right to the console, and with the session at Supabase that it came from.

alter table ingest.console_sessions
    add column if not exists user_id uuid,
    add column if not exists auth_session_id uuid;
comment on column ingest.console_sessions.role is
    'viewer, operator or admin. Where user_id is set: viewer, and what the person may do is looked up at each request.';
comment on column ingest.console_sessions.user_id is
    'The user in auth.users who signed in by Supabase; null: by the admin token or a link made with it.';
comment on column ingest.console_sessions.auth_session_id is
    'The session in auth.sessions that signing in made; when that ends, so does this one.';
-- No foreign keys: they would hold locks on tables of Supabase. A session of a user who is gone is found and ended.
create index if not exists console_sessions_user_id on ingest.console_sessions (user_id);
