-- The application that writes tickets, leads and text messages has more words than the first version of these tables
-- knew: ticket categories `bug`, `guide` and `coaching`, the lead type `assessment`, all of Twilio's statuses. It also
-- writes null where it has no list. On tables that memberflow made, such rows were refused.
--
-- What goes are constraints of our own, known by the column's default and by the words of the check; a deployment's
-- stay. None takes their place: the next word would be refused again. The columns are text, and comments say what
-- to expect.

do $$
declare
    entry record;
    number smallint;
    doomed text;
begin
    for entry in
        select relation, 'public.' || relation as name, column_name, default_value, words, is_optional, explanation, replaces
        from (values
            ('support_tickets', 'category', '''other''::text',
             array['technical', 'billing', 'account', 'feature', 'other'], true,
             'What it is about, in the application''s words: technical, billing, account, feature, bug, guide, coaching, other, …', null),
            ('leads', 'type', '''contact''::text', array['contact', 'demo', 'intensive_intake'], false,
             'The form it came by, in the application''s words: contact, demo, intensive_intake, assessment, …',
             'The form it came by.'),
            ('sms_messages', 'status', '''queued''::text',
             array['queued', 'sent', 'delivered', 'failed', 'received'], true,
             'How far it got: queued, sent, delivered, failed, received, or another of Twilio''s words (accepted, scheduled, sending, undelivered, canceled, read, …).', null),
            ('sms_messages', 'media_urls', '''{}''::text[]', null, true, null, null),
            ('support_ticket_replies', 'attachments', '''{}''::text[]', null, true, null, null),
            ('marketing_campaigns', 'creative_urls', '''{}''::text[]', null, true, null, null),
            ('leads', 'pages_visited', '''{}''::text[]', null, true, null, null)
        ) as listed (relation, column_name, default_value, words, is_optional, explanation, replaces)
    loop
        select a.attnum into number
        from pg_catalog.pg_attribute a
        join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = entry.name::regclass and a.attname = entry.column_name and a.attnotnull
            and pg_get_expr(d.adbin, d.adrelid) = entry.default_value;
        if number is not null then
            for doomed in
                select c.conname from pg_catalog.pg_constraint c
                where c.conrelid = entry.name::regclass and c.contype = 'c' and c.conkey = array[number]
                    and pg_get_constraintdef(c.oid) = format('CHECK ((%s = ANY (ARRAY[%s])))', entry.column_name,
                        (select string_agg(quote_literal(word) || '::text', ', ' order by place)
                         from unnest(entry.words) with ordinality as w (word, place)))
            loop
                execute format('alter table %s drop constraint %I', entry.name, doomed);
            end loop;
            if entry.is_optional then
                execute format('alter table %s alter column %I drop not null', entry.name, entry.column_name);
            end if;
        end if;
        if entry.explanation is not null and exists (
            select from pg_catalog.pg_attribute a
            where a.attrelid = entry.name::regclass and a.attname = entry.column_name
                and coalesce(col_description(a.attrelid, a.attnum), entry.replaces, '') = coalesce(entry.replaces, '')
        ) then
            execute format('comment on column %s.%I is %L', entry.name, entry.column_name, entry.explanation);
        end if;
    end loop;
end $$;
