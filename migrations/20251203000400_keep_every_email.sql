-- Every e-mail address that a customer's events ever gave is evidence of whose the customer is, from the earliest
-- moment on. ingest.claims kept the newest alone, so that it mattered which report came first.

create table if not exists ingest.customer_emails (
    object_id text not null,
    email text not null,
    customer_id text not null,
    role text not null check (role in ('given', 'checkout', 'matched', 'passed')),
    user_id uuid,
    reported_at timestamptz not null,
    place smallint not null,
    event_id text not null,
    primary key (object_id, email)
);
comment on table ingest.customer_emails is
    'The e-mail addresses of each customer, each from the earliest event on that gave it: the user of the earliest one that belongs to a confirmed user is the customer''s.';
comment on column ingest.customer_emails.email is 'ASCII letters in lower case. Empty: the person was forgotten.';
comment on column ingest.customer_emails.role is
    'given: evidence. checkout: typed at a checkout of a known customer, no evidence but perhaps a contradiction. matched: user_id was matched by it. passed: it was nobody''s when user_id was matched by a later one.';
comment on column ingest.customer_emails.place is
    'The order within a second: 0 the customer was made with it, 1 it was there before that event, 2 it is there now.';
create index if not exists customer_emails_customer on ingest.customer_emails (customer_id);
create index if not exists customer_emails_email on ingest.customer_emails (email);
create index if not exists customer_emails_user on ingest.customer_emails (user_id) where user_id is not null;
alter table ingest.customer_emails enable row level security;
revoke all on ingest.customer_emails from public, anon, authenticated;

-- What was kept so far; `memberflow rebuild` adds the older addresses from the events.
insert into ingest.customer_emails (object_id, email, customer_id, role, reported_at, place, event_id)
select c.object_id, c.email, c.customer_id, 'given', c.reported_at,
       case when i.event_type = 'customer.created' then 0 else 2 end, c.event_id
from ingest.claims c
left join ingest.inbox i on i.source = 'stripe' and i.event_id = c.event_id
where c.strength = 4 and c.email <> '' and octet_length(c.email) <= 512
on conflict do nothing;

insert into ingest.customer_emails (object_id, email, customer_id, role, user_id, reported_at, place, event_id)
select 'match/' || (m.body ->> 'customer') || '/' || (m.body ->> 'user_id'), m.body ->> 'email', m.body ->> 'customer',
       'matched', (m.body ->> 'user_id')::uuid, m.occurred_at, 2, m.event_id
from (select event_id, occurred_at, convert_from(body, 'UTF8')::jsonb as body from ingest.inbox
      where source = 'internal' and event_type = 'matched' and length(body) > 0) m
where octet_length(m.body ->> 'email') <= 512
on conflict do nothing;

delete from ingest.claims where strength = 4;
drop index if exists ingest.claims_email;
comment on column ingest.claims.email is 'No longer used: see ingest.customer_emails.';
comment on column ingest.claims.strength is
    '1 explicit user id in metadata, 2 checkout client_reference_id, 3 customer known before memberflow.';

-- The form in which addresses are compared. Only ASCII letters: what Unicode folds into one letter (the Kelvin sign
-- into k) is not the same address.
create or replace function ingest.folded_email(address text) returns text
language sql immutable set search_path = '' as $$
    select translate(btrim(address), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz')
$$;
comment on function ingest.folded_email(text) is 'An e-mail address as addresses are compared.';

-- The one way to look for a user by address. Users made in SQL may have no instance_id; single sign-on vouches for its
-- own users alone. Supabase's index on (instance_id, lower(email)) serves both halves, whatever the planner believes
-- of a table that has just been filled.
create or replace function ingest.users_with_email(addresses text[], with_sso boolean)
returns table (email text, user_id uuid)
language plpgsql stable set search_path = ''
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
#variable_conflict use_column
begin
    return query
    select a.address, u.id
    from unnest(addresses) as a (address)
    cross join lateral (
        select o.id, o.email, o.is_sso_user from auth.users o
        where o.instance_id = '00000000-0000-0000-0000-000000000000' and lower(o.email) = lower(a.address)
          and o.email_confirmed_at is not null
        union all
        select o.id, o.email, o.is_sso_user from auth.users o
        where o.instance_id is null and lower(o.email) = lower(a.address) and o.email_confirmed_at is not null
    ) u
    where ingest.folded_email(u.email) = a.address and (with_sso or u.is_sso_user is not true);
end
$$;
comment on function ingest.users_with_email(text[], boolean) is
    'The confirmed users who have these addresses (as ingest.folded_email writes them), each with the address.';

create or replace function ingest.member_with_address(address text) returns uuid
language sql stable set search_path = '' as $$
    select (array_agg(u.user_id))[1] from ingest.users_with_email(array[ingest.folded_email(address)], false) u
    having count(*) = 1
$$;

-- For customers that wait: the earliest address that anybody has, and who that is.
create or replace function ingest.earliest_email_with_users(customer text, with_sso boolean)
returns table (email text, users uuid[])
language sql stable set search_path = '' as $$
    select e.email, h.users
    from (select distinct on (g.email) g.email, g.reported_at, g.place from ingest.customer_emails g
          where g.customer_id = customer and g.role = 'given'
          order by g.email, g.reported_at, g.place) e
    cross join lateral (
        select array_agg(u.user_id) as users from ingest.users_with_email(array[e.email], with_sso) u
    ) h
    where h.users is not null and not exists (
        select from ingest.customer_emails p join auth.users u on u.id = p.user_id
        where p.customer_id = customer and p.role = 'passed' and p.email = e.email)
    order by e.reported_at, e.place, e.email limit 1
$$;
comment on function ingest.earliest_email_with_users(text, boolean) is
    'The earliest address of a customer that any confirmed user has and that was not passed over by a match, with the users.';

revoke all on function ingest.folded_email(text), ingest.users_with_email(text[], boolean),
    ingest.member_with_address(text), ingest.earliest_email_with_users(text, boolean) from public, anon, authenticated;
