-- What is about a member is listed on the member's page, a page at a time: rows and files, operators' acts, and events that
-- name the member and no object. Each list is read by one of these indexes, however many rows others have. Consumers wait
-- while they are built.

create index if not exists row_facts_user on ingest.row_facts (user_id, occurred_at) where user_id is not null;

create index if not exists audit_log_member on ingest.audit_log ((arguments ->> 'user_id'), at, id)
    where arguments ->> 'user_id' is not null;
create index if not exists audit_log_ticket on ingest.audit_log ((arguments ->> 'ticket_id'), at, id)
    where arguments ->> 'ticket_id' is not null;

-- Logins and changes of accounts. The account's own row is named by `id`, all else by `user_id`. Functions of Postgres alone:
-- a body that is not JSON gives null, and a role that inserts events needs no further right.
create index if not exists inbox_member on ingest.inbox (
    (substring(encode(body, 'escape') from
        case when event_type like 'auth.users.%' or event_type like '%user-created'
             then '"id" ?: ?"([0-9a-f-]{36})"' else '"user_id" ?: ?"([0-9a-f-]{36})"' end)),
    occurred_at
) where subject is null and state = 'applied' and source in ('supabase.auth', 'supabase.database');
