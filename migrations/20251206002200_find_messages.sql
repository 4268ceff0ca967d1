-- Text messages by page, the newest first: all of them, and those with one number, whoever wrote.
create index if not exists sms_messages_at on public.sms_messages
    ((coalesce(created_at, '-infinity'::timestamptz)), id);
create index if not exists sms_messages_number_at on public.sms_messages
    ((case when direction = 'inbound' then from_number else to_number end), (coalesce(created_at, '-infinity'::timestamptz)), id);
