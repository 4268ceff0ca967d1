-- Who writes rows of several users waits for the deletion of one of them before the first of those rows is written, and never
-- in the middle: a deletion that has taken the user and now wants the rows would wait for the writer, and the writer for the
-- user. Holding a row takes more than reading it; a role that may only read goes without.
create or replace function ingest.hold_users(users uuid[]) returns setof uuid
language plpgsql set search_path = '' as $$
begin
    if pg_catalog.has_any_column_privilege('auth.users', 'update') then
        return query
            select u.id from (select distinct w.id from unnest(users) as w (id) order by w.id) w
            cross join lateral (select u.id from auth.users u where u.id = w.id for key share) u;
    else
        return query
            select u.id from unnest(users) as w (id)
            cross join lateral (select u.id from auth.users u where u.id = w.id offset 0) u;
    end if;
end
$$;
comment on function ingest.hold_users(uuid[]) is
    'Those of the users who are there. Nobody deletes them before the transaction ends, where its role may hold them.';
revoke all on function ingest.hold_users(uuid[]) from public, anon, authenticated;
