-- Who may be texted: what people said by text, as a ledger, and the one answer that follows from it for each number.

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
alter table ingest.sms_consent_ledger enable row level security;
revoke all on ingest.sms_consent_ledger from public, anon, authenticated;

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
alter table public.sms_consents enable row level security;
revoke all on public.sms_consents from public, anon, authenticated;
grant select on public.sms_consents to authenticated;
grant select, insert, update, delete on public.sms_consents to service_role;
drop policy if exists "memberflow: read" on public.sms_consents;
create policy "memberflow: read" on public.sms_consents for select to authenticated
    using (((select auth.jwt()) -> 'app_metadata' ->> 'role') = 'admin');

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
