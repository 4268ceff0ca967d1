-- Text messages as Twilio tells of them: each once, however its reports come, and beside what the application writes.
--
-- What Twilio has told of a message is one row of ingest.sms_facts, a function of the reports alone. The application goes
-- on writing public.sms_messages as it does, before or after; a trigger completes each of its rows by the fact, and
-- takes the application's row in the place of one that memberflow made first, or that it made itself without the text.
-- It never makes a statement fail.

alter table public.sms_messages
    add column if not exists twilio_status text,
    add column if not exists error_code integer,
    add column if not exists num_segments integer,
    add column if not exists messaging_service_sid text,
    add column if not exists media_types text[],
    add column if not exists recorded_by text;
comment on column public.sms_messages.twilio_status is 'Twilio''s own word for the status, as its reports told it.';
comment on column public.sms_messages.error_code is 'Twilio''s error code.';
comment on column public.sms_messages.num_segments is 'Messages that it was sent or billed as.';
comment on column public.sms_messages.messaging_service_sid is 'The Messaging Service that it went through.';
comment on column public.sms_messages.media_types is 'The MIME types of media_urls, in the same order.';
comment on column public.sms_messages.recorded_by is
    'memberflow: the row was made from Twilio''s report. Null: the application wrote it.';

-- An index by Twilio's id, where the application has none.
do $$
begin
    if not exists (
        select from pg_catalog.pg_index i
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
        where i.indrelid = 'public.sms_messages'::regclass and a.attname = 'twilio_sid'
    ) then
        create index sms_messages_twilio_sid_idx on public.sms_messages (twilio_sid);
    end if;
end $$;

create table if not exists ingest.sms_facts (
    sid text primary key,
    number text,
    direction text not null,
    from_number text,
    to_number text,
    body text,
    media_urls text[] not null,
    media_types text[] not null,
    status text not null,
    twilio_status text,
    error_code integer,
    error_message text,
    num_segments integer,
    messaging_service_sid text,
    tied boolean not null,
    received_at timestamptz not null,
    state jsonb not null
);
comment on table ingest.sms_facts is 'Each text message as all of Twilio''s reports together tell of it.';
comment on column ingest.sms_facts.number is 'The digits of the number that is not ours; null where the channel has none.';
comment on column ingest.sms_facts.tied is 'Final reports contradict each other, and no moment tells which is the later: worth a look at Twilio''s API.';
comment on column ingest.sms_facts.received_at is 'When the first report came.';
comment on column ingest.sms_facts.state is 'The union of the reports.';
create index if not exists sms_facts_number on ingest.sms_facts (number) where number is not null;
create index if not exists sms_facts_tied on ingest.sms_facts (sid) where tied;

create table if not exists ingest.unmatched_numbers (
    number text primary key,
    users uuid[] not null,
    leads uuid[] not null,
    checked_at timestamptz not null,
    since timestamptz not null default now()
);
comment on table ingest.unmatched_numbers is
    'Numbers with messages that are nobody''s: no member or lead has them, or several do. They are looked for again once a minute.';
comment on column ingest.unmatched_numbers.since is 'When it was first looked for.';
create index if not exists unmatched_numbers_checked_at on ingest.unmatched_numbers (checked_at);
create index if not exists unmatched_numbers_since on ingest.unmatched_numbers (since, number);

-- ------------------------------------------------------------------------------------ whose a number is

create or replace function ingest.is_number(stored text, number text, country text) returns boolean
language sql immutable set search_path = '' as $$
    select case
        when digits is null or length(digits) < 7 then false
        when btrim(stored) like '+%' then digits = number
        when digits like '00%' then substr(digits, 3) = number
        else digits = number or country || ltrim(digits, '0') = number
    end
    from (select regexp_replace(stored, '[^0-9]', '', 'g')) as d (digits)
$$;
comment on function ingest.is_number(text, text, text) is
    'Whether a number as people write it is the one with these digits. One without a country is of this country.';

-- Expressions of built-in functions alone: whoever writes a row needs the right to execute what an index calls.
create index if not exists user_profiles_phone_end on public.user_profiles
    ((right(regexp_replace(phone, '[^0-9]', '', 'g'), 7))) where phone is not null;
create index if not exists leads_phone_end on public.leads
    ((right(regexp_replace(phone, '[^0-9]', '', 'g'), 7))) where phone is not null;
do $$
begin
    if exists (
        select from information_schema.columns
        where table_schema = 'public' and table_name = 'user_accounts' and column_name = 'phone'
    ) then
        create index if not exists user_accounts_phone_end on public.user_accounts
            ((right(regexp_replace(phone, '[^0-9]', '', 'g'), 7))) where phone is not null;
    end if;
end $$;

