-- A project with years of data: :users members and five rows for each of them (psql -v users=1000000).
-- Every tenth session stands in the audit log, too; the log's other entries are logins whose sessions were deleted.
\set ON_ERROR_STOP on
set synchronous_commit = off;
set session_replication_role = replica; -- What is made up here breaks no reference.

create function pg_temp.id(kind text, n bigint) returns uuid language sql immutable as
    $$ select md5(kind || n)::uuid $$;
create function pg_temp.owner(n bigint, users bigint) returns uuid language sql immutable as
    $$ select pg_temp.id('user', n % users) $$;
create function pg_temp.moment(n bigint) returns timestamptz language sql immutable as
    $$ select timestamptz '2024-01-01 00:00:00Z' + n * interval '61 seconds' $$;

insert into auth.users (instance_id, id, email, email_confirmed_at, created_at, updated_at, last_sign_in_at)
select '00000000-0000-0000-0000-000000000000', pg_temp.id('user', n), 'member' || n || '@example.com',
       pg_temp.moment(n), pg_temp.moment(n), pg_temp.moment(n),
       case when n % 5 < 4 then pg_temp.moment(n) end
from generate_series(0, :users - 1) n;

insert into auth.sessions (id, user_id, created_at, updated_at)
select pg_temp.id('session', n), pg_temp.owner(n, :users), pg_temp.moment(n), pg_temp.moment(n)
from generate_series(0, :users * 8 / 10 - 1) n;

insert into auth.audit_log_entries (instance_id, id, payload, created_at)
select '00000000-0000-0000-0000-000000000000', pg_temp.id('entry', n),
       json_build_object('action', case when n % 12 = 11 then 'token_refreshed' else 'login' end,
                         'actor_id', pg_temp.owner(n, :users)),
       pg_temp.moment(n) + case when n % 10 = 0 then interval '0' else interval '1 day' end
from generate_series(0, :users * 12 / 10 - 1) n;

insert into public.vision_versions (id, user_id, is_draft, created_at, updated_at)
select pg_temp.id('vision', n), pg_temp.owner(n * 7, :users), n % 4 = 0, pg_temp.moment(n), pg_temp.moment(n)
from generate_series(0, :users - 1) n;

insert into public.journal_entries (id, user_id, created_at, updated_at)
select pg_temp.id('journal', n), pg_temp.owner(n * 3, :users), pg_temp.moment(n), pg_temp.moment(n)
from generate_series(0, :users * 8 / 10 - 1) n;

insert into storage.buckets (id, name) values ('files', 'files');
insert into storage.objects (id, bucket_id, name, owner_id, metadata, created_at, updated_at)
select pg_temp.id('file', n), 'files', 'file' || n, pg_temp.owner(n * 11, :users)::text,
       jsonb_build_object('size', n % 5000000, 'mimetype', 'image/png'), pg_temp.moment(n), pg_temp.moment(n)
from generate_series(0, :users * 7 / 10 - 1) n;

insert into public.user_profiles (id, user_id, first_name, last_name, phone, updated_at)
select pg_temp.id('profile', n), pg_temp.owner(n, :users), 'Ada', case when n % 2 = 0 then 'Lovelace' end,
       case when n % 3 = 0 then '+15550100' end, pg_temp.moment(n)
from generate_series(0, :users / 2 - 1) n;

analyze;
