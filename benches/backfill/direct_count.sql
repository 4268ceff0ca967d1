-- How many members' activity rows are not what a direct count of the tables says.
\set ON_ERROR_STOP on
with logins as (
    select user_id, count(*) as total, max(created_at) as latest from (
        select user_id, created_at from auth.sessions
        union all
        select (payload ->> 'actor_id')::uuid, e.created_at from auth.audit_log_entries e
        where payload ->> 'action' = 'login' and not exists (
            select from auth.sessions s where s.user_id = (payload ->> 'actor_id')::uuid
              and s.created_at between e.created_at - interval '1 second' and e.created_at + interval '1 second')
        union all
        select id, last_sign_in_at from auth.users u where last_sign_in_at is not null and not exists (
            select from auth.sessions s where s.user_id = u.id
              and s.created_at between last_sign_in_at - interval '1 second' and last_sign_in_at + interval '1 second')
          and not exists (
            select from auth.audit_log_entries e
            where e.payload ->> 'action' = 'login' and (e.payload ->> 'actor_id')::uuid = u.id
              and e.created_at between last_sign_in_at - interval '1 second' and last_sign_in_at + interval '1 second')
    ) l group by user_id
),
visions as (select user_id, count(*) as total from public.vision_versions where not is_draft group by user_id),
entries as (select user_id, count(*) as total from public.journal_entries group by user_id),
files as (
    select owner_id::uuid as user_id, count(*) as total, sum((metadata ->> 'size')::bigint) as bytes
    from storage.objects group by 1
)
select count(*) as members,
       count(*) filter (where (
           m.total_logins, m.last_login_at, m.vision_count, m.journal_entry_count, m.s3_file_count, m.total_storage_mb)
           is distinct from (
           coalesce(l.total, 0), l.latest, coalesce(v.total, 0), coalesce(j.total, 0), coalesce(f.total, 0),
           round(coalesce(f.bytes, 0) / 1048576.0, 2))) as differing
from auth.users u
left join public.user_activity_metrics m on m.user_id = u.id
left join logins l on l.user_id = u.id
left join visions v on v.user_id = u.id
left join entries j on j.user_id = u.id
left join files f on f.user_id = u.id;
