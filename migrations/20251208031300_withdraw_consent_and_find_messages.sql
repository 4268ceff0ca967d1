-- Text messages: consent that a later report of the same message withdraws, and the lists of messages.

-- ----------------------------------------------------------------------------------------- consent

-- A report can show that a message is no consent after all: its text is a keyword, and Twilio's OptOutType, which comes
-- later, says HELP. The application's columns that followed it are then what they were before it. Whatever followed is
-- therefore noted with what was there.
create table if not exists ingest.sms_consent_followers (
    relation text not null,
    row_id text not null,
    number text not null,
    before jsonb not null,
    written boolean not null,
    primary key (relation, row_id)
);
comment on table ingest.sms_consent_followers is
    'Rows of the application whose consent columns follow what their number said by text.';
comment on column ingest.sms_consent_followers.before is 'The columns as the application wrote them.';
comment on column ingest.sms_consent_followers.written is
    'What was written to sms_opt_in. A row that says something else by now has been changed by the application.';
create index if not exists sms_consent_followers_number on ingest.sms_consent_followers (number);
alter table ingest.sms_consent_followers enable row level security;
revoke all on ingest.sms_consent_followers from public, anon, authenticated;

create or replace function ingest.sms_consent_key(target text) returns text
language sql stable set search_path = '' as $$
    select c.column_name::text from information_schema.columns c
    where c.table_schema = 'public' and c.table_name = target and c.column_name in ('id', 'user_id', 'phone')
    order by array_position(array['id', 'user_id', 'phone'], c.column_name::text) limit 1
$$;
comment on function ingest.sms_consent_key(text) is 'The column that names a row of this table.';

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
            'with following as materialized (
                 select t.%2$I as key, c.number, c.opted_in, c.changed_at, jsonb_build_object(''sms_opt_in'', t.sms_opt_in%3$s) as before
                 from public.sms_consents c
                 join public.%1$I t on t.phone is not null
                     and right(regexp_replace(t.phone, ''[^0-9]'', '''', ''g''), 7) = right(c.number, 7)
                     and ingest.is_number(t.phone, c.number, $2)
                 where c.number = any ($1) and t.sms_opt_in is distinct from c.opted_in
             ), noted as (
                 insert into ingest.sms_consent_followers as f (relation, row_id, number, before, written)
                 select distinct on (w.key) %1$L, w.key::text, w.number, w.before, w.opted_in from following w order by w.key
                 on conflict (relation, row_id) do update set
                     before = case when f.number = excluded.number
                                        and (excluded.before ->> ''sms_opt_in'')::boolean is not distinct from f.written
                                   then f.before else excluded.before end,
                     number = excluded.number, written = excluded.written
             )
             update public.%1$I t set sms_opt_in = c.opted_in%4$s
             from following c
             where t.%2$I = c.key and t.phone is not null
               and right(regexp_replace(t.phone, ''[^0-9]'', '''', ''g''), 7) = right(c.number, 7)
               and t.sms_opt_in is distinct from c.opted_in',
            target,
            ingest.sms_consent_key(target),
            (select coalesce(string_agg(format(', %1$L, t.%1$I', d.name), ''), '')
             from unnest(array['sms_opt_in_date', 'sms_consent_date', 'sms_opt_out_date']) as d (name)
             where d.name = any (columns)),
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

create or replace function ingest.give_back_sms_consent(numbers text[], consents text[]) returns bigint
language plpgsql set search_path = '' as $$
declare
    target text;
    columns text[];
    given_back bigint;
    total bigint := 0;
begin
    foreach target in array consents loop
        select array_agg(c.column_name::text) into columns
        from information_schema.columns c where c.table_schema = 'public' and c.table_name = target;
        continue when columns is null or not columns @> array['phone', 'sms_opt_in'];
        execute format(
            'with given_back as (
                 delete from ingest.sms_consent_followers f where f.relation = %1$L and f.number = any ($1)
                 returning f.row_id, f.number, f.written, jsonb_populate_record(null::public.%1$I, f.before) as was
             )
             update public.%1$I t set sms_opt_in = (g.was).sms_opt_in%3$s
             from given_back g
             where t.phone is not null
               and right(regexp_replace(t.phone, ''[^0-9]'', '''', ''g''), 7) = right(g.number, 7)
               and t.%2$I::text = g.row_id and t.sms_opt_in is not distinct from g.written',
            target,
            ingest.sms_consent_key(target),
            (select coalesce(string_agg(format(', %1$I = (g.was).%1$I', d.name), ''), '')
             from unnest(array['sms_opt_in_date', 'sms_consent_date', 'sms_opt_out_date']) as d (name)
             where d.name = any (columns)))
            using numbers;
        get diagnostics given_back = row_count;
        total := total + given_back;
    end loop;
    return total;
end
$$;
comment on function ingest.give_back_sms_consent(text[], text[]) is
    'Sets the consent columns that followed these numbers to what they were before, unless the application has changed them since; returns how many.';

revoke all on all functions in schema ingest from public, anon, authenticated;

-- ------------------------------------------------------------------------------------------- lists

-- Messages that only Twilio's API can complete are listed and counted: of contradicting final statuses, and without a text.
create index if not exists sms_facts_tied_received_at on ingest.sms_facts (received_at, sid) where tied;
create index if not exists sms_messages_without_text on public.sms_messages (created_at)
    where twilio_sid is not null and coalesce(body, '') = '';

-- Text messages by page, the newest first: all of them, and those with one number, whoever wrote.
create index if not exists sms_messages_at on public.sms_messages
    ((coalesce(created_at, '-infinity'::timestamptz)), id);
create index if not exists sms_messages_number_at on public.sms_messages
    ((case when direction = 'inbound' then from_number else to_number end), (coalesce(created_at, '-infinity'::timestamptz)), id);