create or replace function ingest.accounts_with_number(number text, country text) returns setof uuid
language plpgsql stable set search_path = '' as $$
declare
    key_column text;
begin
    select c.column_name into key_column
    from information_schema.columns c
    where c.table_schema = 'public' and c.table_name = 'user_accounts' and c.column_name in ('user_id', 'id')
        and exists (select from information_schema.columns p
                    where p.table_schema = 'public' and p.table_name = 'user_accounts' and p.column_name = 'phone')
    order by c.column_name desc limit 1;
    if key_column is not null then
        return query execute format(
            'select distinct a.%I::uuid from public.user_accounts a
             where a.phone is not null and right(regexp_replace(a.phone, ''[^0-9]'', '''', ''g''), 7) = right($1, 7)
               and ingest.is_number(a.phone, $1, $2)', key_column) using number, country;
    end if;
end
$$;
comment on function ingest.accounts_with_number(text, text) is
    'Users who have the number in user_accounts, where the application has such a table.';

create or replace function ingest.holders_of_number(number text, country text, out users uuid[], out leads uuid[])
language plpgsql stable set search_path = '' as $$
declare
    level integer;
begin
    users := '{}';
    leads := '{}';
    for level in 1..3 loop
        select coalesce(array_agg(distinct h.id order by h.id), '{}') into users
        from (
            select a.id from ingest.accounts_with_number(number, country) as a (id) where level = 1
            union all
            select p.user_id from public.user_profiles p
            where level > 1 and p.phone is not null
                and right(regexp_replace(p.phone, '[^0-9]', '', 'g'), 7) = right(number, 7)
                and ingest.is_number(p.phone, number, country)
                and (level = 3 or coalesce(p.is_active, false) and not coalesce(p.is_draft, false))
        ) h
        join auth.users u on u.id = h.id;
        exit when cardinality(users) > 0;
    end loop;
    if cardinality(users) = 0 then
        -- One person who filled in several forms is one.
        select coalesce(array_agg(l.id order by l.id), '{}') into leads
        from (
            select distinct on (lower(l.email)) l.id from public.leads l
            where l.phone is not null and right(regexp_replace(l.phone, '[^0-9]', '', 'g'), 7) = right(number, 7)
                and ingest.is_number(l.phone, number, country)
            order by lower(l.email), l.created_at desc, l.id
        ) l;
    end if;
end
$$;
comment on function ingest.holders_of_number(text, text) is
    'Who has the number: the users of accounts, else of active profiles, else of other profiles, else leads, one for each person.';

-- ------------------------------------------------------------------------------------- one row a message

create or replace function ingest.sms_status(word text) returns text
language sql immutable set search_path = '' as $$
    select case
        when word in ('accepted', 'scheduled', 'queued', 'sending') then 'queued'
        when word in ('delivered', 'read', 'partially_delivered') then 'delivered'
        when word in ('undelivered', 'failed', 'canceled') then 'failed'
        when word in ('receiving', 'received') then 'received'
        else word
    end
$$;
comment on function ingest.sms_status(text) is 'A status in the table''s words.';

create or replace function ingest.sms_place(status text) returns integer
language sql immutable set search_path = '' as $$
    select case status when 'queued' then 0 when 'sent' then 1 when 'delivered' then 2 when 'failed' then 2
        when 'received' then 2 else -1 end
$$;
comment on function ingest.sms_place(text) is 'How far along a message in this status is.';

create or replace function ingest.completed_sms(message jsonb, fact jsonb) returns jsonb
language sql immutable set search_path = '' as $$
    select jsonb_build_object(
        'direction', coalesce(nullif(message ->> 'direction', ''), fact ->> 'direction'),
        'from_number', coalesce(nullif(message ->> 'from_number', ''), fact ->> 'from_number', message ->> 'from_number'),
        'to_number', coalesce(nullif(message ->> 'to_number', ''), fact ->> 'to_number', message ->> 'to_number'),
        'body', coalesce(nullif(message ->> 'body', ''), nullif(fact ->> 'body', ''), message ->> 'body'),
        'media_urls', case when fact -> 'media_urls' <> '[]' then fact -> 'media_urls' else message -> 'media_urls' end,
        'media_types', case when fact -> 'media_urls' <> '[]' then fact -> 'media_types' else message -> 'media_types' end,
        'status', case when ingest.sms_place(said.status) > ingest.sms_place(fact ->> 'status') then said.status
                       else fact ->> 'status' end,
        'error_message', coalesce(fact ->> 'error_message', message ->> 'error_message'),
        'twilio_status', fact ->> 'twilio_status',
        'error_code', fact -> 'error_code',
        'num_segments', coalesce(fact -> 'num_segments', 'null'),
        'messaging_service_sid', fact ->> 'messaging_service_sid'
    )
    from (select ingest.sms_status(message ->> 'status')) as said (status)
$$;
comment on function ingest.completed_sms(jsonb, jsonb) is
    'The columns of a message that Twilio has told of. What the application wrote stays where it says something; a status goes by how far along it is, and Twilio''s reports decide between two that are equally far.';

create or replace function ingest.complete_sms_message() returns trigger
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as $$
declare
    is_ours constant boolean := coalesce(current_setting('memberflow.writes_sms', true), '') = 'yes';
    fact jsonb;
    other jsonb;
begin
    if new.twilio_sid is null then
        return new;
    end if;
    if tg_op = 'INSERT' or new.twilio_sid is distinct from old.twilio_sid then
        -- Whoever writes the same message at the same time waits here, and then sees the other's row.
        perform pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('memberflow sms ' || new.twilio_sid, 0));
        select to_jsonb(m) into other from public.sms_messages m
        where m.twilio_sid = new.twilio_sid and m.id <> new.id
            and (is_ours or m.recorded_by = 'memberflow' or coalesce(m.body, '') = '' and coalesce(new.body, '') <> '')
        limit 1;
        if is_ours and other is not null then
            update public.sms_messages m set twilio_sid = m.twilio_sid where m.twilio_sid = new.twilio_sid;
            return null;
        end if;
        if other is not null then
            -- The application's row, with what only the one before it had: ours, or its own without a text.
            delete from public.sms_messages m where m.id = (other ->> 'id')::uuid;
            new := jsonb_populate_record(new, (
                select coalesce(jsonb_object_agg(o.key, o.value), '{}')
                from jsonb_each(other) o
                where o.key in ('body', 'user_id', 'lead_id', 'ticket_id', 'from_number', 'to_number', 'direction')
                    and o.value not in ('null', '""') and coalesce(to_jsonb(new) ->> o.key, '') = ''));
            if ingest.sms_place(ingest.sms_status(other ->> 'status')) > ingest.sms_place(ingest.sms_status(new.status)) then
                new.status := other ->> 'status';
            end if;
        end if;
        new.recorded_by := case when is_ours then 'memberflow' end;
    elsif ingest.sms_place(ingest.sms_status(old.status)) > ingest.sms_place(ingest.sms_status(new.status))
        and exists (select from ingest.sms_facts f where f.sid = new.twilio_sid) then
        -- An earlier report that came later.
        new.status := old.status;
    end if;
    select to_jsonb(f) into fact from ingest.sms_facts f where f.sid = new.twilio_sid;
    if fact is not null then
        new := jsonb_populate_record(new, ingest.completed_sms(to_jsonb(new), fact));
    end if;
    return new;
exception when others then
    -- A deadlock: whoever writes the message tries again.
    if sqlstate like '40%' then raise; end if;
    raise warning 'memberflow: message % is kept as it is: %', new.twilio_sid, sqlerrm;
    return new;
end
$$;
comment on function ingest.complete_sms_message() is
    'Completes a message by what Twilio has told of it. Never makes the statement fail; memberflow rebuild mends what was missed.';
create or replace trigger memberflow_complete_sms_message before insert or update on public.sms_messages
    for each row execute function ingest.complete_sms_message();

-- ------------------------------------------------------------------------------- who may be texted

-- What people said by text is a ledger; from it follows the one answer for each number.
create table if not exists ingest.sms_consent_ledger (
    sid text primary key,
    number text not null,
    sender text,
    messaging_service_sid text,
    opted_in boolean not null,
    explicit boolean not null,
    source text not null,
    keyword text,
    received_at timestamptz not null
);
comment on table ingest.sms_consent_ledger is 'Each message by which a number opted in or out, and each refusal that says that it has.';
comment on column ingest.sms_consent_ledger.sender is 'The digits of our number, where it has them.';
comment on column ingest.sms_consent_ledger.explicit is 'False for a word (YES) that means something only after an opt-out.';
comment on column ingest.sms_consent_ledger.source is 'opt_out_type (Twilio said so), keyword, or error_21610 (Twilio refused to send).';
create index if not exists sms_consent_ledger_number on ingest.sms_consent_ledger (number);

create table if not exists public.sms_consents (
    number text primary key,
    opted_in boolean not null,
    source text not null,
    keyword text,
    twilio_sid text not null,
    changed_at timestamptz not null
);
comment on table public.sms_consents is
    'Whether a number may be texted, as far as it said so by text. A number that is not here has said nothing.';
comment on column public.sms_consents.number is 'Its digits, country first.';
comment on column public.sms_consents.opted_in is 'False: it has opted out of a sender and not in again. Do not text it.';
comment on column public.sms_consents.source is 'opt_out_type (Twilio said so), keyword, or error_21610 (Twilio refused to send).';
comment on column public.sms_consents.twilio_sid is 'The message that decided.';
comment on column public.sms_consents.changed_at is 'When that message came.';

-- The tables of `consents` that are there follow: what a row says of its number is what the number says of itself.
create or replace function ingest.follow_sms_consent(numbers text[], consents text[], country text) returns bigint
language plpgsql set search_path = '' as $$
declare
    target text;
    columns text[];
    followed bigint;
    total bigint := 0;
begin
    foreach target in array consents loop
        select array_agg(c.column_name::text) into columns
        from information_schema.columns c where c.table_schema = 'public' and c.table_name = target;
        continue when columns is null or not columns @> array['phone', 'sms_opt_in'];
        execute format(
            'update public.%1$I t set sms_opt_in = c.opted_in%2$s
             from public.sms_consents c
             where c.number = any ($1) and t.phone is not null
               and right(regexp_replace(t.phone, ''[^0-9]'', '''', ''g''), 7) = right(c.number, 7)
               and ingest.is_number(t.phone, c.number, $2) and t.sms_opt_in is distinct from c.opted_in',
            target,
            (select coalesce(string_agg(format(', %1$I = case when c.opted_in = %2$L::boolean then c.changed_at else t.%1$I end',
                                               d.name, d.of), ''), '')
             from (values ('sms_opt_in_date', true), ('sms_consent_date', true), ('sms_opt_out_date', false)) as d (name, of)
             where d.name = any (columns)))
            using numbers, country;
        get diagnostics followed = row_count;
        total := total + followed;
    end loop;
    return total;
end
$$;
comment on function ingest.follow_sms_consent(text[], text[], text) is
    'Sets sms_opt_in, and its date, of the rows that have these numbers to what the numbers said by text; returns how many.';

create or replace function ingest.sms_answer(member uuid, country text) returns jsonb
language plpgsql stable set search_path = '' as $$
declare
    phones text[];
    said_elsewhere boolean[];
    told jsonb;
    key_column text;
begin
    -- The numbers that the member has now, and what the forms say.
    select coalesce(array_agg(p.phone), '{}'), array_agg((to_jsonb(p) ->> 'sms_opt_in')::boolean)
        into phones, said_elsewhere
    from public.user_profiles p
    where p.user_id = member and p.phone is not null
        and coalesce(p.is_active, false) and not coalesce(p.is_draft, false);
    select c.column_name into key_column
    from information_schema.columns c
    where c.table_schema = 'public' and c.table_name = 'user_accounts' and c.column_name in ('user_id', 'id')
    order by c.column_name desc limit 1;
    if key_column is not null then
        execute format(
            'select $1 || coalesce(array_agg(r ->> ''phone'') filter (where r ->> ''phone'' is not null), ''{}''),
                    $2 || array_agg((r ->> ''sms_opt_in'')::boolean)
             from (select to_jsonb(a) from public.user_accounts a where a.%I = $3) as rows (r)', key_column)
            into phones, said_elsewhere using phones, said_elsewhere, member;
    end if;
    select coalesce(jsonb_agg(jsonb_build_object(
               'number', '+' || c.number, 'opted_in', c.opted_in, 'source', c.source, 'keyword', c.keyword,
               'changed_at', c.changed_at, 'twilio_sid', c.twilio_sid, 'body', m.body) order by c.changed_at desc, c.number), '[]')
        into told
    from public.sms_consents c
    left join lateral (select m.body from public.sms_messages m where m.twilio_sid = c.twilio_sid limit 1) m on true
    where c.number = any (array(
        select f.number from public.sms_messages s join ingest.sms_facts f on f.sid = s.twilio_sid where s.user_id = member
        union
        select w.number from unnest(phones) as p (phone)
        cross join lateral regexp_replace(p.phone, '[^0-9]', '', 'g') as d (digits)
        cross join lateral (values (d.digits), (substr(d.digits, 3)), (country || ltrim(d.digits, '0'))) as w (number)
        where ingest.is_number(p.phone, w.number, country)));
    return jsonb_build_object(
        'may_be_texted', case
            when told @> '[{"opted_in": false}]' then false
            when false = any (said_elsewhere) and not coalesce(true = any (said_elsewhere), false) then false
            when told @> '[{"opted_in": true}]' or true = any (said_elsewhere) then true
        end,
        'numbers', told);
end
$$;
comment on function ingest.sms_answer(uuid, text) is
    'Whether a member may be texted: not where a number of theirs has opted out by text, or where the forms say no; null where nothing says yes.';

revoke all on all functions in schema ingest from public, anon, authenticated;
